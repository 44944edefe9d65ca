//! The page without a server around it: for a reader who runs it on his own machine.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

use super::assets::file;
use super::pages::{PagePolicy, empty_page, secured_by};
use crate::error::Error;

/// The page of a share of which nothing is known yet.
///
/// # Errors
/// When the page's files cannot be read.
pub fn page(policy: &PagePolicy) -> Result<HttpResponse, Error> {
    Ok(secured_by(policy, StatusCode::OK)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .content_type("text/html; charset=utf-8")
        .body(empty_page()?))
}

/// A file of the page, by the `path` of a request.
///
/// # Errors
/// When there is none.
pub fn asset(request: &HttpRequest, policy: &PagePolicy) -> Result<HttpResponse, Error> {
    file(request, policy)
}
