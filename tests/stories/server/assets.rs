//! The page's files: kept by browsers for as long as they are the same, and found under their old paths too.

use awc::http::header;

use crate::harness::{TestServer, client};

struct Answer {
    status: u16,
    cache: String,
    tag: String,
    vary: String,
    body: String,
}

async fn get(server: &TestServer, path: &str, tag: &str) -> Answer {
    let request = client().get(format!("{}{path}", server.url)).insert_header((header::IF_NONE_MATCH, tag));
    let mut answer = request.send().await.expect("an answer");
    let headers = answer.headers().clone();
    let text =
        |name| headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default();
    let body = answer.body().await.expect("a body");
    Answer {
        status: answer.status().as_u16(),
        cache: text(header::CACHE_CONTROL),
        tag: text(header::ETAG),
        vary: text(header::VARY).to_lowercase(),
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

/// The paths that a page's elements of a kind lead to, from the server's root.
fn links<'a>(page: &'a str, before: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = page.lines().filter_map(move |line| line.strip_prefix(before));
    lines.filter_map(|rest| Some(format!("/{}", rest.strip_prefix("../")?.split_once('"')?.0)))
}

#[actix_web::test]
async fn files_are_kept_by_their_version_and_found_without_it() {
    for base in ["", "/under/here"] {
        let server = TestServer::start(&["--public-url", &format!("https://share.example{base}")]);
        let share = server.share().await;
        let page = get(&server, &format!("{base}/s/{}", share.id), "").await.body;
        let styles: Vec<_> = links(&page, "<link rel=\"stylesheet\" href=\"").collect();
        let modules: Vec<_> = links(&page, "<link rel=\"modulepreload\" href=\"").collect();
        let scripts: Vec<_> = links(&page, "<script type=\"module\" src=\"").collect();
        assert_eq!((styles.len(), scripts.len()), (1, 1), "{page}");
        assert!(modules.iter().any(|path| path.ends_with("/load/session.js")), "{modules:?}");
        assert!(
            modules.iter().all(|path| !path.ends_with("/highlight.min.js")),
            "it is loaded when code is seen"
        );
        for path in modules.iter().chain(&styles).chain(&scripts) {
            let file = get(&server, &format!("{base}{path}"), "").await;
            assert_eq!((file.status, &*file.cache), (200, "public, max-age=31536000, immutable"), "{path}");
            assert!(file.vary.contains("accept-encoding") && !file.body.is_empty(), "{path}");
        }
        let [script] = &scripts[..] else { unreachable!() };
        let current = get(&server, script, "").await;
        let version = script.split('/').nth(2).expect("a version");
        for old in ["/assets/start.js".to_owned(), script.replace(version, "0123456789abcdef")] {
            let file = get(&server, &old, "").await;
            assert_eq!((file.status, &*file.cache, &file.body), (200, "no-cache", &current.body), "{old}");
            let same = get(&server, &old, &file.tag).await;
            assert_eq!((same.status, &*same.body, &*same.cache), (304, "", "no-cache"), "{old}");
        }
    }
}
