//! A share without its page: Markdown and JSON, by name and by `Accept`, and what the page holds for readers without
//! JavaScript.

use awc::http::header;

use crate::harness::{TestServer, client, part, recorded_batches};

async fn get(server: &TestServer, path: &str, accept: &str) -> (u16, String, String) {
    let request = client().get(format!("{}{path}", server.url)).insert_header((header::ACCEPT, accept));
    let mut answer = request.send().await.expect("an answer");
    let kind = answer.headers().get(header::CONTENT_TYPE).expect("a type").to_str().expect("text").to_owned();
    let body = answer.body().limit(64 << 20).await.expect("a body");
    (answer.status().as_u16(), kind, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

#[actix_web::test]
async fn a_session_can_be_taken_along() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    for batch in recorded_batches() {
        share.sync(&batch).await;
    }
    let page = format!("/s/{}", share.id);
    let (status, kind, markdown) = get(&server, &format!("{page}.md"), "*/*").await;
    assert_eq!((status, kind.as_str()), (200, "text/markdown; charset=utf-8"));
    assert!(markdown.starts_with("# Greeting script session\n"));
    for words in [
        "## Prompt 1 [",
        "\n\nWrite a greeting script and test it",
        "**edit** `/home/dev/greeter/greeter.py`",
        "```diff",
        "(exit 3)",
    ] {
        assert!(markdown.contains(words), "{words}");
    }
    for accept in ["text/markdown", "text/plain;q=0.9, text/html;q=0.1"] {
        assert_eq!(get(&server, &page, accept).await.2, markdown);
    }
    let (_, kind, json) = get(&server, &format!("{page}.json"), "*/*").await;
    assert_eq!(kind, "application/json");
    assert_eq!(json, get(&server, &share.path("/data"), "*/*").await.2);
    assert_eq!(get(&server, &page, "application/json").await.2, json);

    let (_, kind, html) = get(&server, &page, "text/html,*/*;q=0.8").await;
    assert_eq!(kind, "text/html; charset=utf-8");
    assert!(html.contains("<title>Greeting script session</title>"));
    assert!(
        html.contains("<meta property=\"og:description\" content=\"Write a greeting script and test it\">")
    );
    assert!(
        html.contains("Write a greeting script and test it</div>") && html.contains(&format!("{page}.md"))
    );
    for path in ["/s/0123456789abcdefghijkl.md", "/s/nothing.json"] {
        let (status, kind, _) = get(&server, path, "*/*").await;
        assert_eq!((status, kind.as_str()), (404, "application/json"));
    }
}

#[actix_web::test]
async fn long_outputs_are_cut_in_markdown_unless_all_is_asked_for() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let mut tool = part("m", "p", "");
    let output = "0123456789".repeat(2000);
    tool["data"]["type"] = "tool".into();
    tool["data"]["tool"] = "read".into();
    tool["data"]["state"] = serde_json::json!({"status": "completed", "input": {}, "output": output});
    share.sync(&[crate::harness::message("m", 1), tool]).await;
    let cut = get(&server, &format!("/s/{}.md", share.id), "*/*").await.2;
    assert!(cut.len() < 5000 && cut.contains("?full=1"));
    assert!(get(&server, &format!("/s/{}.md?full=1", share.id), "*/*").await.2.contains(&output));
}

#[actix_web::test]
async fn hostile_titles_stay_text_in_the_page() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let evil = "</title><script>alert(1)</script>\"'&<!--head--><!--fallback-->";
    share.sync(&[crate::harness::session(evil), crate::harness::message("m", 1), part("m", "p", evil)]).await;
    let html = get(&server, &format!("/s/{}", share.id), "text/html").await.2;
    assert!(!html.contains("<script>alert") && html.contains("&lt;/title&gt;&lt;script&gt;"));
    assert_eq!((html.matches("<title>").count(), html.matches("<!--").count()), (1, 0));
}

#[actix_web::test]
async fn the_format_is_the_one_that_a_reader_prefers() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[crate::harness::message("m", 1), part("m", "p", "words")]).await;
    let page = format!("/s/{}", share.id);
    for (accept, kind) in [
        ("*/*", "text/html"),
        ("", "text/html"),
        ("nonsense", "text/html"),
        ("image/png", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", "text/html"),
        ("text/markdown, text/html, */*", "text/markdown"),
        ("text/html;q=0.5, text/markdown", "text/markdown"),
        ("text/html, text/markdown;q=0.9", "text/html"),
        ("text/markdown;q=0.1, application/json;q=0.2", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/markdown;q=0, */*", "text/html"),
        ("text/html;q=0, */*;q=0.1, application/json;q=0.05", "application/json"),
    ] {
        let found = get(&server, &page, accept).await.1;
        assert_eq!(found.split(';').next(), Some(kind), "{accept}");
    }
    let html = get(&server, &page, "text/html").await.2;
    for (kind, ending) in [("text/markdown", "md"), ("application/json", "json")] {
        let link = format!("<link rel=\"alternate\" type=\"{kind}\" href=\"..{page}.{ending}\">");
        assert!(html.contains(&link), "{html}");
    }
}

#[actix_web::test]
async fn an_agent_reads_the_turns_that_it_wants() {
    let server = TestServer::start(&["--public-url", "https://share.example/under/a/path"]);
    let share = server.share().await;
    let mut items = Vec::new();
    for turn in 1..=3 {
        let mut prompt = crate::harness::message(&format!("u{turn}"), turn);
        prompt["data"]["role"] = "user".into();
        items.extend([prompt, part(&format!("u{turn}"), "p", &format!("question {turn}"))]);
    }
    share.sync(&items).await;
    let read = async |query: &str| get(&server, &format!("/s/{}.md{query}", share.id), "*/*").await;
    let questions =
        |text: &str| (1..=3).filter(|turn| text.contains(&format!("question {turn}"))).collect::<Vec<_>>();
    for (query, expected) in [
        ("", vec![1, 2, 3]),
        ("?turn=2", vec![2]),
        ("?turn=2&full=1", vec![2]),
        ("?tail=2", vec![2, 3]),
        ("?tail=99", vec![1, 2, 3]),
        ("?turn=4", vec![]),
    ] {
        let (status, _, text) = read(query).await;
        assert_eq!((status, questions(&text)), (200, expected), "{query}");
        let link = format!("https://share.example/under/a/path/s/{}", share.id);
        assert!(text.contains(&format!("({link})")), "the page is linked: {text}");
    }
    assert!(read("?turn=4").await.2.contains("no such turn"));
    for query in ["?turn=0", "?turn=x", "?tail=-1", "?turn=1&tail=1", "?turn=99999999999999999999999"] {
        let (status, _, text) = read(query).await;
        assert_eq!(status, 400, "{query}");
        assert!(text.contains("\"malformed\"") && text.contains("`turn` and `tail`"), "{text}");
    }
}

#[actix_web::test]
async fn a_link_with_something_behind_it_leads_to_the_share() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let id = &share.id;
    let moved = async |path: &str| {
        let request =
            awc::Client::builder().disable_redirects().finish().get(format!("{}{path}", server.url));
        let answer = request.send().await.expect("an answer");
        let to = answer.headers().get(header::LOCATION).map(|to| to.to_str().expect("text").to_owned());
        (answer.status().as_u16(), to)
    };
    for (path, to) in [
        (format!("/s/{id}/"), format!("../{id}")),
        (format!("/s/{id}/?tail=2"), format!("../{id}?tail=2")),
        (format!("/share/{id}/"), format!("../{id}")),
        (format!("/s/{id}."), id.clone()),
        (format!("/s/{id},"), id.clone()),
        (format!("/s/{id}%29."), id.clone()),
        (format!("/s/{id};"), id.clone()),
        (format!("/s/{id}:"), id.clone()),
        (format!("/s/{id}.md?full=1"), String::new()),
        (format!("/s/{id}.md.?full=1"), format!("{id}.md?full=1")),
        (format!("/s/{id}.%E2%80%9D"), id.clone()),
        (format!("/s/{id}%3E/"), format!("../{id}")),
    ] {
        let expected = if to.is_empty() { (200, None) } else { (308, Some(to)) };
        assert_eq!(moved(&path).await, expected, "{path}");
    }
    // Nobody is led to where no share of this server can be.
    for path in ["/s/%2F%2Fevil.example.", "/s/evil.example/", "/s/evil/", "/s/..%2Fx/", "/s/."] {
        assert_eq!(moved(path).await, (404, None), "{path}");
    }
}

#[actix_web::test]
async fn pages_of_other_origins_may_read_what_a_link_opens_and_nothing_else() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[part("m", "p", "x")]).await;
    let ask = async |method: &str, path: &str| {
        let request = client()
            .request(method.parse().expect("a method"), format!("{}{path}", server.url))
            .insert_header((header::ORIGIN, "https://elsewhere.example"))
            .insert_header((header::ACCESS_CONTROL_REQUEST_METHOD, "GET"));
        let answer = request.send().await.expect("an answer");
        let header =
            |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(header("access-control-allow-credentials"), None);
        (answer.status().as_u16(), header("access-control-allow-origin"))
    };
    let all = || Some("*".to_owned());
    let (page, gone) = (format!("/s/{}", share.id), "0".repeat(22));
    for path in [
        share.path(""),
        share.path("/data"),
        share.path("/items"),
        format!("{page}.md"),
        format!("{page}.json"),
    ] {
        assert_eq!(ask("GET", &path).await, (200, all()), "{path}");
        assert_eq!(ask("HEAD", &path).await, (200, all()), "{path}");
        assert_eq!(ask("OPTIONS", &path).await, (204, all()), "{path}");
    }
    assert_eq!(
        ask("GET", &format!("/api/share/{gone}/data")).await,
        (404, all()),
        "who may read may know why not"
    );
    assert_eq!(ask("GET", &page).await, (200, None), "the page is for people");
    assert_eq!(ask("GET", "/assets/app.js").await, (200, None));
    assert_eq!(ask("DELETE", &share.path("")).await, (403, None));
    assert_eq!(ask("POST", &share.path("/sync")).await, (403, None));
    assert_eq!(ask("OPTIONS", &share.path("/sync")).await.1, None);
}

#[actix_web::test]
async fn whose_pages_may_frame_a_session_is_its_operators_choice() {
    let policy = async |args: &[&str]| {
        let server = TestServer::start(args);
        let share = server.share().await;
        let answer = client().get(format!("{}/s/{}", server.url, share.id)).send().await.expect("an answer");
        let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).expect("a policy");
        let policy = policy.to_str().expect("text").to_owned();
        let ancestors =
            policy.split(';').map(str::trim).find_map(|rule| rule.strip_prefix("frame-ancestors "));
        ancestors.expect("a rule").to_owned()
    };
    assert_eq!(policy(&[]).await, "'none'");
    assert_eq!(policy(&["--frame-ancestors", "self"]).await, "'self'");
    let two = "https://wiki.example, https://*.docs.example:8443";
    assert_eq!(policy(&["--frame-ancestors", two]).await, "https://wiki.example https://*.docs.example:8443");
    for bad in [
        "wiki.example",
        "https://",
        "https://a b",
        "none,self",
        "https://a;script-src *",
        "javascript:x",
        "*",
    ] {
        let output =
            crate::harness::program().args(["serve", "--frame-ancestors", bad]).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{bad}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("frame-ancestors"), "{bad}");
    }
}

#[actix_web::test]
async fn the_page_holds_the_first_turns() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let mut prompt = crate::harness::message("u", 1);
    prompt["data"]["role"] = "user".into();
    let answer = part("a", "p", "**bold** <b>tag</b> [link](javascript:alert)\n\n```rust\nx < y\n```");
    let mut tool = part("a", "t", "");
    tool["data"]["type"] = "tool".into();
    tool["data"]["tool"] = "bash".into();
    tool["data"]["state"] =
        serde_json::json!({"status": "completed", "input": {"command": "cargo test <x>"}});
    share
        .sync(&[prompt, part("u", "p", "1 < 2?\nReally?"), crate::harness::message("a", 2), answer, tool])
        .await;
    let page = async || get(&server, &format!("/s/{}", share.id), "text/html").await.2;
    let html = page().await;
    for words in [
        "<section class=\"turn\" id=\"u\">",
        "<div class=\"prompt-text\" dir=\"auto\">1 &lt; 2?\nReally?</div>",
        "<strong>bold</strong> &lt;b&gt;tag&lt;/b&gt; link</p>",
        "<code class=\"language-rust\">x &lt; y\n</code>",
        "<code dir=\"auto\">cargo test &lt;x&gt;</code>",
    ] {
        assert!(html.contains(words), "{words} in {html}");
    }
    // Of a long session there is a beginning.
    let more: Vec<_> = (0..40).map(|n| part("a", &format!("q{n}"), &"<&> ".repeat(10_000))).collect();
    share.sync(&more).await;
    let html = page().await;
    assert!(html.contains("Cut here.") && html.len() < 1 << 20, "{}", html.len());
}
