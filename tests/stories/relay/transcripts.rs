//! Sessions of an agent that knows nothing of sharing: what it writes down is found and followed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::relay::TestRelay;
use crate::harness::{TestServer, until};

const ID: &str = "cf4807ab-7a31-4281-a927-0be28c687d9b";
const SESSION: &str = "cc_cf4807ab-7a31-4281-a927-0be28c687d9b";

const RECORDED: &str = include_str!(concat!(
    "../../fixtures/transcripts/claude-2.1.331/.claude/projects/-home-dev-fizz/",
    "cf4807ab-7a31-4281-a927-0be28c687d9b.jsonl"
));

/// Where the agent of a relay's user writes its transcript down.
fn transcript(relay: &TestRelay) -> PathBuf {
    let home = relay.local_dir();
    let folder = home.parent().expect("a home").join(".claude/projects/-home-a-project");
    fs::create_dir_all(&folder).expect("a folder");
    folder.join(format!("{ID}.jsonl"))
}

fn append(file: &PathBuf, lines: &[&str]) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("a file");
    for line in lines {
        writeln!(file, "{line}").expect("written");
    }
}

async fn share(relay: &TestRelay) -> (u16, Value) {
    relay.request(Method::POST, &format!("/v1/sessions/{SESSION}/share"), &Value::Null).await
}

/// How many items of a type a share has, once it has as many as it should.
async fn until_items(server: &TestServer, relay: &TestRelay, share: &str, count: usize) {
    until("the items", async || {
        relay.flush_through(SESSION).await;
        let (_, data) = server.get(&format!("/api/share/{share}/data")).await;
        let items = data.as_array().expect("items").iter();
        items.filter(|item| item["type"] == "message" || item["type"] == "part").count() == count
    })
    .await;
}

#[actix_web::test]
async fn a_transcript_is_listed_shared_and_followed_also_after_a_kill() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let file = transcript(&relay);
    let lines: Vec<&str> = RECORDED.lines().collect();
    let items = |upto: usize| {
        let mut transcript = brutus_share::import::transcripts::Transcript::new(
            brutus_share::import::transcripts::Agent::ClaudeCode,
            &brutus_share::import::transcripts::Source { id: ID.to_owned(), ..Default::default() },
        );
        transcript.feed(format!("{}\n", lines[..upto].join("\n")).as_bytes());
        transcript.take_changes().items.iter().filter(|item| item.key.as_str().contains('/')).count()
    };
    let (some, more) = (lines.len() / 3, lines.len() * 2 / 3);
    let (status, refused) = share(&relay).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("unknown_session")));

    append(&file, &lines[..some]);
    let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
    let listed = &sessions[0];
    assert_eq!(
        (&listed["sessionID"], &listed["agent"]),
        (&json!(SESSION), &json!("Claude Code")),
        "{sessions}"
    );
    assert!(listed["title"].as_str().is_some_and(|title| !title.is_empty()), "{listed}");
    let (_, refused) = relay.request(Method::POST, "/v1/sessions/other/share", &Value::Null).await;
    assert_eq!(refused["error"]["sessions"][0]["sessionID"], SESSION, "what could be shared in its place");

    let (status, shared) = share(&relay).await;
    assert_eq!(status, 200, "{shared}");
    let id = shared["id"].as_str().expect("an id").to_owned();
    until_items(&server, &relay, &id, items(some)).await;
    append(&file, &lines[some..more]);
    until_items(&server, &relay, &id, items(more)).await;
    assert_eq!(share(&relay).await.1["id"], shared["id"], "the same again");

    relay.kill();
    append(&file, &lines[more..]);
    relay.restart();
    until_items(&server, &relay, &id, items(lines.len())).await;
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    let told = |kind: &str| data.as_array().expect("items").iter().find(|item| item["type"] == kind).cloned();
    assert_eq!(told("agent").expect("the agent")["data"]["name"], "Claude Code");
    assert!(told("status").is_some());

    // A share outlives its file, and an unshare ends it.
    fs::remove_file(&file).expect("gone");
    assert_eq!(server.get(&format!("/api/share/{id}")).await.0, 200);
    assert_eq!(relay.unshare(SESSION).await, 200);
    assert_eq!(server.get(&format!("/api/share/{id}")).await.0, 404);
}

#[actix_web::test]
async fn a_hook_says_which_of_an_agents_sessions_works() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    append(&transcript(&relay), &RECORDED.lines().collect::<Vec<_>>());
    for (session, status) in [(SESSION, "waiting"), ("cc_of_no_transcript", "busy")] {
        let door = format!("/v1/sessions/{session}/status");
        let told = json!({"state": status, "label": "Run it?"});
        assert_eq!(relay.request(Method::POST, &door, &told).await.0, 202);
    }
    let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
    let listed: Vec<_> = sessions.as_array().expect("a list").iter().collect();
    assert_eq!(listed.len(), 1, "there is nothing to share of the other: {sessions}");
    assert_eq!((&listed[0]["sessionID"], &listed[0]["state"]), (&json!(SESSION), &json!("waiting")));
    assert!(listed[0]["title"].is_string());
    assert_eq!(share(&relay).await.0, 200);
}

#[actix_web::test]
async fn nothing_is_read_where_that_is_switched_off() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &["--sources", "false"]);
    append(&transcript(&relay), &RECORDED.lines().collect::<Vec<_>>());
    assert_eq!(relay.request(Method::GET, "/v1/sessions", &Value::Null).await.1, json!([]));
    assert_eq!(share(&relay).await.0, 404);
}
