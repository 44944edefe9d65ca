//! Sessions of agents that know nothing of sharing: what they write down is found and followed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use awc::http::Method;
use brutus_share::import::transcripts::{Agent, Source, Transcript};
use serde_json::{Value, json};

use crate::harness::relay::TestRelay;
use crate::harness::{TestServer, program, until};

/// A session that a real program wrote down.
struct Recorded {
    agent: Agent,
    name: &'static str,
    /// The agent's own id of it.
    id: &'static str,
    fixture: &'static str,
    /// Where the agent keeps it, below the home of its user.
    place: &'static str,
    title: &'static str,
}

const CLAUDE: Recorded = Recorded {
    agent: Agent::ClaudeCode,
    name: "Claude Code",
    id: "cf4807ab-7a31-4281-a927-0be28c687d9b",
    fixture: "claude-2.1.331/.claude/projects/-home-dev-fizz/cf4807ab-7a31-4281-a927-0be28c687d9b.jsonl",
    place: ".claude/projects/-home-dev-fizz/cf4807ab-7a31-4281-a927-0be28c687d9b.jsonl",
    title: "Write the fizz program",
};

const CODEX: Recorded = Recorded {
    agent: Agent::Codex,
    name: "Codex",
    id: "01a210bf-2839-7cb2-bf0b-23119a62ebba",
    fixture: concat!(
        "codex-0.169.0/sessions/2026/11/25/",
        "rollout-2026-11-25T03-28-12-01a210bf-2839-7cb2-bf0b-23119a62ebba.jsonl"
    ),
    place: concat!(
        ".codex/sessions/2026/11/25/",
        "rollout-2026-11-25T03-28-12-01a210bf-2839-7cb2-bf0b-23119a62ebba.jsonl"
    ),
    title: "Write the fizz program",
};

const RECORDED: [Recorded; 6] = [
    CLAUDE,
    CODEX,
    Recorded {
        agent: Agent::Codex,
        name: "Codex",
        id: "cf25b447-2917-486e-8c10-bf1ac5818179",
        fixture: concat!(
            "codex-0.20.0/sessions/2026/11/25/",
            "rollout-2026-11-25T03-27-55-cf25b447-2917-486e-8c10-bf1ac5818179.jsonl"
        ),
        place: concat!(
            ".codex/sessions/2026/11/25/",
            "rollout-2026-11-25T03-27-55-cf25b447-2917-486e-8c10-bf1ac5818179.jsonl"
        ),
        title: "Write the fizz program",
    },
    Recorded {
        agent: Agent::GeminiCli,
        name: "Gemini CLI",
        id: "18fb0021-40ee-4392-9ffd-8c621a783bb7",
        fixture: "gemini-0.61.0/.gemini/tmp/fizz/chats/session-2026-11-25T03-29-18fb0021.jsonl",
        place: ".gemini/tmp/fizz/chats/session-2026-11-25T03-29-18fb0021.jsonl",
        title: "Write the fizz program",
    },
    Recorded {
        agent: Agent::Pi,
        name: "pi",
        id: "01a210c1-a653-7529-a413-990df420d324",
        fixture: "pi-0.73.1/2026-11-25T03-30-56-212Z_01a210c1-a653-7529-a413-990df420d324.jsonl",
        place: concat!(
            ".pi/agent/sessions/--home-dev-fizz--/",
            "2026-11-25T03-30-56-212Z_01a210c1-a653-7529-a413-990df420d324.jsonl"
        ),
        title: "Write the fizz program",
    },
    Recorded {
        agent: Agent::QwenCode,
        name: "Qwen Code",
        id: "0000aaaa-0000-4000-8000-000000000001",
        fixture: "",
        place: ".qwen/projects/-home-dev-fizz/chats/0000aaaa-0000-4000-8000-000000000001.jsonl",
        title: "Write the fizz program",
    },
];

/// By hand, in the shape of Qwen Code's.
const QWEN: &str = concat!(
    r#"{"uuid":"1","parentUuid":null,"sessionId":"q","timestamp":"2026-03-01T10:00:01.000Z","type":"user","#,
    r#""cwd":"/home/dev/fizz","message":{"role":"user","parts":[{"text":"Write the fizz program."}]}}"#,
    "\n",
    r#"{"uuid":"2","parentUuid":"1","sessionId":"q","timestamp":"2026-03-01T10:00:02.000Z","type":"assistant","#,
    r#""model":"qwen3","message":{"role":"model","parts":[{"text":"I run."},{"functionCall":{"id":"c1","#,
    r#""name":"run_shell_command","args":{"command":"true"}}}]}}"#,
    "\n",
    r#"{"uuid":"3","parentUuid":"2","sessionId":"q","timestamp":"2026-03-01T10:00:03.000Z","type":"tool_result","#,
    r#""message":{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"run_shell_command","#,
    r#""response":{"output":"Output: (empty)\nExit Code: 0"}}}]},"#,
    r#""toolCallResult":{"callId":"c1","status":"success","resultDisplay":"x"}}"#,
    "\n",
);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transcripts").join(name)
}

impl Recorded {
    fn session(&self) -> String {
        format!("{}{}", self.agent.prefix(), self.id)
    }

    fn directory(&self) -> Option<&str> {
        Some("/home/dev/fizz").filter(|_| !self.fixture.starts_with("codex-0.20"))
    }

    fn bytes(&self) -> Vec<u8> {
        if self.fixture.is_empty() {
            QWEN.into()
        } else {
            fs::read(fixture(self.fixture)).expect("a fixture")
        }
    }

    /// Where the file stands in a home.
    fn file(&self, relay: &TestRelay) -> PathBuf {
        let file = relay.home().join(self.place);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        file
    }

    /// The items of messages that come of a file's bytes.
    fn items(&self, bytes: &[u8]) -> BTreeMap<String, Value> {
        let mut transcript =
            Transcript::new(self.agent, &Source { id: self.id.to_owned(), ..Source::default() });
        transcript.feed(bytes);
        of_messages(transcript.take_changes().items.iter().map(|item| {
            (item.key.as_str().to_owned(), serde_json::from_str(item.content.get()).expect("JSON"))
        }))
    }

    async fn share(&self, relay: &TestRelay) -> String {
        let (status, shared) = share(relay, &self.session()).await;
        assert_eq!(status, 200, "{shared}");
        shared["id"].as_str().expect("an id").to_owned()
    }
}

async fn share(relay: &TestRelay, session: &str) -> (u16, Value) {
    relay.request(Method::POST, &format!("/v1/sessions/{session}/share"), &Value::Null).await
}

fn of_messages(items: impl Iterator<Item = (String, Value)>) -> BTreeMap<String, Value> {
    items.filter(|(key, _)| key.starts_with("message/") || key.starts_with("part/")).collect()
}

/// The items of messages that a share has.
async fn held(server: &TestServer, share: &str) -> BTreeMap<String, Value> {
    let (_, data) = server.get(&format!("/api/share/{share}/data")).await;
    let key = |item: &Value| {
        let field = |name: &str| item["data"][name].as_str().unwrap_or_default().to_owned();
        match item["type"].as_str() {
            Some("part") => format!("part/{}/{}", field("messageID"), field("id")),
            kind => format!("{}/{}", kind.unwrap_or_default(), field("id")),
        }
    };
    of_messages(data.as_array().expect("items").iter().map(|item| (key(item), item["data"].clone())))
}

/// Waits until a share has exactly these.
async fn until_held(server: &TestServer, share: &str, items: &BTreeMap<String, Value>) {
    until("the items", async || held(server, share).await == *items).await;
}

async fn seq(server: &TestServer, share: &str) -> u64 {
    server.get(&format!("/api/share/{share}")).await.1["seq"].as_u64().expect("a number")
}

fn append(file: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("a file");
    file.write_all(bytes).expect("written");
}

/// A file's bytes up to a line's end in its middle.
fn middle(bytes: &[u8]) -> usize {
    let half = bytes.len() / 2;
    half + bytes[half..].iter().position(|byte| *byte == b'\n').expect("a line's end") + 1
}

#[actix_web::test]
async fn every_agents_session_is_listed_shared_and_followed_also_after_a_kill() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let (status, refused) = share(&relay, &CLAUDE.session()).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("unknown_session")));
    for recorded in &RECORDED {
        let bytes = recorded.bytes();
        // Half a line is not there yet.
        append(&recorded.file(&relay), &bytes[..middle(&bytes) + 20]);
    }
    fs::write(relay.home().join(".gemini/tmp/fizz/.project_root"), "/home/dev/fizz").expect("written");
    let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
    assert_eq!(sessions.as_array().map(Vec::len), Some(RECORDED.len()), "{sessions}");
    let (_, refused) = relay.request(Method::POST, "/v1/sessions/other/share", &Value::Null).await;
    let offered = refused["error"]["sessions"].as_array().map(Vec::len);
    assert_eq!(offered, Some(RECORDED.len()), "what could be shared in its place");

    let mut shares = Vec::new();
    for recorded in &RECORDED {
        let known = sessions.as_array().expect("a list").iter();
        let mut known = known.filter(|session| session["sessionID"] == recorded.session());
        let known = known.next().expect(recorded.place);
        assert_eq!((&known["agent"], known["state"].as_str()), (&json!(recorded.name), Some("busy")));
        // The oldest form does not always say where its agent works.
        let directory = recorded.directory();
        assert_eq!(known["directory"].as_str(), directory, "{known}");
        assert!(known["title"].as_str().is_some_and(|title| title.starts_with(recorded.title)), "{known}");
        let id = recorded.share(&relay).await;
        let bytes = recorded.bytes();
        until_held(&server, &id, &recorded.items(&bytes[..middle(&bytes)])).await;
        assert_eq!(recorded.share(&relay).await, id, "the same again");
        shares.push(id);
    }
    for (recorded, id) in RECORDED.iter().zip(&shares) {
        let bytes = recorded.bytes();
        let cut = bytes.len() - bytes.len() / 5;
        append(&recorded.file(&relay), &bytes[middle(&bytes) + 20..cut]);
        until_held(&server, id, &recorded.items(&bytes[..cut])).await;
    }
    relay.kill();
    for recorded in &RECORDED {
        let bytes = recorded.bytes();
        append(&recorded.file(&relay), &bytes[bytes.len() - bytes.len() / 5..]);
    }
    relay.restart();
    for (recorded, id) in RECORDED.iter().zip(&shares) {
        until_held(&server, id, &recorded.items(&recorded.bytes())).await;
        let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
        let told =
            |kind: &str| data.as_array().expect("items").iter().find(|item| item["type"] == kind).cloned();
        assert_eq!(told("agent").expect("the agent")["data"]["name"], recorded.name);
        assert!(told("status").is_some());
        assert_eq!(told("session").expect("the session")["data"]["directory"].as_str(), recorded.directory());

        // A share outlives its file, and an unshare ends it.
        fs::remove_file(recorded.file(&relay)).expect("gone");
        assert_eq!(server.get(&format!("/api/share/{id}")).await.0, 200);
        assert_eq!(relay.unshare(&recorded.session()).await, 200);
        assert_eq!(server.get(&format!("/api/share/{id}")).await.0, 404);
    }
    let secret = |folder: &Path| {
        let output =
            std::process::Command::new("grep").args(["-rl", "SECRET-"]).arg(folder).output().expect("runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(
        secret(&server.data_dir()) + &secret(&relay.local_dir()),
        "",
        "what the agents tell their models"
    );
    assert!(!relay.log().contains("SECRET-") && !server.log().contains("SECRET-"));
}

#[actix_web::test]
async fn what_is_read_again_is_not_sent_again() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let bytes = CODEX.bytes();
    let (file, cut) = (CODEX.file(&relay), middle(&bytes));
    append(&file, &bytes[..cut]);
    let id = CODEX.share(&relay).await;
    until_held(&server, &id, &CODEX.items(&bytes[..cut])).await;
    relay.flush_through(&CODEX.session()).await;
    let before = seq(&server, &id).await;

    // The relay's life ends; meanwhile the file goes to another place and is compressed.
    relay.kill();
    append(&file, &bytes[cut..]);
    let archived = relay.home().join(".codex/archived_sessions").join(file.file_name().expect("a name"));
    fs::create_dir_all(archived.parent().expect("a folder")).expect("a folder");
    fs::write(archived.with_extension("jsonl.zst"), packed(&bytes)).expect("written");
    fs::remove_file(&file).expect("removed");
    relay.restart();
    let (half, whole) = (CODEX.items(&bytes[..cut]), CODEX.items(&bytes));
    until_held(&server, &id, &whole).await;
    relay.flush_through(&CODEX.session()).await;
    // Beside them the session's own item, and what its agent does.
    let different = whole.iter().filter(|(key, item)| half.get(*key) != Some(item)).count() as u64;
    let moved = seq(&server, &id).await - before;
    assert!((different..=different + 4).contains(&moved), "{moved} for {different} items");

    // It is unpacked again, in the place where it was, and goes on.
    fs::write(&file, &bytes).expect("written");
    fs::remove_file(archived.with_extension("jsonl.zst")).expect("removed");
    let more = json!({
        "timestamp": "2026-11-25T04:00:00.000Z",
        "type": "response_item",
        "payload": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "One more"}]},
    });
    let more = format!("{more}\n").into_bytes();
    append(&file, &more);
    relay.kill();
    relay.restart();
    until_held(&server, &id, &CODEX.items(&[bytes, more].concat())).await;
}

#[actix_web::test]
async fn a_file_that_is_moved_replaced_or_emptied_while_it_is_followed() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let bytes = CLAUDE.bytes();
    let (file, cut) = (CLAUDE.file(&relay), middle(&bytes));
    append(&file, &bytes);
    let id = CLAUDE.share(&relay).await;
    let whole = CLAUDE.items(&bytes);
    until_held(&server, &id, &whole).await;

    // Written over in its place by something shorter: what is not in it any more goes.
    fs::write(&file, &bytes[..cut]).expect("written");
    until_held(&server, &id, &CLAUDE.items(&bytes[..cut])).await;
    // Another in its place, under the same name.
    let other = file.with_extension("new");
    fs::write(&other, &bytes).expect("written");
    fs::rename(&other, &file).expect("renamed");
    until_held(&server, &id, &whole).await;
    // Emptied, and written on: what was there stays, for nobody took it back.
    fs::write(&file, "").expect("emptied");
    append(&file, b"{\"type\":\"mode\"}\n");
    let renamed =
        file.parent().expect("a folder").with_file_name("-home-dev-other").join(file.file_name().unwrap());
    fs::create_dir_all(renamed.parent().expect("a folder")).expect("a folder");
    fs::rename(&file, &renamed).expect("renamed");
    fs::write(&renamed, &bytes).expect("written");
    let more = json!({
        "type": "user",
        "uuid": "last",
        "parentUuid": null,
        "sessionId": "x",
        "timestamp": "2026-11-26T00:00:00.000Z",
        "message": {"role": "user", "content": "One more"},
    });
    append(&renamed, format!("{more}\n").as_bytes());
    until("the last prompt", async || {
        let held = held(&server, &id).await;
        held.len() > whole.len() && whole.iter().all(|(key, item)| held.get(key) == Some(item))
    })
    .await;
}

#[actix_web::test]
async fn a_subagents_session_stands_in_the_share_of_the_one_that_it_works_for() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let parent = "ced1e0b1-32f6-4b65-a494-1f46e5d5821b";
    let from = fixture("claude-2.1.331/.claude/projects/-home-dev-fizz");
    let to = relay.home().join(".claude/projects/-home-dev-fizz");
    let agents = [("a1177f4d6dee94e7e", "toolu_00001100"), ("aa450bc01875722e5", "toolu_00001000")];
    fs::create_dir_all(to.join(parent).join("subagents")).expect("a folder");
    fs::copy(from.join(format!("{parent}.jsonl")), to.join(format!("{parent}.jsonl"))).expect("copied");
    let copy = |agent: &str, extension: &str| {
        let file = Path::new(parent).join("subagents").join(format!("agent-{agent}.{extension}"));
        fs::copy(from.join(&file), to.join(&file)).expect("copied");
    };
    copy(agents[0].0, "jsonl");
    copy(agents[0].0, "meta.json");
    let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "a subagent's is none of its own: {sessions}");
    let (status, shared) = share(&relay, &format!("cc_{parent}")).await;
    assert_eq!(status, 200, "{shared}");
    let id = shared["id"].as_str().expect("an id");
    let of_agent = async |agent: &str| {
        let items = held(&server, id).await;
        let session = json!(format!("cc_{agent}"));
        let of_agent = |kind: &str| {
            let mine =
                items.iter().filter(|(key, item)| key.starts_with(kind) && item["sessionID"] == session);
            mine.count()
        };
        (of_agent("message/"), of_agent("part/"))
    };
    until("the first subagent", async || of_agent(agents[0].0).await == (3, 4)).await;
    // The other begins while the session is followed.
    copy(agents[1].0, "jsonl");
    copy(agents[1].0, "meta.json");
    until("the second subagent", async || of_agent(agents[1].0).await == (3, 4)).await;
    until("the links", async || {
        let items = held(&server, id).await;
        agents.iter().all(|(agent, call)| {
            let task = items.values().find(|item| item["callID"] == *call).expect("a call");
            task["state"]["metadata"]["sessionId"] == format!("cc_{agent}")
        })
    })
    .await;
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    let sessions = data.as_array().expect("items").iter().filter(|item| item["type"] == "session");
    assert_eq!(sessions.count(), 1);
}

#[actix_web::test]
async fn a_fork_begins_with_what_stands_in_its_parents_file() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let fork = Recorded {
        id: "01a210c0-2c0d-7512-b946-7b47cf954c8d",
        fixture: concat!(
            "codex-0.169.0/sessions/2026/11/25/",
            "rollout-2026-11-25T03-29-19-01a210c0-2c0d-7512-b946-7b47cf954c8d.jsonl"
        ),
        place: concat!(
            ".codex/sessions/2026/11/25/",
            "rollout-2026-11-25T03-29-19-01a210c0-2c0d-7512-b946-7b47cf954c8d.jsonl"
        ),
        ..CODEX
    };
    append(&CODEX.file(&relay), &CODEX.bytes());
    append(&fork.file(&relay), &fork.bytes());
    let id = fork.share(&relay).await;
    let roles = async || {
        let items = held(&server, &id).await;
        let of = |role: &str| items.values().filter(|item| item["role"] == role).count();
        (of("user"), of("assistant"))
    };
    until("the fork with its past", async || roles().await == (5, 15)).await;
}

#[actix_web::test]
async fn a_person_shares_the_session_of_the_directory_and_publishes_a_file() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let project = relay.home().join("fizz");
    fs::create_dir(&project).expect("a folder");
    let run = |args: &[&str]| {
        let mut command = program();
        command
            .args(args)
            .args(["--relay", &relay.url, "--local-dir"])
            .arg(relay.local_dir())
            .current_dir(&project);
        let output = command.output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code().expect("a code"), text(output.stdout), text(output.stderr))
    };
    let (code, _, error) = run(&["share"]);
    assert!(code == 4 && error.contains("no session of an agent is known in"), "{error}");
    assert_eq!(run(&["sessions"]).1, "No session is known that could be shared.\n");

    let text = String::from_utf8(CLAUDE.bytes()).expect("text");
    append(&CLAUDE.file(&relay), text.replace("/home/dev/fizz", project.to_str().expect("text")).as_bytes());
    append(&CODEX.file(&relay), &CODEX.bytes());
    let (code, shared, error) = run(&["share"]);
    assert_eq!(code, 0, "{error}");
    let [what, url] = shared.lines().collect::<Vec<_>>()[..] else { panic!("{shared}") };
    assert!(what.starts_with("Claude Code, \"Write the fizz program") && what.ends_with(" ago"), "{what}");
    assert!(url.starts_with(&format!("{}/s/", server.url)), "{url}");
    let (_, listed, _) = run(&["sessions"]);
    assert!(
        listed.lines().any(|line| line.starts_with(&CLAUDE.session()) && line.ends_with(url)),
        "{listed}"
    );
    assert!(
        listed.lines().any(|line| line.starts_with(&CODEX.session()) && line.contains("Codex")),
        "{listed}"
    );
    let (_, json, _) = run(&["sessions", "--json", "--all"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(2));

    // By its file, it is the same session.
    let file = CLAUDE.file(&relay);
    assert_eq!(run(&["share", file.to_str().expect("text")]), (0, format!("{url}\n"), String::new()));
    // A published file is a share of its own, and what comes to the file is not in it.
    let (code, published, error) = run(&["publish", CODEX.file(&relay).to_str().expect("text")]);
    assert_eq!(code, 0, "{error}");
    let id = published.trim().rsplit('/').next().expect("an id").to_owned();
    until_held(&server, &id, &CODEX.items(&CODEX.bytes())).await;
    let list = project.join("list.json");
    fs::write(&list, r#"[{"role":"user","content":"Say hello"},{"role":"assistant","content":"Hello!"}]"#)
        .expect("written");
    let (code, published, error) = run(&["publish", "list.json"]);
    assert_eq!(code, 0, "{error}");
    let (_, markdown) =
        server.get(&format!("/api/share/{}/data", published.trim().rsplit('/').next().unwrap())).await;
    assert!(markdown.to_string().contains("Hello!"), "{markdown}");
    fs::write(&list, "{}").expect("written");
    let (code, _, error) = run(&["publish", "list.json"]);
    assert!(code == 1 && error.contains("no transcript of an agent"), "{error}");
    let (code, _, error) = run(&["publish", "none.jsonl"]);
    assert!(code == 1 && error.contains("none.jsonl: No such file"), "{error}");
}

#[actix_web::test]
async fn a_hook_says_which_of_an_agents_sessions_works() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    append(&CLAUDE.file(&relay), &CLAUDE.bytes());
    for (session, status) in [(&*CLAUDE.session(), "waiting"), ("cc_of_no_transcript", "busy")] {
        let door = format!("/v1/sessions/{session}/status");
        let told = json!({"state": status, "label": "Run it?"});
        assert_eq!(relay.request(Method::POST, &door, &told).await.0, 202);
    }
    let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
    let listed: Vec<_> = sessions.as_array().expect("a list").iter().collect();
    assert_eq!(listed.len(), 1, "there is nothing to share of the other: {sessions}");
    assert_eq!((&listed[0]["sessionID"], &listed[0]["state"]), (&json!(CLAUDE.session()), &json!("waiting")));
    assert!(listed[0]["title"].is_string());
    CLAUDE.share(&relay).await;
}

#[actix_web::test]
async fn nothing_is_read_where_that_is_switched_off() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &["--sources", "false"]);
    append(&CLAUDE.file(&relay), &CLAUDE.bytes());
    assert_eq!(relay.request(Method::GET, "/v1/sessions", &Value::Null).await.1, json!([]));
    assert_eq!(share(&relay, &CLAUDE.session()).await.0, 404);
}

/// As Codex compresses old transcripts.
fn packed(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}
