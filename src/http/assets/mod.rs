//! The files of the page. Each is found under a path with a hash of all of them, by which it may be kept for as long as
//! anybody likes: relative imports stay below that path, and another version of the page has another one.

#[cfg_attr(embedded, allow(dead_code))] // A build script has read it.
mod tree;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, AcceptEncoding, Encoding, Header};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::ServiceData;
use super::openapi::AssetRefused;
use super::pages::{PagePolicy, secured_by};
use super::shares::knows;
use crate::error::Error;

use self::tree::{STYLES, is_style};

/// Digits of a hash in a path or a tag.
const DIGITS: usize = 16;

/// All files of the page.
pub(super) struct Assets {
    /// The hash of all of them.
    version: String,
    files: HashMap<String, Asset>,
    /// What a browser is told of before it finds it out import by import, once the page has been painted.
    modules: Vec<String>,
}

/// A file, with its compressed copies where they are made already.
struct Asset {
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
    tag: String,
}

impl Asset {
    fn new(plain: Bytes, brotli: Option<Bytes>, gzip: Option<Bytes>) -> Self {
        let tag = digits(&Sha256::digest(&plain));
        Self { plain, brotli, gzip, tag }
    }

    /// The smallest copy that a client takes, and how it is encoded.
    fn encoded(&self, accept: &AcceptEncoding) -> (Option<&'static str>, &Bytes) {
        let takes = |kind: &Encoding| {
            accept.negotiate([kind, &Encoding::identity()].into_iter()).as_ref() == Some(kind)
        };
        match (&self.brotli, &self.gzip) {
            (Some(copy), _) if takes(&Encoding::brotli()) => (Some("br"), copy),
            (_, Some(copy)) if takes(&Encoding::gzip()) => (Some("gzip"), copy),
            _ => (None, &self.plain),
        }
    }
}

impl Assets {
    /// Files with their copies, and the same as the build script has them.
    fn new(files: Vec<tree::File>, mut copies: impl FnMut(&str) -> (Option<Bytes>, Option<Bytes>)) -> Self {
        let modules = tree::modules(&files);
        let mut hash = Sha256::new();
        let mut made = HashMap::new();
        for tree::File { path, data } in files {
            for part in [path.as_bytes(), &data] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            let (brotli, gzip) = copies(&path);
            made.insert(path, Asset::new(data.into(), brotli, gzip));
        }
        Self { version: digits(&hash.finalize()), files: made, modules }
    }

    /// A page, which leads to its files by `up`, the relative path to the server's root: with all its style sheets as
    /// one, and with the modules that it is going to need.
    pub(super) fn page(&self, name: &str, up: &str) -> Option<String> {
        let page = std::str::from_utf8(&self.files.get(name)?.plain).ok()?;
        let assets = format!("{up}assets/{}/", self.version);
        let (mut html, mut is_styled) = (String::with_capacity(page.len() + (4 << 10)), false);
        for line in page.lines() {
            if is_style(line) {
                if !std::mem::replace(&mut is_styled, true) {
                    let _ = writeln!(html, "<link rel=\"stylesheet\" href=\"{assets}{STYLES}\">");
                }
                continue;
            }
            if line.starts_with("<script type=\"module\"") {
                // In a template they are fetched when the first script says so.
                html += "<template class=\"modules\">\n";
                for module in &self.modules {
                    let _ = writeln!(html, "<link rel=\"modulepreload\" href=\"{assets}{module}\">");
                }
                html += "</template>\n";
            }
            html += &line.replace("../assets/", &assets);
            html.push('\n');
        }
        Some(html)
    }

    /// A file by its path, and whether the path is of this version. Other versions, and paths without one, lead to what
    /// is there now: a page that was open while the server changed goes on working.
    fn find(&self, path: &str) -> Option<(&Asset, &str, bool)> {
        let is_version =
            |name: &str| name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (version, path) = match path.split_once('/') {
            Some((version, path)) if is_version(version) => (Some(version), path),
            _ => (None, path),
        };
        let (path, file) = self.files.get_key_value(path)?;
        Some((file, path, version == Some(&self.version)))
    }
}

/// The files of this build.
#[cfg(embedded)]
#[allow(clippy::unnecessary_wraps)] // As in other builds.
pub(super) fn assets() -> Result<Arc<Assets>, Error> {
    type Embedded = (&'static str, &'static [u8], &'static [u8], &'static [u8]);
    static EMBEDDED: &[Embedded] = &include!(concat!(env!("OUT_DIR"), "/assets.rs"));
    static ASSETS: std::sync::LazyLock<Arc<Assets>> = std::sync::LazyLock::new(|| {
        let files =
            EMBEDDED.iter().map(|(path, data, ..)| tree::File { path: (*path).into(), data: data.to_vec() });
        let copies: HashMap<_, _> =
            EMBEDDED.iter().map(|(path, plain, brotli, gzip)| (*path, (plain, brotli, gzip))).collect();
        let smaller =
            |copy: &'static [u8], plain: &[u8]| (copy.len() < plain.len()).then(|| Bytes::from_static(copy));
        Arc::new(Assets::new(files.collect(), |path| {
            copies
                .get(path)
                .map_or((None, None), |(plain, brotli, gzip)| (smaller(brotli, plain), smaller(gzip, plain)))
        }))
    });
    Ok(ASSETS.clone())
}

/// The files as they are in the checkout now. They are read again when one has changed.
#[cfg(not(embedded))]
pub(super) fn assets() -> Result<Arc<Assets>, Error> {
    use std::path::Path;
    use std::sync::{Mutex, PoisonError};
    use std::time::SystemTime;

    type Stamp = Vec<(String, Option<SystemTime>, u64)>;
    static KNOWN: Mutex<Option<(Stamp, Arc<Assets>)>> = Mutex::new(None);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("viewer");
    let read = || -> std::io::Result<Arc<Assets>> {
        let stamp = tree::list(&root)?.into_iter().map(|(path, place)| {
            let data = std::fs::metadata(place)?;
            Ok((path, data.modified().ok(), data.len()))
        });
        let stamp: Stamp = stamp.collect::<std::io::Result<_>>()?;
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((before, assets)) if *before == stamp => Ok(assets.clone()),
            _ => {
                let assets = Arc::new(Assets::new(tree::read(&root)?, |_| (None, None)));
                *known = Some((stamp, assets.clone()));
                Ok(assets)
            }
        }
    };
    read().map_err(|error| {
        tracing::error!(%error, "the page's files cannot be read");
        Error::NoSuchPath
    })
}

/// A file of the viewer's page.
#[utoipa::path(
    get,
    path = "/assets/{path}",
    params(("path" = String, Path, description = "The version of all files, and the file's path; or that alone")),
    responses(
        (status = 200, description = "The file", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "The same as `If-None-Match` names"),
        AssetRefused,
    ),
)]
pub(super) async fn asset(request: HttpRequest, service: ServiceData) -> Result<HttpResponse, Error> {
    file(&request, &service.page_policy)
}

/// A file of the page, by the `path` of a request.
pub(super) fn file(request: &HttpRequest, policy: &PagePolicy) -> Result<HttpResponse, Error> {
    let assets = assets()?;
    let (file, path, is_current) =
        assets.find(request.match_info().query("path")).ok_or(Error::NoSuchPath)?;
    let mut response = secured_by(policy, StatusCode::OK);
    // A path without this version leads to another file tomorrow.
    let keep = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    response
        .insert_header((header::CACHE_CONTROL, keep))
        .insert_header((header::ETAG, format!("W/\"{}\"", file.tag)))
        .insert_header((header::VARY, "accept-encoding"));
    if knows(request, &file.tag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let text = kind.type_() == "text" || kind.subtype() == "javascript";
    let kind = if text { format!("{kind}; charset=utf-8") } else { kind.to_string() };
    let accept = AcceptEncoding::parse(request).unwrap_or_else(|_| AcceptEncoding(Vec::new()));
    let (encoding, data) = file.encoded(&accept);
    if let Some(encoding) = encoding {
        response.insert_header((header::CONTENT_ENCODING, encoding));
    }
    Ok(response.content_type(kind).body(data.clone()))
}

/// The beginning of a hash.
fn digits(hash: &[u8]) -> String {
    HEXLOWER.encode(&hash[..DIGITS / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_smallest_copy_that_it_takes() {
        let copy = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let file = Asset::new(Bytes::from_static(b"plain"), copy("br"), copy("gzip"));
        for (accept, expected) in [
            (None, None),
            (Some("gzip, deflate, br, zstd"), Some("br")),
            (Some("gzip, deflate"), Some("gzip")),
            (Some("gzip;q=1, br;q=0.5"), Some("br")),
            (Some("br;q=0, gzip"), Some("gzip")),
            (Some("identity"), None),
            (Some("zstd"), None),
            (Some(",;q=nonsense"), None),
        ] {
            let mut request = actix_web::test::TestRequest::default();
            if let Some(accept) = accept {
                request = request.insert_header((header::ACCEPT_ENCODING, accept));
            }
            let accept = AcceptEncoding::parse(&request.to_http_request());
            let accept = accept.unwrap_or_else(|_| AcceptEncoding(Vec::new()));
            let (encoding, data) = file.encoded(&accept);
            assert_eq!(encoding, expected, "{accept:?}");
            assert_eq!(data, expected.unwrap_or("plain").as_bytes());
        }
        let small = Asset::new(Bytes::from_static(b"x"), None, None);
        assert_eq!(small.encoded(&AcceptEncoding(Vec::new())).0, None);
    }

    #[test]
    fn a_page_names_the_files_of_its_version_and_the_modules_that_it_needs() {
        let file = |path: &str, text: &str| tree::File { path: path.into(), data: text.into() };
        let page = "<link rel=\"stylesheet\" href=\"../assets/a.css\">\n\
                    <link rel=\"stylesheet\" href=\"../assets/b.css\">\n\
                    <script type=\"module\" src=\"../assets/start.js\"></script>\n";
        let files = |last: &str| {
            vec![
                file("index.html", page),
                file(
                    "app.js",
                    "import {\n  a,\n} from './load/a.js'\nimport './b.js'\nimport c from 'elsewhere'",
                ),
                file(
                    "load/a.js",
                    "export { b } from '../b.js'\nexport const a = () => import('../later.js')",
                ),
                file("b.js", "import './app.js'\nimport '../../etc.js'\nimport './none.js'"),
                file("later.js", last),
            ]
        };
        let assets = Assets::new(files("1"), |_| (None, None));
        let base = format!("assets/{}/", assets.version);
        let expected = format!(
            "<link rel=\"stylesheet\" href=\"{base}page.css\">\n\
             <template class=\"modules\">\n\
             <link rel=\"modulepreload\" href=\"{base}app.js\">\n\
             <link rel=\"modulepreload\" href=\"{base}load/a.js\">\n\
             <link rel=\"modulepreload\" href=\"{base}b.js\">\n\
             </template>\n\
             <script type=\"module\" src=\"{base}start.js\"></script>\n"
        );
        assert_eq!(assets.page("index.html", "").unwrap(), expected);
        assert_ne!(Assets::new(files("2"), |_| (None, None)).version, assets.version);
        let found = |path: &str| assets.find(path).map(|(_, path, is_current)| (path.to_owned(), is_current));
        let b = |is_current| Some(("b.js".to_owned(), is_current));
        assert_eq!(found(&format!("{}/b.js", assets.version)), b(true));
        assert_eq!(found("0123456789abcdef/b.js"), b(false));
        assert_eq!(found("b.js"), b(false));
        assert_eq!(found("0123456789abcdef/0123456789abcdef/b.js"), None);
    }
}
