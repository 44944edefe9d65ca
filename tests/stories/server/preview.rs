//! What is seen of a session before its page: in previews of its link, and at the server's root.

use awc::http::header;
use serde_json::{Value, json};

use crate::harness::{TestServer, client, part, recorded_batches};

/// Status, type and body.
async fn get(
    server: &TestServer,
    path: &str,
    headers: &[(header::HeaderName, &str)],
) -> (u16, String, Vec<u8>) {
    let mut request = client().get(format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.insert_header((name, *value));
    }
    let mut answer = request.send().await.expect("an answer");
    let of = |name| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let (kind, tag) = (of(header::CONTENT_TYPE).unwrap_or_default(), of(header::ETAG).unwrap_or_default());
    let body = answer.body().await.expect("a body").to_vec();
    (answer.status().as_u16(), format!("{kind} {tag}"), body)
}

#[actix_web::test]
async fn a_link_has_a_picture() {
    let server = TestServer::start(&["--public-url", "https://share.example/here"]);
    let share = server.share().await;
    for batch in recorded_batches() {
        share.sync(&batch).await;
    }
    let page = format!("/s/{}", share.id);
    let html = String::from_utf8(get(&server, &page, &[]).await.2).expect("UTF-8");
    for (name, content) in [
        ("og:url", format!("https://share.example/here{page}")),
        ("og:image", format!("https://share.example/here{page}.png")),
        ("og:image:width", "1200".into()),
        ("og:image:height", "630".into()),
        ("og:site_name", "brutus-share".into()),
    ] {
        let meta = format!("<meta property=\"{name}\" content=\"{content}\">");
        assert!(html.contains(&meta), "{meta} in {html}");
    }
    assert!(html.contains("<meta name=\"twitter:card\" content=\"summary_large_image\">"));
    let picture = format!("{page}.png");
    let (status, kind, png) = get(&server, &picture, &[]).await;
    let (kind, tag) = kind.split_once(' ').expect("two words");
    assert_eq!((status, kind), (200, "image/png"));
    // Width and height, where PNG has them.
    assert_eq!((&png[1..4], &png[16..24]), (&b"PNG"[..], &[0, 0, 4, 0xb0, 0, 0, 2, 0x76][..]));
    assert_eq!(get(&server, &picture, &[(header::IF_NONE_MATCH, tag)]).await.0, 304);
    share.sync(&[crate::harness::session("Another title")]).await;
    let (status, _, other) = get(&server, &picture, &[(header::IF_NONE_MATCH, tag)]).await;
    assert_eq!(status, 200);
    assert_ne!(other, png);
    assert_eq!(get(&server, "/s/0123456789abcdefghijkl.png", &[]).await.0, 404);
}

/// What the server says of how a link is shown.
async fn oembed(server: &TestServer, query: &[(&str, &str)]) -> (u16, Value) {
    let url = format!("{}/oembed", server.url);
    let mut answer = client().get(url).query(&query).expect("a query").send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[actix_web::test]
async fn a_link_is_shown_as_a_frame_where_the_operator_allows_it() {
    let links = "https://share.example/here";
    let server = TestServer::start(&[
        "--public-url",
        links,
        "--frame-ancestors",
        "https://wiki.example",
        "--redact",
        "off",
    ]);
    let share = server.share().await;
    share.sync(&[crate::harness::session("<b> & AKIAQ3EGRIVJ2XPB5T7A")]).await;
    let link = format!("{links}/s/{}", share.id);
    let (status, embed) = oembed(&server, &[("url", &link), ("format", "json")]).await;
    assert_eq!((status, &embed["version"], &embed["type"]), (200, &json!("1.0"), &json!("rich")));
    assert_eq!((&embed["width"], &embed["height"]), (&json!(800), &json!(600)));
    assert_eq!(embed["thumbnail_url"], format!("{link}.png"));
    let title = embed["title"].as_str().expect("a title");
    assert!(title.starts_with("<b> & ") && !title.contains("AKIA"), "{title}");
    let html = embed["html"].as_str().expect("HTML");
    let start = format!("<iframe src=\"{links}/embed/{}\" title=\"&lt;b&gt; &amp; ", share.id);
    assert!(html.starts_with(&start), "{html}");

    // With a place, within a size, and never with what a link keeps to itself.
    let placed = format!("{links}/share/{}#msg_1", share.id);
    let (_, embed) = oembed(&server, &[("url", &placed), ("maxwidth", "400"), ("maxheight", "9999")]).await;
    assert_eq!((&embed["width"], &embed["height"]), (&json!(400), &json!(600)));
    assert_eq!(embed["thumbnail_url"], Value::Null);
    assert!(embed["html"].as_str().expect("HTML").contains(&format!("/embed/{}#msg_1\"", share.id)));
    let (_, embed) = oembed(&server, &[("url", &format!("{link}#k1=key"))]).await;
    assert!(!embed.to_string().contains("k1="), "{embed}");

    // The page leads there.
    let html = String::from_utf8(get(&server, &format!("/s/{}", share.id), &[]).await.2).expect("UTF-8");
    let address = html.split("application/json+oembed\" href=\"").nth(1).expect("a link").split('"').next();
    let query =
        address.expect("an address").strip_prefix(&format!("{links}/oembed?url=")).expect("of this server");
    assert_eq!(get(&server, &format!("/oembed?url={query}"), &[]).await.0, 200);
    assert_eq!(get(&server, &format!("/embed/{}", share.id), &[]).await.0, 200);
}

#[actix_web::test]
async fn asking_how_a_link_is_shown_gives_nothing_away() {
    let links = "https://share.example";
    let server = TestServer::start(&["--public-url", links]);
    let share = server.share().await;
    let link = format!("{links}/s/{}", share.id);
    let (status, embed) = oembed(&server, &[("url", &link)]).await;
    assert_eq!(
        (status, &embed["type"], &embed["html"]),
        (200, &json!("link"), &Value::Null),
        "nobody may frame it"
    );
    let html = String::from_utf8(get(&server, &format!("/s/{}", share.id), &[]).await.2).expect("UTF-8");
    assert!(!html.contains("oembed"));
    for (query, status, code) in [
        (vec![], 400, "malformed"),
        (vec![("url", &*link), ("maxwidth", "wide")], 400, "malformed"),
        (vec![("url", &*link), ("format", "xml")], 501, "unknown_format"),
        (vec![("url", "https://share.example/s/0123456789abcdefghijkl")], 404, "no_such_share"),
        (vec![("url", "https://other.example/s/0123456789abcdefghijkl")], 404, "no_such_share"),
    ] {
        let (found, answer) = oembed(&server, &query).await;
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(code)), "{query:?}");
    }
}

#[actix_web::test]
async fn a_picture_shows_no_secret() {
    let server = TestServer::start(&["--redact", "off"]);
    let draw = async |prompt: &str| {
        let share = server.share().await;
        let mut message = crate::harness::message("u", 1);
        message["data"]["role"] = "user".into();
        share.sync(&[crate::harness::session("A title"), message, part("u", "p", prompt)]).await;
        get(&server, &format!("/s/{}.png", share.id), &[]).await.2
    };
    let secret = |last: char| format!("use AKIAQ3EGRIVJ2XPB5T7{last} for it");
    assert_eq!(draw(&secret('A')).await, draw(&secret('B')).await);
    assert_ne!(draw("use this for it").await, draw("use that for it").await);
}

#[actix_web::test]
async fn people_without_a_link_learn_where_they_are() {
    let server = TestServer::start(&["--public-url", "https://share.example/under/here"]);
    let browser = [(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")];
    for path in ["/", "/under/here/"] {
        let (status, kind, html) = get(&server, path, &browser).await;
        assert_eq!((status, kind.trim()), (200, "text/html; charset=utf-8"), "{path}");
        let html = String::from_utf8(html).expect("UTF-8");
        assert!(html.contains("<h1>brutus-share</h1>") && !html.contains("<script"));
        let styles = html.split("href=\"").find(|rest| rest.contains("page.css")).expect("a style sheet");
        let styles = styles.split('"').next().expect("an address");
        assert_eq!(get(&server, &format!("{path}{styles}"), &[]).await.0, 200);
    }
    assert_eq!(get(&server, "/", &[]).await.0, 404, "programs find nothing here");
}
