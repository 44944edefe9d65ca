//! Secrets stay at home: what the relay hides before anything of it is on a disk or on its way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aho_corasick::AhoCorasick;
use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::relay::{TestRelay, part_event};
use crate::harness::secrets::{Case, pieces};
use crate::harness::{TestServer, TestViewer, client, message, part, program, session, sqlite, until};

/// A token whose shape is known.
fn token() -> String {
    ["gh", "p_UQ4b1LHHyBLMS6Ckuy83s7XffZPIKF20z4iO"].concat()
}

/// A server that looks for nothing itself.
fn trusting_server() -> TestServer {
    TestServer::start(&["--redact", "off"])
}

async fn items(server: &TestServer, share: &str) -> BTreeMap<String, Value> {
    let (_, data) = server.get(&format!("/api/share/{share}/data")).await;
    let keyed = data.as_array().expect("items").iter().map(|item| {
        let id = |name: &str| item["data"][name].as_str().unwrap_or_default().to_owned();
        let key = match item["type"].as_str() {
            Some("part") => format!("part/{}/{}", id("messageID"), id("id")),
            Some("message") => format!("message/{}", id("id")),
            kind => kind.unwrap_or_default().to_owned(),
        };
        (key, item.clone())
    });
    keyed.collect()
}

async fn text(server: &TestServer, share: &str, id: &str) -> String {
    items(server, share).await[&format!("part/m/{id}")]["data"]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn redactions(relay: &TestRelay, session: &str) -> Value {
    let path = format!("/v1/sessions/{session}/redactions");
    let (status, listed) = relay.request(Method::GET, &path, &Value::Null).await;
    assert_eq!(status, 200, "{listed}");
    listed
}

async fn page(server: &TestServer, path: &str) -> String {
    let mut answer = client().get(format!("{}{path}", server.url)).send().await.expect("an answer");
    String::from_utf8(answer.body().limit(64 << 20).await.expect("a body").to_vec()).expect("UTF-8")
}

/// All that is in the files of a directory.
fn files(directory: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(directory).expect("a directory").map(|file| file.expect("a file").path());
    let read = |path: std::path::PathBuf| {
        let bytes = fs::read(&path).ok()?;
        Some((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()))
    };
    files.filter_map(read).collect()
}

#[actix_web::test]
async fn planted_secrets_are_in_no_file_on_no_page_and_in_no_log() {
    let server = trusting_server();
    let relay = TestRelay::start(&server.url, &["--log", "trace"]);
    let cases = Case::all("planted");
    let sent: Vec<_> = cases.iter().map(Case::item).collect();
    let (backlog, later) = sent.split_at(180);
    let id = relay.share("ses_1", backlog).await;
    let url = format!("ws://{}/api/share/{id}/poll", server.address);
    let mut viewer = TestViewer::connect(&url).await;
    let event = |item: &Value| {
        json!({"type": format!("{}.updated", item["type"].as_str().expect("a type")),
        "sessionID": "ses_1", "data": item["data"]})
    };
    for events in later.chunks(60) {
        assert_eq!(relay.report(&events.iter().map(event).collect::<Vec<_>>()).await, 60);
    }
    relay.flush_through("ses_1").await;
    viewer.until("all", |viewer| viewer.items.len() == 360).await;

    let stored = items(&server, &id).await;
    let shown: Vec<_> = cases.iter().filter(|case| case.is_shown_by(&stored[&case.key()])).collect();
    assert!(shown.is_empty(), "{:?}", shown.iter().map(|case| case.str("id")).collect::<Vec<_>>());
    let pieces: Vec<_> = pieces(&cases).into_iter().collect();
    let sought = AhoCorasick::new(&pieces).expect("an automaton");
    let mut said = vec![("the viewer".to_owned(), json!(viewer.items).to_string())];
    for path in [format!("/api/share/{id}/items"), format!("/s/{id}.md?full=1"), format!("/s/{id}")] {
        said.push((path.clone(), page(&server, &path).await));
    }
    said.push(("what is listed".into(), redactions(&relay, "ses_1").await.to_string()));
    said.push(("a log".into(), server.log() + &relay.log()));
    said.extend(files(&server.data_dir()));
    said.extend(files(&relay.local_dir()));
    assert!(said.len() >= 10);
    for (place, text) in said {
        assert_eq!(sought.find(&text).map(|found| &pieces[found.pattern().as_usize()]), None, "{place}");
    }
}

#[actix_web::test]
async fn what_only_looks_like_a_secret_keeps_its_bytes() {
    let server = trusting_server();
    let relay = TestRelay::start(&server.url, &[]);
    let cases = Case::all("negatives");
    let sent: Vec<_> = cases.iter().map(Case::item).collect();
    let odd = part("m", "odd", "1.50 é \u{1f600}");
    let id = relay.share("ses_1", &[&sent[..], std::slice::from_ref(&odd)].concat()).await;
    relay.flush_through("ses_1").await;
    let stored = items(&server, &id).await;
    for case in &cases {
        assert_eq!(stored[&case.key()], case.item(), "{}", case.str("id"));
    }
    assert_eq!(stored["part/m/odd"], odd);
    assert_eq!(redactions(&relay, "ses_1").await, json!({"hidden": {}, "redactions": []}));
}

#[actix_web::test]
async fn values_of_the_owner_are_known_wherever_they_are_kept() {
    let server = trusting_server();
    let values = [
        ("environment", "DEPLOY_PASSWORD", "plum-anchor 71 orbit"),
        ("env file", "SESSION_SECRET", "teal/lantern-42 moss"),
        ("credentials", "aws_secret_access_key", "vex9 quartz/81+pine"),
        ("told", "LICENSE", "walrus_under_nine_moons"),
        ("another file", "SIGNING_KEY", "copper-ibis-55-drift"),
    ];
    let [environment, of_file, credentials, told, other] = values.map(|(_, _, value)| value);
    let config = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    fs::write(config.path(), "[redact]\nfiles = [\"deploy/*.conf\"]\n").expect("written");
    let args = ["--config", config.path().to_str().expect("a path")];
    let relay = TestRelay::start_with_env(&server.url, &args, &[("DEPLOY_PASSWORD", environment)]);
    let directory = relay.home().join("project");
    fs::create_dir_all(directory.join("deploy")).expect("a directory");
    fs::create_dir_all(relay.home().join(".aws")).expect("a directory");
    fs::write(directory.join(".env.local"), format!("SESSION_SECRET=\"{of_file}\"\n")).expect("written");
    fs::write(directory.join("deploy/app.conf"), format!("SIGNING_KEY = {other}\n")).expect("written");
    fs::write(
        relay.home().join(".aws/credentials"),
        format!("[default]\naws_secret_access_key = {credentials}\n"),
    )
    .expect("written");
    let (status, answer) = relay
        .request(Method::PUT, "/v1/secrets", &json!({"LICENSE": told, "SHORT": "1234", "GONE": null}))
        .await;
    assert_eq!((status, answer), (200, json!({"accepted": 1, "ignored": 1})));

    let mut about = session("Known values");
    about["data"]["directory"] = json!(directory);
    let said = values
        .iter()
        .enumerate()
        .map(|(n, (.., value))| part("m", &format!("p{n}"), &format!("= {value} ;")));
    let said: Vec<_> = [about, message("m", 1)].into_iter().chain(said).collect();
    let id = relay.share("ses_1", &said).await;
    relay.flush_through("ses_1").await;
    for (n, (place, name, _)) in values.iter().enumerate() {
        let kind = name.to_ascii_lowercase().replace('_', "-");
        assert_eq!(
            text(&server, &id, &format!("p{n}")).await,
            format!("= [redacted:env-{kind}-1] ;"),
            "{place}"
        );
    }
    let token = relay.token();
    relay.report(&[part_event("ses_1", "m", "own", &format!("my token: {}", token.trim()))]).await;
    relay.flush_through("ses_1").await;
    assert!(!text(&server, &id, "own").await.contains(token.trim()));

    // A file that changes is read again.
    fs::write(directory.join(".env.local"), "SESSION_SECRET='violet+harbor+908'\n").expect("written");
    until("the new value is known", async || {
        relay.report(&[part_event("ses_1", "m", "new", "violet+harbor+908 it is")]).await;
        relay.flush_through("ses_1").await;
        text(&server, &id, "new").await == "[redacted:env-session-secret-2] it is"
    })
    .await;
    let (status, refused) = relay.request(Method::PUT, "/v1/secrets", &json!({"A": 7})).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("malformed")));
}

#[actix_web::test]
async fn known_values_go_in_whatever_way_they_are_written() {
    let server = trusting_server();
    let cases = Case::all("known");
    let env: BTreeMap<_, _> = cases.iter().map(|case| (case.str("name").to_owned(), case.value())).collect();
    let relay = TestRelay::start(&server.url, &[]);
    let (status, answer) = relay.request(Method::PUT, "/v1/secrets", &json!(env)).await;
    assert_eq!((status, &answer["ignored"]), (200, &json!(0)), "{answer}");
    let sent: Vec<_> = cases.iter().map(Case::item).collect();
    let id = relay.share("ses_1", &sent).await;
    relay.flush_through("ses_1").await;
    let stored = items(&server, &id).await;
    let shown: Vec<_> = cases.iter().filter(|case| case.is_shown_by(&stored[&case.key()])).collect();
    assert!(shown.is_empty(), "{:?}", shown.iter().map(|case| case.str("id")).collect::<Vec<_>>());
}

#[actix_web::test]
async fn a_secret_is_not_seen_while_it_is_being_written_and_viewers_get_what_is_added() {
    let server = trusting_server();
    let relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[message("m", 1)]).await;
    let url = format!("ws://{}/api/share/{id}/poll?append=1", server.address);
    let mut viewer = TestViewer::connect(&url).await;
    let words = "The deploy key is in the settings of the project, and nobody has to know it. ".repeat(320);
    let answer = format!("{words}\nGITHUB_TOKEN={}\n{words}", token());
    let begun = json!({"type": "message.part.updated", "properties": {"part": {
        "id": "p", "messageID": "m", "sessionID": "ses_1", "type": "text", "text": "", "time": {"start": 1}}}});
    relay.report(&[begun]).await;
    let mut seen = Vec::new();
    for piece in answer.as_bytes().chunks(1000) {
        let piece = std::str::from_utf8(piece).expect("ASCII");
        relay
            .report(&[
                json!({"type": "message.part.delta", "properties": {"sessionID": "ses_1", "messageID": "m",
                "partID": "p", "field": "text", "delta": piece}}),
            ])
            .await;
        relay.flush_through("ses_1").await;
        let shown = text(&server, &id, "p").await;
        let begins = seen.last().is_none_or(|before: &String| shown.starts_with(before));
        assert!(begins && !shown.contains(&token()[..9]), "{shown}");
        seen.push(shown);
    }
    let most = seen.last().expect("the answer").clone();
    viewer
        .until("what was shown", |viewer| {
            viewer.items.get("part/m/p").is_some_and(|part| part["text"] == most)
        })
        .await;
    assert!(viewer.bytes < answer.len() * 13 / 10, "{} of {}", viewer.bytes, answer.len());
    let whole = json!({"type": "message.part.updated", "properties": {"part": {
        "id": "p", "messageID": "m", "sessionID": "ses_1", "type": "text", "text": answer,
        "time": {"start": 1, "end": 2}}}});
    relay.report(&[whole]).await;
    let shown = answer.replace(&token(), "[redacted:github-token-1]");
    viewer
        .until("the end", |viewer| viewer.items.get("part/m/p").is_some_and(|part| part["text"] == shown))
        .await;
}

#[actix_web::test]
async fn a_value_has_one_name_over_restarts_and_what_was_hidden_is_listed() {
    let server = trusting_server();
    let mut relay = TestRelay::start(&server.url, &["--log", "trace"]);
    let other = token().replace("UQ4b1", "ZQ4b1");
    let bash = json!({"type": "part", "data": {"id": "p", "messageID": "m", "type": "tool", "tool": "read", "state": {
        "status": "completed", "input": {"filePath": "/app/notes"}, "output": format!("a {0} b {0}", token())}}});
    let id = relay.share("ses_1", &[message("m", 1), bash, part("m", "q", &other)]).await;
    relay.flush_through("ses_1").await;
    let listed = redactions(&relay, "ses_1").await;
    assert_eq!(listed["hidden"], json!({"github-token": 2}));
    let first = &listed["redactions"][0];
    assert_eq!(
        (&first["placeholder"], &first["count"], &first["places"]),
        (
            &json!("[redacted:github-token-1]"),
            &json!(2),
            &json!([{"item": "part/m/p", "field": "state/output", "messageID": "m", "tool": "read",
                "file": "/app/notes", "count": 2}])
        )
    );

    relay.kill();
    relay.restart();
    assert_eq!(redactions(&relay, "ses_1").await, listed);
    let third = token().replace("UQ4b1", "YQ4b1");
    relay.report(&[part_event("ses_1", "m", "r", &format!("{third} {other} {}", token()))]).await;
    relay.flush_through("ses_1").await;
    let named = |n: usize| format!("[redacted:github-token-{n}]");
    assert_eq!(text(&server, &id, "r").await, format!("{} {} {}", named(3), named(2), named(1)));

    // With its message goes what was found in it, and with the share all of it.
    let removed = json!({"type": "message.removed", "properties": {"sessionID": "ses_1", "messageID": "m"}});
    relay.report(&[removed]).await;
    assert_eq!(redactions(&relay, "ses_1").await["redactions"], json!([]));
    relay.report(&[part_event("ses_1", "m2", "p", &token())]).await;
    let spool = relay.local_dir().join("spool.db");
    assert_eq!(sqlite(&spool, "SELECT count(*) FROM redactions"), "3");
    assert_eq!(relay.unshare("ses_1").await, 200);
    until("nothing is left", async || {
        sqlite(&spool, "SELECT (SELECT count(*) FROM redactions) + (SELECT count(*) FROM findings)") == "0"
    })
    .await;
    let (status, refused) = relay.request(Method::GET, "/v1/sessions/ses_1/redactions", &Value::Null).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("unknown_session")));
}

#[actix_web::test]
async fn the_owner_lets_values_through_adds_rules_and_has_a_share_looked_at_again() {
    let server = trusting_server();
    let mut relay = TestRelay::start(&server.url, &[]);
    let texts = [
        part("m", "p", &format!("it is {}", token())),
        part("m", "q", "acme_0123456789abcdef0123456789abcdef"),
    ];
    let id = relay.share("ses_1", &[&[message("m", 1)], &texts[..]].concat()).await;
    relay.flush_through("ses_1").await;
    let q = text(&server, &id, "q").await;
    let allow = redactions(&relay, "ses_1").await["redactions"].as_array().expect("a list").iter().find_map(
        |hidden| {
            (hidden["kind"] == "github-token").then(|| hidden["allow"].as_str().expect("a digest").to_owned())
        },
    );
    let config = relay.home().join("relay.toml");
    let rule = "[[redact.rule]]\nid = \"acme-token\"\nkeywords = [\"acme_\"]\nregex = 'acme_[a-z0-9]{32}'\n";
    let allowed = format!("[redact]\nallow = [{:?}]\n{rule}", allow.expect("listed"));
    fs::write(&config, allowed).expect("written");
    relay.terminate();
    relay.restart_with(&server.url, &["--config", config.to_str().expect("a path")]);
    relay.report(&[part_event("ses_1", "m", "r", &format!("it is {}", token()))]).await;
    relay.flush_through("ses_1").await;
    assert_eq!(text(&server, &id, "r").await, format!("it is {}", token()));
    assert_eq!(text(&server, &id, "q").await, q);
    let (code, said, _) = relay.run(&["redact", "ses_1", "--again"]);
    assert!(code == 0 && said.starts_with("Items that changed: "), "{said}");
    relay.flush_through("ses_1").await;
    assert!(!text(&server, &id, "q").await.contains("acme_0123"), "a rule that came too late");

    for (wrong, names) in [
        ("[redact]\nmode = \"maybe\"\n", "maybe"),
        ("[redact]\nlevle = \"normal\"\n", "levle"),
        ("[[redact.rule]]\nid = \"short\"\nkeywords = [\"ac\"]\nregex = 'ac'\n", "`short`"),
        ("[[redact.rule]]\nid = \"group\"\nkeywords = [\"acme_\"]\nregex = 'acme_'\ngroup = 3\n", "`group`"),
    ] {
        fs::write(&config, wrong).expect("written");
        let output = program()
            .args(["relay", "--listen", "127.0.0.1:0", "--config"])
            .args([&config, Path::new("--local-dir"), &relay.home().join("other")])
            .output()
            .expect("runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(names), "{wrong}: {error}");
    }
}

#[actix_web::test]
async fn a_report_lists_and_hides_nothing_and_off_seeks_nothing() {
    let server = trusting_server();
    let said = [message("m", 1), part("m", "p", &token())];
    let report = TestRelay::start_with_env(&server.url, &[], &[("BRUTUS_SHARE_RELAY_REDACT", "report")]);
    let off = TestRelay::start(&server.url, &["--redact", "off"]);
    for (relay, hidden) in [(&report, json!({"github-token": 1})), (&off, json!({}))] {
        let id = relay.share("ses_1", &said).await;
        relay.flush_through("ses_1").await;
        assert_eq!(text(&server, &id, "p").await, token());
        assert_eq!(redactions(relay, "ses_1").await["hidden"], hidden);
    }
}

#[actix_web::test]
async fn what_cannot_be_looked_at_is_not_sent_and_the_rest_is() {
    let server = trusting_server();
    let relay = TestRelay::start(&server.url, &[]);
    let id = relay.share("ses_1", &[message("m", 1)]).await;
    let mut deep = json!(token());
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let odd = json!({"type": "part.updated", "sessionID": "ses_1",
        "data": {"id": "deep", "messageID": "m", "x": deep}});
    relay.report(&[odd, part_event("ses_1", "m", "p", "fine")]).await;
    relay.flush_through("ses_1").await;
    let stored = items(&server, &id).await;
    assert!(stored.contains_key("part/m/p") && !stored.contains_key("part/m/deep"));
    let listed = relay.list().await.remove(0);
    assert_eq!(listed["setAside"], 1);
    assert!(listed["lastError"].as_str().is_some_and(|error| error.contains("nested")), "{listed}");
}

#[actix_web::test]
async fn the_owners_name_leaves_the_paths() {
    let server = trusting_server();
    let relay = TestRelay::start(&server.url, &[]);
    let home = relay.home().display().to_string();
    let patch = format!("--- {home}/app/a.rs\n+++ {home}/app/a.rs\n@@ -1 +1 @@\n-a\n+b\n");
    let diffs = json!({"type": "message", "data": {"id": "m", "role": "user", "time": {"created": 1},
        "summary": {"diffs": [{"file": format!("{home}/app/a.rs"), "patch": patch}]}}});
    let id = relay.share("ses_1", &[diffs, part("m", "p", &format!("see {home}/app"))]).await;
    relay.flush_through("ses_1").await;
    let stored = items(&server, &id).await;
    assert!(!json!(stored).to_string().contains(&home), "{stored:?}");
    assert_eq!(stored["part/m/p"]["data"]["text"], "see ~/app");
    assert_eq!(stored["message/m"]["data"]["summary"]["diffs"][0]["file"], "~/app/a.rs");
}

#[actix_web::test]
async fn a_person_sees_what_is_hidden_before_and_after() {
    let server = trusting_server();
    let relay = TestRelay::start(&server.url, &[]);
    let told = json!([{"role": "user", "content": format!("deploy with {}", token())}]);
    let (status, _) = relay.request(Method::POST, "/v1/sessions/ses_1/messages", &told).await;
    assert_eq!(status, 202);
    let check = |(code, said, error): (i32, String, String)| {
        assert_eq!(code, 5, "{said}{error}");
        assert!(
            said.starts_with("[redacted:github-token-1]  2 times") && said.contains("allow = [\"hmac:"),
            "{said}"
        );
        assert!(!(said + &error).contains(&token()[..9]));
    };
    check(relay.run(&["redact", "ses_1"]));
    let file = relay.home().join("list.json");
    fs::write(&file, told.to_string()).expect("written");
    check(relay.run(&["redact", file.to_str().expect("a path")]));
    let (code, json, _) = relay.run(&["redact", "ses_1", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &json["hidden"]), (5, &json!({"github-token": 1})));

    let (code, said, _) = relay.run(&["share", "ses_1"]);
    assert!(
        code == 0 && said.starts_with("hides 1 github-token; see `brutus-share redact ses_1`\nhttp"),
        "{said}"
    );
    check(relay.run(&["redact", "ses_1"]));
    let (code, _, error) = relay.run(&["redact", "ses_unknown"]);
    assert!(code == 4 && error.contains("ses_1"), "{error}");
    fs::write(&file, json!([{"role": "user", "content": "hello"}]).to_string()).expect("written");
    assert_eq!(
        relay.run(&["redact", file.to_str().expect("a path")]),
        (0, "Nothing is hidden.\n".into(), String::new())
    );
}
