//! The viewer's page.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use actix_web::http::header::{Accept, Header, Quality};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answers::{self, Pieces};
use super::assets::assets;
use super::gate::Seen;
use super::limits::Portion;
use super::openapi::{self, PageRefused};
use super::picture::{neutral_picture, picture};
use super::preview::{Preview, preview};
use super::shares::{Id, fresh, snapshot_json};
use super::{Service, ServiceData, oembed, offload};
use crate::access::Need;
use crate::config::FrameAncestors;
use crate::discovery::Fingerprint;
use crate::error::{Error, ErrorBody};
use crate::model::{Content, Key, ShareId};
use crate::protocol::Malformed;
use crate::render::{Markdown, PICTURE_HEIGHT, PICTURE_WIDTH, Turns, escape, first_turns, markdown};
use crate::share::{ReadAll, Snapshot, TextKind};

/// What the page may do: run and load what this server sent, and nothing else. Who may show it in a frame is its
/// operator's choice.
pub struct PagePolicy {
    /// A Content Security Policy.
    header: String,
    allows_frames: bool,
}

impl PagePolicy {
    /// The policy, with those whose pages may show this one in a frame.
    pub fn new(frame_ancestors: &FrameAncestors) -> Self {
        let header = format!(
            "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
             connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {frame_ancestors}; \
             require-trusted-types-for 'script'; trusted-types viewer dompurify"
        );
        Self { header, allows_frames: !frame_ancestors.is_none() }
    }

    /// Whether any other page may show this one in a frame.
    pub(super) fn allows_frames(&self) -> bool {
        self.allows_frames
    }
}

/// The page's places that the server fills.
const HEAD: &str = "<!--head-->";
const TURNS: &str = "<!--turns-->";
const PAIR: &str = "<!--pair-->";

/// What a reader of `/s/{id}` gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Page,
    Markdown,
    Json,
    Picture,
}

/// What may stand behind a link in somebody's text and be taken for a part of it.
const BEHIND_LINKS: &[char] =
    &['.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '"', '\'', '*', '_', '`', '…', '’', '”', '»'];

/// What of a session's Markdown is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// `1`: long texts and outputs whole
    full: Option<String>,
    /// One turn, counted from 1
    #[param(minimum = 1, value_type = Option<usize>)]
    turn: Option<NonZeroUsize>,
    /// The last so many turns
    #[param(minimum = 1, value_type = Option<usize>)]
    tail: Option<NonZeroUsize>,
}

/// Bytes of text in the page: for the time until its scripts have loaded the session, and for readers without
/// JavaScript. The whole is one link away.
const TEXT_BYTES: usize = 128 << 10;

/// Elements may take more bytes than the text in them.
const HTML_BYTES: u64 = 4 * TEXT_BYTES as u64;

/// The viewer's page; or Markdown or JSON, when `Accept` prefers that, or `.md` or `.json` stands after the id; with
/// `.png`, the picture for previews of the link. A slash or punctuation behind the link leads to the link.
#[utoipa::path(get, path = "/s/{id}", params(Id, Part), responses(
    (status = 200, description = "The session", content(
        (String = "text/html"),
        (String = "text/markdown"),
        (Vec<openapi::Item> = "application/json"),
        (Vec<u8> = "image/png"),
    )),
    (status = 304, description = "The same JSON as `If-None-Match` names"),
    (status = 404, description = "`no_such_share`", content((String = "text/html"), (ErrorBody = "application/json"))),
    PageRefused
))]
pub(super) async fn page(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let name = request.match_info().query("id");
    if let Some(link) = tidy(name) {
        return Ok(moved(&request, link));
    }
    let (id, format) = named(name);
    let format = format.unwrap_or_else(|| accepted(&request));
    let read = service.heavy_read(&request).await?;
    let found = match id.parse::<ShareId>() {
        Ok(id) => seen(&request, &service, &id, format).await.map(|seen| (id, seen)),
        Err(_) => Err(Error::NoSuchShare),
    };
    let (id, snapshot) = match found {
        Ok((id, Seen::All(snapshot))) => (id, snapshot),
        Ok((id, Seen::Title(title))) if format == Format::Picture => {
            return neutral_picture(&request, &service, &id, title).await;
        }
        Ok((id, Seen::Title(title))) => {
            let of_share = OfShare { id: id.as_str(), description: None, is_open: false, service: &service };
            return html(&service, StatusCode::OK, "index.html", &head(title, Some(&of_share)), "");
        }
        Err(Error::NoSuchShare) if format == Format::Page => {
            let head = head("No such session", None);
            return html(&service, StatusCode::NOT_FOUND, "missing.html", &head, "");
        }
        Err(error) => return Err(error),
    };
    match format {
        Format::Picture => picture(&request, &service, &id, snapshot).await,
        Format::Json => snapshot_json(&request, &service, snapshot, read).await,
        Format::Markdown => {
            let id = id.as_str();
            let how = Markdown { page: Some(service.link(id)), ..wanted(&request)? };
            as_markdown(&request, &service, snapshot, how, read).await
        }
        Format::Page => {
            let id = id.as_str();
            have_text(&service, &snapshot, TextKind::Beginning, HTML_BYTES, |items| {
                first_turns(items, TEXT_BYTES)
            })
            .await?;
            let Preview { title, description } = preview(&service, &snapshot).await?;
            let turns = format!(
                "<noscript><p class=\"note\">Without JavaScript this page shows a beginning, as it was when it was \
                 loaded. The whole session is here as <a href=\"../s/{id}.md\">Markdown</a> and \
                 <a href=\"../s/{id}.json\">JSON</a>.</p></noscript>\n{}",
                snapshot.text(TextKind::Beginning).unwrap_or_default()
            );
            let of_share = OfShare { id, description, is_open: true, service: &service };
            html(&service, StatusCode::OK, "index.html", &head(title, Some(&of_share)), &turns)
        }
    }
}

/// What of a share goes into a format: the page and its picture are for all who have the link.
async fn seen(request: &HttpRequest, service: &Service, id: &ShareId, format: Format) -> Result<Seen, Error> {
    match format {
        Format::Page | Format::Picture => service.see(request, id).await,
        Format::Markdown | Format::Json => {
            service.read(request, id, Need::Text, ReadAll).await.map(|(_, snapshot)| Seen::All(snapshot))
        }
    }
}

/// A link with a slash behind it: to the link.
pub(super) async fn with_slash(request: HttpRequest) -> Result<HttpResponse, Error> {
    let name = request.match_info().query("id");
    let link = tidy(name).unwrap_or(name);
    named(link).0.parse::<ShareId>().map_err(|_| Error::NoSuchShare)?;
    Ok(moved(&request, &format!("../{link}")))
}

/// The link in a name behind which something stands that is none of it.
fn tidy(name: &str) -> Option<&str> {
    let link = name.trim_end_matches(BEHIND_LINKS);
    (link.len() < name.len() && named(link).0.parse::<ShareId>().is_ok()).then_some(link)
}

/// The share that the last part of a link names, whatever stands behind it.
pub(super) fn share_of(name: &str) -> Option<ShareId> {
    named(name.trim_end_matches('/').trim_end_matches(BEHIND_LINKS)).0.parse().ok()
}

/// Leads to another path, which is relative: proxies may have taken the beginning of this one away.
fn moved(request: &HttpRequest, path: &str) -> HttpResponse {
    let query = Some(request.query_string()).filter(|query| !query.is_empty());
    let location = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    fresh(StatusCode::PERMANENT_REDIRECT).insert_header((header::LOCATION, location)).finish()
}

/// The share and the format that the last part of a path names.
fn named(name: &str) -> (&str, Option<Format>) {
    match name.rsplit_once('.') {
        Some((id, "md")) => (id, Some(Format::Markdown)),
        Some((id, "json")) => (id, Some(Format::Json)),
        Some((id, "png")) => (id, Some(Format::Picture)),
        _ => (name, None),
    }
}

/// What of a session's Markdown a request asks for.
fn wanted(request: &HttpRequest) -> Result<Markdown, Error> {
    let part = web::Query::<Part>::from_query(request.query_string());
    let Part { full, turn, tail } =
        part.map_err(|_| Malformed::new("`turn` and `tail` must be numbers from 1"))?.into_inner();
    let turns = match (turn, tail) {
        (Some(_), Some(_)) => return Err(Malformed::new("`turn` and `tail` exclude each other").into()),
        (Some(turn), None) => Turns::Only(turn.get()),
        (None, Some(count)) => Turns::Last(count.get()),
        (None, None) => Turns::All,
    };
    Ok(Markdown { full: full.as_deref() == Some("1"), turns, ..Markdown::default() })
}

/// A session as Markdown. What most ask for is kept for the next; long outputs whole are not.
async fn as_markdown(
    request: &HttpRequest,
    service: &Service,
    snapshot: Arc<Snapshot>,
    how: Markdown,
    read: Option<Portion>,
) -> Result<HttpResponse, Error> {
    let mut account = service.account(request);
    let (bytes, cost) = (snapshot.bytes(), answers::cost(request, snapshot.bytes()));
    let mut response = fresh(StatusCode::OK);
    response.insert_header(VARY).content_type("text/markdown; charset=utf-8");
    if !how.full && how.turns == Turns::All {
        have_text(service, &snapshot, TextKind::Markdown, bytes, move |items| markdown(items, &how)).await?;
        account.grow(cost).await?;
        let text = answers::text_of(snapshot, TextKind::Markdown);
        return Ok(response.body(Pieces::new(request, service, text, account, read)));
    }
    account.grow(bytes + cost).await?;
    let write = move || markdown(snapshot.in_reading_order(), &how);
    let text = if bytes > offload::WORTH_IT as u64 { service.offload.run(write).await? } else { write() };
    account.resize(text.len() as u64 + cost);
    Ok(response.body(Pieces::new(request, service, answers::text(text.into()), account, read)))
}

/// Has a text of at most about so many bytes made of a snapshot, when it is not there yet: a large one beside the HTTP
/// threads.
pub(super) async fn have_text(
    service: &Service,
    snapshot: &Arc<Snapshot>,
    kind: TextKind,
    at_most: u64,
    write: impl FnOnce(&[(Key, Content)]) -> String + Send + 'static,
) -> Result<(), Error> {
    if snapshot.text(kind).is_some() {
        return Ok(());
    }
    let held = service.budget.memory().take(at_most).await?;
    if snapshot.bytes() > offload::WORTH_IT as u64 {
        let snapshot = snapshot.clone();
        service.offload.run(move || snapshot.make_text(kind, held, write)).await
    } else {
        snapshot.make_text(kind, held, write);
        Ok(())
    }
}

const VARY: (header::HeaderName, &str) = (header::VARY, "accept");

/// The format that a request's `Accept` prefers (RFC 9110, 12.5.1); of several that it likes as much, the one that it
/// names first. A browser asks for a page, and so does who asks for anything.
fn accepted(request: &HttpRequest) -> Format {
    let Ok(accept) = Accept::parse(request) else { return Format::Page };
    let known = |kind: &str| match kind {
        "text/html" | "application/xhtml+xml" | "text/*" | "*/*" => Some(Format::Page),
        "text/markdown" | "text/plain" => Some(Format::Markdown),
        "application/json" => Some(Format::Json),
        _ => None,
    };
    let (refused, wanted): (Vec<_>, Vec<_>) = accept.iter().partition(|kind| kind.quality == Quality::ZERO);
    let refused: Vec<_> = refused.into_iter().filter_map(|kind| known(kind.item.essence_str())).collect();
    let ranked = Accept(wanted.into_iter().cloned().collect()).ranked();
    let mut formats = ranked.iter().filter_map(|kind| known(kind.essence_str()));
    let format = formats.find(|format| !refused.contains(format));
    format.unwrap_or(Format::Page)
}

/// What this server is, for people who come without a link. Programs learn that there is nothing here.
pub(super) async fn start(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if !accepts.is_some_and(|accept| accept.contains("text/html")) {
        return Err(Error::NoSuchPath);
    }
    let page = assets()?.page("start.html", "").ok_or(Error::NoSuchPath)?;
    let pair = if service.announced { pair(service.identity.fingerprint()) } else { String::new() };
    let page = page.replacen(PAIR, &pair, 1);
    Ok(secured(&service, StatusCode::OK)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header(VARY)
        .content_type("text/html; charset=utf-8")
        .body(page))
}

/// How people of the local network share to this server.
fn pair(fingerprint: &Fingerprint) -> String {
    format!(
        "<p>On this network, <code>brutus-share pair {fingerprint}</code> makes this the server to which your sessions \
         go. The letters are the fingerprint of its key: who runs the server can tell you whether they are right.</p>"
    )
}

fn html(
    service: &Service,
    status: StatusCode,
    name: &str,
    head: &str,
    turns: &str,
) -> Result<HttpResponse, Error> {
    let page = assets()?.page(name, "../").ok_or(Error::NoSuchPath)?;
    let page = page.replacen(HEAD, head, 1).replacen(TURNS, turns, 1);
    Ok(secured(service, status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("X-Robots-Tag", "noindex"))
        .insert_header(VARY)
        .content_type("text/html; charset=utf-8")
        .body(page))
}

pub(super) fn secured(service: &Service, status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CONTENT_SECURITY_POLICY, &*service.page_policy.header));
    response
}

/// What the head of a share's page says of it.
struct OfShare<'a> {
    id: &'a str,
    description: Option<&'a str>,
    /// Whether it is there in other formats for who has the link.
    is_open: bool,
    service: &'a Service,
}

/// The title, what previews of the link show, and where a share is in other formats.
fn head(title: &str, share: Option<&OfShare>) -> String {
    let title = escape(title);
    let mut head = format!("<title>{title}</title>\n");
    let Some(OfShare { id, description, is_open, service }) = share else { return head };
    let link = service.link(id);
    let link = escape(&link);
    let _ = writeln!(
        head,
        "<meta property=\"og:type\" content=\"article\">\n<meta property=\"og:site_name\" content=\"brutus-share\">\n\
         <meta property=\"og:title\" content=\"{title}\">\n<meta property=\"og:url\" content=\"{link}\">\n\
         <meta property=\"og:image\" content=\"{link}.png\">\n\
         <meta property=\"og:image:type\" content=\"image/png\">\n\
         <meta property=\"og:image:width\" content=\"{PICTURE_WIDTH}\">\n\
         <meta property=\"og:image:height\" content=\"{PICTURE_HEIGHT}\">\n\
         <meta name=\"twitter:card\" content=\"summary_large_image\">"
    );
    if let Some(description) = description.map(escape) {
        let _ = writeln!(
            head,
            "<meta name=\"description\" content=\"{description}\">\n\
             <meta property=\"og:description\" content=\"{description}\">"
        );
    }
    let others = [("text/markdown", "md"), ("application/json", "json")];
    for (kind, ending) in others.into_iter().filter(|_| *is_open) {
        let _ = writeln!(head, "<link rel=\"alternate\" type=\"{kind}\" href=\"../s/{id}.{ending}\">");
    }
    if service.page_policy.allows_frames() {
        let href = oembed::address(service, id);
        let _ = writeln!(
            head,
            "<link rel=\"alternate\" type=\"application/json+oembed\" href=\"{}\">",
            escape(&href)
        );
    }
    head
}
