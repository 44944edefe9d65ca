//! What a site learns that shows a link to a session as the session itself: oEmbed 1.0 (<https://oembed.com>).

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::gate::Seen;
use super::openapi::EmbedRefused;
use super::pages::share_of;
use super::preview::preview;
use super::shares::fresh;
use super::{Service, ServiceData};
use crate::error::Error;
use crate::model::ShareId;
use crate::protocol::Malformed;
use crate::render::{PICTURE_HEIGHT, PICTURE_WIDTH, escape};

/// The size of a frame, in CSS pixels, where nothing less is asked for.
const WIDTH: u32 = 800;
const HEIGHT: u32 = 600;

/// What is asked of a link.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// A link to a session of this server
    url: String,
    /// `json`
    format: Option<String>,
    /// Pixels that there are at most
    maxwidth: Option<u32>,
    /// Pixels that there are at most
    maxheight: Option<u32>,
}

/// How a link is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Embed {
    version: &'static str,
    /// `rich` where other pages may show sessions in frames (`frame_ancestors`), otherwise `link`
    #[serde(rename = "type")]
    kind: &'static str,
    provider_name: &'static str,
    provider_url: String,
    title: String,
    /// A frame that shows the session
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// The picture of the link's previews, where there is room for it
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail_height: Option<u32>,
}

/// `GET /oembed`
#[utoipa::path(get, path = "/oembed", params(Asked), responses(
    (status = 200, description = "How the link is shown", body = Embed),
    EmbedRefused
))]
pub(super) async fn oembed(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    let asked = web::Query::<Asked>::from_query(request.query_string());
    let Asked { url, format, maxwidth, maxheight } = asked
        .map_err(|_| {
            Malformed::new("expected `url`, a link to a session, and `maxwidth` and `maxheight` in pixels")
        })?
        .into_inner();
    if format.is_some_and(|format| format != "json") {
        return Err(Error::UnknownFormat);
    }
    let (id, fragment) = named(&url, &service.public_url).ok_or(Error::NoSuchShare)?;
    // What is held is given back with it.
    let _read = service.heavy_read(&request).await?;
    let title = match service.see(&request, &id).await? {
        Seen::All(snapshot) => preview(&service, &snapshot).await?.title.to_owned(),
        Seen::Title(title) => title.to_owned(),
    };
    let fits = |max: Option<u32>, size: u32| max.is_none_or(|max| size <= max);
    let has_thumbnail = fits(maxwidth, PICTURE_WIDTH) && fits(maxheight, PICTURE_HEIGHT);
    let has_frame = service.page_policy.allows_frames();
    let width = maxwidth.map_or(WIDTH, |max| max.min(WIDTH));
    let height = maxheight.map_or(HEIGHT, |max| max.min(HEIGHT));
    let embed = Embed {
        version: "1.0",
        kind: if has_frame { "rich" } else { "link" },
        provider_name: "brutus-share",
        provider_url: format!("{}/", service.public_url),
        html: has_frame.then(|| html(&service, &id, fragment, &title, (width, height))),
        width: has_frame.then_some(width),
        height: has_frame.then_some(height),
        thumbnail_url: has_thumbnail.then(|| format!("{}.png", service.link(id.as_str()))),
        thumbnail_width: has_thumbnail.then_some(PICTURE_WIDTH),
        thumbnail_height: has_thumbnail.then_some(PICTURE_HEIGHT),
        title,
    };
    Ok(fresh(StatusCode::OK).json(embed))
}

/// Where a page says that it can be asked for.
pub(super) fn address(service: &Service, id: &str) -> String {
    let link = service.link(id);
    format!("{}/oembed?url={}", service.public_url, utf8_percent_encode(&link, NON_ALPHANUMERIC))
}

/// The share that a link leads to, and the place in it. Of a place that holds more than a name, a key say, nothing is
/// given on.
fn named<'a>(url: &'a str, public_url: &str) -> Option<(ShareId, Option<&'a str>)> {
    let (url, fragment) = url.split_once('#').map_or((url, None), |(url, fragment)| (url, Some(fragment)));
    let path = url.split('?').next()?.strip_prefix(public_url)?;
    let name = ["/s/", "/share/", "/embed/"].iter().find_map(|start| path.strip_prefix(start))?;
    let is_name = |place: &&str| {
        !place.is_empty()
            && place.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./%".contains(&byte))
    };
    Some((share_of(name)?, fragment.filter(is_name)))
}

/// The frame as HTML.
fn html(
    service: &Service,
    id: &ShareId,
    fragment: Option<&str>,
    title: &str,
    (width, height): (u32, u32),
) -> String {
    let mut src = format!("{}/embed/{}", service.public_url, id.as_str());
    if let Some(fragment) = fragment {
        let _ = write!(src, "#{fragment}");
    }
    format!(
        "<iframe src=\"{}\" title=\"{}\" width=\"{width}\" height=\"{height}\" loading=\"lazy\" \
         allow=\"clipboard-write; fullscreen\" style=\"border:0;max-width:100%\"></iframe>",
        escape(&src),
        escape(title)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_sessions_are_known_with_their_places() {
        let server = "https://share.example/here";
        let id = "0123456789abcdefghijkl";
        for (url, place) in [
            (format!("{server}/s/{id}"), None),
            (format!("{server}/share/{id}/"), None),
            (format!("{server}/s/{id}?x=1#msg_1"), Some("msg_1")),
            (format!("{server}/embed/{id}#changes/src/a%20b.rs"), Some("changes/src/a%20b.rs")),
            (format!("{server}/s/{id}#k1=secret"), None),
            (format!("{server}/s/{id}#a\"b"), None),
            (format!("{server}/s/{id}#"), None),
        ] {
            let found = named(&url, server).expect("a share");
            assert_eq!((found.0.as_str(), found.1), (id, place), "{url}");
        }
        for url in [
            format!("https://other.example/s/{id}"),
            format!("{server}.evil.example/s/{id}"),
            format!("{server}/api/share/{id}"),
            format!("{server}/s/short"),
            format!("{server}/s/{id}/more"),
            String::new(),
        ] {
            assert!(named(&url, server).is_none(), "{url}");
        }
    }
}
