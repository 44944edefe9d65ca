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
    assert!(html.contains("## Prompt") && html.contains(&format!("{page}.md")));
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
    assert_eq!(html.matches("<title>").count(), 1);
}
