//! Who this server is: it proves that it has its own key, at the place where it is asked.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answers::Endpoint;
use super::openapi::{ServerProof, ServerRefused};
use super::shares::fresh;
use super::{Service, ServiceData};
use crate::config::exact_origin;
use crate::discovery::Nonce;
use crate::error::Error;

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// New for each request
    #[param(min_length = 16, max_length = 64, pattern = "^[A-Za-z0-9_-]{16,64}$")]
    nonce: String,
}

/// `GET /api/server`
#[utoipa::path(get, path = "/api/server", params(Question), responses(
    (status = 200, description = "The server's key, and a signature by it", body = ServerProof),
    ServerRefused
))]
pub(super) async fn server(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let question = web::Query::<Question>::from_query(request.query_string());
    let nonce = question.map_or_else(|_| "".parse(), |question| question.nonce.parse::<Nonce>());
    let nonce = nonce.map_err(|error| Error::malformed(error.to_string()))?;
    let proof = service.identity.prove(&nonce, &place(&request, &service));
    Ok(fresh(StatusCode::OK).json(proof))
}

/// The origin that is signed: the address at which the connection came in, when that is what was asked for, and else
/// that of the links. It is never taken from the request alone: a server that signs for whatever host it is asked
/// for signs for those who pretend to be it.
fn place(request: &HttpRequest, service: &Service) -> String {
    let scheme = if service.over_tls { "https" } else { "http" };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let asked = host.and_then(|host| exact_origin(&format!("{scheme}://{host}")));
    let address = request.conn_data::<Endpoint>().and_then(Endpoint::address);
    // What comes over loopback comes from a proxy, which may ask for any name.
    let address = address.filter(|address| !address.ip().to_canonical().is_loopback());
    let own = address.and_then(|address| exact_origin(&format!("{scheme}://{address}")));
    if own == asked { own } else { None }.unwrap_or_else(|| service.origin.clone())
}
