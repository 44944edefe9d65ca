//! The viewer's page and its files, out of the binary.

use std::borrow::Cow;
use std::fmt::Write as _;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::ServiceData;
use super::shares::share_id;
use crate::error::Error;
use crate::share::{Look, ask};

/// What the page may do: run and load what this server sent, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types viewer dompurify";

/// The page's places that the server fills.
const HEAD: &str = "<!--head-->";
const FALLBACK: &str = "<!--fallback-->";

#[derive(RustEmbed)]
#[folder = "viewer/"]
#[exclude = "vendor/*.json"]
#[exclude = "vendor/build*"]
struct Files;

/// `GET /s/{id}`
pub(super) async fn page(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let found = match share_id(&request) {
        Ok(id) => ask(&service.hub, &id, || Look).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(summary) => {
            let title = summary.title.as_deref().unwrap_or("Shared session");
            html(StatusCode::OK, "index.html", title)
        }
        Err(Error::NoSuchShare) => html(StatusCode::NOT_FOUND, "missing.html", "No such session"),
        Err(error) => Err(error),
    }
}

/// `GET /assets/{path}`
pub(super) async fn asset(request: HttpRequest) -> Result<HttpResponse, Error> {
    let path = request.match_info().query("path");
    let file = Files::get(path).ok_or(Error::NoSuchPath)?;
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..12]));
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut response = secured(StatusCode::OK);
    // The tag is asked for each time: a new version of the server brings new files under the same names.
    response
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::ETAG, format!("W/{tag}")));
    if known.is_some_and(|known| known.contains(&tag)) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let text = kind.type_() == "text" || kind.subtype() == "javascript";
    let kind = if text { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    Ok(response.content_type(kind).body(file.data))
}

fn html(status: StatusCode, name: &str, title: &str) -> Result<HttpResponse, Error> {
    let page = Files::get(name).ok_or(Error::NoSuchPath)?;
    let page = text(&page).replacen(HEAD, &head(title), 1).replacen(FALLBACK, "", 1);
    Ok(secured(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Robots-Tag", "noindex"))
        .content_type("text/html; charset=utf-8")
        .body(page))
}

fn secured(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    response
}

/// The title and what link previews show.
fn head(title: &str) -> String {
    let title = escape(title);
    format!(
        "<title>{title}</title>\n<meta property=\"og:type\" content=\"article\">\n\
         <meta property=\"og:title\" content=\"{title}\">\n"
    )
}

/// Text that can stand in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

fn text(file: &EmbeddedFile) -> Cow<'_, str> {
    String::from_utf8_lossy(&file.data)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
