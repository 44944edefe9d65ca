//! Sessions that are encrypted before they are sent: their links open them, and nothing else does.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::fake::{FakeServer, created};
use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{ON_DISK, TestProcess, TestServer, TestViewer, message, part, program, session};

/// A word that stands in no file of a server.
const WORD: &str = "Schneckenhaus";

/// A sealed share.
struct Sealed {
    id: String,
    url: String,
}

impl Sealed {
    fn key(&self) -> &str {
        self.url.split_once("#k1=").expect("a key").1
    }

    /// The link to the same share on another server.
    fn on(&self, server: &str) -> String {
        format!("{server}/s/{}#k1={}", self.id, self.key())
    }
}

async fn share(relay: &TestRelay, session: &str, items: &[Value]) -> Sealed {
    let body = json!({"data": items, "empty": true, "sealed": true});
    let (status, shared) = relay.request(Method::POST, &format!("/v1/sessions/{session}/share"), &body).await;
    assert_eq!((status, &shared["sealed"]), (200, &json!(true)), "{shared}");
    let text = |name: &str| shared[name].as_str().expect(name).to_owned();
    relay.flush_through(session).await;
    Sealed { id: text("id"), url: text("url") }
}

/// Runs a command about a link, which it is told on its standard input: its exit code, and what it says on both
/// streams.
async fn run(command: &[&str], link: &str) -> (i32, String, String) {
    let mut process = program();
    process.args(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = process.spawn().expect("runs");
    process.stdin.take().expect("an input").write_all(link.as_bytes()).expect("written");
    // Servers of a story answer meanwhile.
    let ended = actix_web::rt::task::spawn_blocking(|| process.wait_with_output());
    let Output { status, stdout, stderr } = ended.await.expect("no panic").expect("ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

/// The items behind a link.
async fn read(link: &str) -> Vec<Value> {
    let (code, said, error) = run(&["read", "--json", "-"], link).await;
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&said).expect("items")
}

/// Why a link cannot be read.
async fn refused(link: &str) -> String {
    let (code, said, error) = run(&["read", "-"], link).await;
    assert_eq!((code, said.as_str()), (1, ""), "{error}");
    error
}

fn texts(items: &[Value]) -> Vec<&str> {
    items.iter().filter_map(|item| item["data"]["text"].as_str()).collect()
}

/// A text of so many bytes, none of whose lines is another's.
fn long(bytes: usize) -> String {
    let mut text = String::new();
    for line in 0.. {
        if text.len() >= bytes {
            break;
        }
        let _ = writeln!(text, "line {line} of the answer, which goes on \u{1f41a}");
    }
    text
}

#[actix_web::test]
async fn a_sealed_session_is_read_by_its_link_and_its_server_has_no_word_of_it() {
    let server = TestServer::start(&[&ON_DISK[..], &["--log", "trace"]].concat());
    let relay = TestRelay::start(&server.url, &[]);
    let answer = format!("{WORD} {}", long(20_000));
    let items = [session(WORD), message("m", 1), part("m", "p1", "a prompt"), part("m", "p2", &answer)];
    let Sealed { id, url } = &share(&relay, &format!("ses_{WORD}"), &items).await;
    assert!(url.starts_with(&format!("{}/s/{id}#k1=", server.url)), "{url}");

    let found = read(url).await;
    let kinds: Vec<_> = found.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["session", "message", "part", "part"]);
    assert_eq!(texts(&found), ["a prompt", &answer]);
    let (code, markdown, _) = run(&["read", "-"], url).await;
    assert!(code == 0 && markdown.starts_with(&format!("# {WORD}\n")), "{markdown}");

    let (link, key) = url.split_once("#k1=").expect("a key");
    let cut = &key[..21];
    let other = format!("{cut}{}", if key.ends_with('A') { 'B' } else { 'A' });
    assert!(refused(link).await.contains("has no key"));
    assert!(refused(&format!("{link}#k1={cut}")).await.contains("cut or changed"));
    assert!(refused(&format!("{link}#k1={other}")).await.contains("cut or changed"));

    // Everything that the server has or says, and everything that the relay says.
    let backup = server.data_dir().join("backup.db");
    server.operate(&["backup", backup.to_str().expect("text")]).expect("a backup");
    let (_, metrics) = server.get("/metrics").await;
    for word in [WORD, key, "line 7 of the answer", "a prompt"] {
        assert!(!server.holds(word), "{word}");
        for said in [server.log(), relay.log(), metrics.to_string()] {
            assert!(!said.contains(word), "{word}");
        }
    }

    let (_, listed, _) = relay.run(&["list"]);
    assert!(listed.contains(url.as_str()), "{listed}");
    assert_eq!(relay.unshare(&format!("ses_{WORD}")).await, 200);
    assert!(refused(url).await.contains("no such share"));
}

#[actix_web::test]
async fn what_changes_and_goes_is_read_as_it_is_over_restarts_of_the_relay() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    let model = |id: &str| json!({"type": "model", "data": [{"providerID": "p", "id": id, "name": id}]});
    let long = long(12_000);
    let items = [
        session("Before"),
        message("m", 1),
        part("m", "p1", &long),
        message("gone", 2),
        part("gone", "p2", &long),
        model("a"),
    ];
    let Sealed { id, url } = share(&relay, "ses_1", &items).await;
    let path = format!("/api/share/{id}/items");
    let versions = async || {
        let (_, page) = server.get(&path).await;
        let items = page["items"].as_array().expect("items").clone();
        items.iter().filter_map(|item| item["data"]["v"].as_u64()).max().expect("a version")
    };
    let mut newest = versions().await;
    for (life, text) in [(1, format!("{long}and more")), (2, "short again".to_owned()), (3, long.clone())] {
        relay.terminate();
        relay.restart();
        relay.report(&[part_event("ses_1", "m", "p1", &text)]).await;
        if life == 1 {
            let removed = json!({"sessionID": "ses_1", "messageID": "gone"});
            relay.report(&[json!({"type": "message.removed", "properties": removed})]).await;
            let again = json!({"data": [model("b")]});
            relay.request(Method::POST, "/v1/sessions/ses_1/share", &again).await;
        }
        relay.flush_through("ses_1").await;
        let found = read(&url).await;
        assert_eq!(texts(&found), [text.as_str()], "life {life}");
        let models = found.iter().find(|item| item["type"] == "model").expect("models");
        assert_eq!(models["data"].as_array().map(Vec::len), Some(2), "life {life}");
        let now = versions().await;
        assert!(now > newest + 1000, "life {life}: {newest}, then {now}");
        newest = now;
    }
    // Whatever became of the spool: the server says what it has.
    relay.terminate();
    for file in ["spool.db", "spool.db-wal", "spool.db-shm"] {
        let _ = std::fs::remove_file(relay.local_dir().join(file));
    }
    relay.restart();
    relay.report(&[part_event("ses_1", "m", "p1", "after the loss")]).await;
    relay.flush_through("ses_1").await;
    assert_eq!(texts(&read(&url).await), ["after the loss"]);
}

#[actix_web::test]
async fn sharing_again_heals_what_the_server_lost_and_redaction_again_takes_out_what_was_sent() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &["--redact", "off"]);
    let token = "ghp_1234567890abcdefghijABCDEFGHIJ123456";
    let answer = format!("{} {token}", long(9_000));
    let items = [session("t"), message("m", 1), part("m", "p", &answer)];
    let Sealed { id, url } = share(&relay, "ses_1", &items).await;
    assert_eq!(texts(&read(&url).await), [&answer]);

    // A segment is lost: as if a backup had been restored.
    let (_, page) = server.get(&format!("/api/share/{id}/items")).await;
    let ids: Vec<_> = page["items"].as_array().expect("items").iter().collect();
    let lost = ids.iter().filter_map(|item| item["data"]["id"].as_str()).find(|id| id.ends_with("/1"));
    let shares = std::fs::read(relay.local_dir().join("shares.json")).expect("shares");
    let shares: Value = serde_json::from_slice(&shares).expect("JSON");
    let removal = json!({"secret": shares[0]["secret"],
        "data": [{"type": "sealed.removed", "data": {"id": lost.expect("a segment")}}]});
    assert_eq!(server.post(&format!("/api/share/{id}/sync"), &removal).await.0, 200);
    assert!(refused(&url).await.contains("less than was sent"));
    let again = share(&relay, "ses_1", &items).await;
    assert_eq!((again.url.as_str(), texts(&read(&url).await)), (url.as_str(), vec![answer.as_str()]));

    relay.terminate();
    relay.restart_with(&server.url, &["--redact", "on"]);
    let (code, _, error) = relay.run(&["redact", "ses_1", "--again"]);
    assert!(code == 0 || code == 5, "{error}");
    relay.flush_through("ses_1").await;
    let found = read(&url).await;
    assert!(!texts(&found)[0].contains(token) && texts(&found)[0].contains("[redacted:"));
}

#[actix_web::test]
async fn a_phrase_is_needed_beside_the_link() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let file = |name: &str, text: &str| {
        let path = relay.home().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (right, wrong) = (file("right", "e\u{301}t\u{e9} \u{1f511}\n"), file("wrong", "ete"));
    let (code, url, error) = relay.run(&["share", "ses_1", "--from-now", "--phrase-file", &right]);
    assert_eq!(code, 0, "{error}");
    relay.report(&[part_event("ses_1", "m", "p", WORD)]).await;
    relay.flush_through("ses_1").await;
    let id = relay.list().await[0]["id"].as_str().expect("id").to_owned();
    assert_eq!(server.get(&format!("/api/share/{id}")).await.1["sealed"]["locked"], json!(true));

    let (status, refused) = server.get(&format!("/api/share/{id}/items")).await;
    assert_eq!((status, &refused["error"]["code"]), (401, &json!("password_needed")));

    // The same letters, written otherwise.
    let same = file("same", "\u{e9}t\u{e9} \u{1f511}");
    let (code, said, error) = run(&["read", "-", "--json", "--phrase-file", &same], &url).await;
    assert!(code == 0 && said.contains(WORD), "{error}");
    let (code, said, error) = run(&["read", "-", "--phrase-file", &wrong], &url).await;
    assert!(code == 1 && said.is_empty() && error.contains("phrase is wrong"), "{error}");

    for file in std::fs::read_dir(relay.local_dir()).expect("files") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("read");
        assert!(!String::from_utf8_lossy(&bytes).contains('\u{1f511}'), "it stands in no file");
    }
}

#[actix_web::test]
async fn a_long_answer_costs_its_viewers_little_more_than_its_length() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let Sealed { id, url } = share(&relay, "ses_1", &[session("t"), message("m", 1)]).await;
    let poll = format!("ws://{}/api/share/{id}/poll", server.address);
    let mut viewer = TestViewer::connect(&poll).await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let (answer, before) = (long(50_000), viewer.bytes);
    let mut end = 0;
    while end < answer.len() {
        end = answer.len().min(end + 1000);
        while !answer.is_char_boundary(end) {
            end += 1;
        }
        let growing = json!({"id": "p", "messageID": "m", "sessionID": "ses_1", "type": "text",
            "text": &answer[..end], "time": {"start": 1}});
        relay.report(&[json!({"type": "part.updated", "sessionID": "ses_1", "data": growing})]).await;
        let seq = viewer.seq;
        relay.flush_through("ses_1").await;
        viewer.until("more of the answer", |viewer| viewer.seq > seq).await;
    }
    relay.report(&[part_event("ses_1", "m", "p", &answer)]).await;
    relay.flush_through("ses_1").await;
    assert_eq!(texts(&read(&url).await), [&answer]);
    let percent = (viewer.bytes - before) * 100 / answer.len();
    println!("bytes to a viewer: {percent} % of the answer's length");
    assert!(percent <= 250, "{percent}");
}

const NOT_SENT: &str = "shows what was not sent";
const LESS: &str = "The server shows less than was sent, or something older.";

/// What a server answers.
struct Lie {
    about: Value,
    page: Value,
}

impl Lie {
    fn items(&mut self) -> &mut Vec<Value> {
        self.page["items"].as_array_mut().expect("items")
    }

    /// What it shows under the name of an item.
    fn of(&self, item: &Value) -> Value {
        let mut items = self.page["items"].as_array().expect("items").iter();
        items.find(|shown| shown["key"] == item["key"]).expect("it is there").clone()
    }

    /// What is said of a link to a server that answers so.
    async fn told(self, share: &Sealed) -> String {
        let server = self.server();
        refused(&share.on(&server.url)).await
    }

    fn server(self) -> FakeServer {
        let Self { about, page } = self;
        FakeServer::start(move |seen| {
            (200, if seen.path.ends_with("/items") { page.clone() } else { about.clone() })
        })
    }
}

#[actix_web::test]
async fn whatever_a_server_does_with_what_it_keeps_is_seen() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let items = [session("t"), message("m", 1), part("m", "p", "first")];
    let share = share(&relay, "ses_1", &items).await;
    let other = self::share(&relay, "ses_2", &items).await;
    let asked = async |id: &str| {
        let about = server.get(&format!("/api/share/{id}")).await.1;
        Lie { about, page: server.get(&format!("/api/share/{id}/items?order=1")).await.1 }
    };
    let older = asked(&share.id).await;
    relay.report(&[part_event("ses_1", "m", "p", "second")]).await;
    relay.flush_through("ses_1").await;
    let others = asked(&other.id).await;
    let truth = async || asked(&share.id).await;
    let mut honest = truth().await;
    honest.items().reverse();
    assert_eq!(
        texts(&read(&share.on(&honest.server().url)).await),
        ["second"],
        "an honest one, in any order"
    );

    let part_of = |lie: &mut Lie| {
        lie.items()
            .iter()
            .position(|item| item["data"]["id"].as_str().is_some_and(|id| id.contains('/')))
            .expect("a part")
    };

    let mut swaps = truth().await;
    let c = swaps.items()[0]["data"]["c"].take();
    let c = std::mem::replace(&mut swaps.items()[1]["data"]["c"], c);
    swaps.items()[0]["data"]["c"] = c;
    assert!(swaps.told(&share).await.contains(NOT_SENT), "swaps");

    let mut renames = truth().await;
    renames.items()[0]["data"]["id"] = json!("A".repeat(22));
    assert!(renames.told(&share).await.contains(NOT_SENT), "renames");

    let mut relabels = truth().await;
    relabels.items()[0]["data"]["v"] = json!(1_000_000);
    assert!(relabels.told(&share).await.contains(NOT_SENT), "another version");

    let mut mixes = truth().await;
    mixes.items()[0] = others.page["items"][0].clone();
    assert!(mixes.told(&share).await.contains(NOT_SENT), "mixes shares");

    let mut replays = truth().await;
    let place = part_of(&mut replays);
    let old = older.of(&replays.items()[place]);
    replays.items()[place] = old.clone();
    assert!(replays.told(&share).await.contains(LESS), "takes one back");

    let mut both = truth().await;
    both.items().push(old);
    assert!(both.told(&share).await.contains("older version"), "shows the newer, then the older");

    let mut withholds = truth().await;
    let place = part_of(&mut withholds);
    withholds.items().remove(place);
    assert!(withholds.told(&share).await.contains(LESS), "withholds one");

    let mut shows_nothing = truth().await;
    let manifest = shows_nothing.items().last().expect("a manifest").clone();
    *shows_nothing.items() = vec![manifest];
    assert!(shows_nothing.told(&share).await.contains(LESS), "withholds all");

    let plain =
        json!({"key": "session", "n": 0, "type": "session", "data": {"id": "s", "title": "Trust me"}});
    let mut shows_none = truth().await;
    shows_none.items().clear();
    assert!(shows_none.told(&share).await.contains("withholds all"), "withholds even the manifest");

    let mut adds = truth().await;
    adds.items().push(plain.clone());
    assert!(adds.told(&share).await.contains("not encrypted"), "adds what is not sealed");

    let mut downgrades = truth().await;
    downgrades.about["sealed"].take();
    *downgrades.items() = vec![plain];
    assert!(downgrades.told(&share).await.contains("not encrypted"), "shows another share, unsealed");
}

#[actix_web::test]
async fn a_batch_without_an_answer_is_sent_again_as_it_was() {
    let works = Arc::new(AtomicBool::new(false));
    let answers = works.clone();
    let server = FakeServer::start(move |seen| match seen.path.as_str() {
        "/api/share" => (200, created()),
        path if path.ends_with("/items") => {
            (200, json!({"type": "items", "epoch": "e", "seq": 0, "items": [], "removed": [], "more": false}))
        }
        _ if answers.load(Ordering::Relaxed) => (200, json!({})),
        _ => (503, json!({})),
    });
    let mut relay = TestRelay::start(&server.url, &[]);
    let body = json!({"data": [session("t")], "sealed": true});
    assert_eq!(relay.request(Method::POST, "/v1/sessions/ses_1/share", &body).await.0, 200);
    let created = &server.seen()[0].body;
    assert!(created["sessionID"] != "ses_1" && created["sealed"]["check"].as_str().is_some());
    relay.flush("ses_1").await;
    let first = server.syncs().first().expect("a sync").body.clone();
    relay.kill();
    let before = server.syncs().len();
    works.store(true, Ordering::Relaxed);
    relay.restart();
    relay.report(&[part_event("ses_1", "m", "p", "newer")]).await;
    relay.flush_through("ses_1").await;
    let syncs = server.syncs();
    assert_eq!(syncs[before].body, first, "whatever came meanwhile");
    let versions = |body: &Value| {
        let items = body["data"].as_array().expect("items");
        items.iter().map(|item| item["data"]["v"].as_u64().expect("a version")).collect::<Vec<_>>()
    };
    let last = versions(&syncs.last().expect("a sync").body);
    assert!(last.iter().min() > versions(&first).iter().max(), "{last:?}");
    assert!(syncs.iter().all(|sync| {
        let items = sync.body["data"].as_array().expect("items");
        items.iter().all(|item| item["type"] == "sealed")
    }));
}

#[actix_web::test]
async fn an_item_that_the_server_does_not_take_holds_up_no_other() {
    let server = TestServer::start(&["--max-item", "64KiB"]);
    let relay = TestRelay::start(&server.url, &["--redact", "off"]);
    // What cannot be compressed, so that it grows when it is sealed.
    let mut random = fastrand::Rng::with_seed(1);
    let output: String = (0..60_000).map(|_| char::from(random.u8(35..125))).collect();
    let tool = json!({"id": "large", "messageID": "m", "type": "tool", "tool": "bash",
        "state": {"status": "completed", "output": output, "time": {"start": 1, "end": 2}}});
    let items = [
        session("t"),
        message("m", 1),
        part("m", "before", "before"),
        json!({"type": "part", "data": tool}),
        part("m", "behind", "behind"),
    ];
    let Sealed { url, .. } = share(&relay, "ses_1", &items).await;
    assert_eq!(texts(&read(&url).await), ["before", "behind"]);
    assert_eq!(relay.list().await[0]["setAside"], 1);
}

#[actix_web::test]
async fn what_opens_a_share_is_told_to_its_server_alone_and_never_in_clear() {
    let link = "5fQ0sT8vXk2Lr9ZbWm3NcY";
    let share = "Qm7yT2LkP9xVbN4sR8cW1Z";
    let vectors: Value =
        serde_json::from_str(include_str!("../../fixtures/sealed/vectors.json")).expect("JSON");
    let case = &vectors["cases"][1];
    let sealed = json!({"version": 1, "check": case["check"], "locked": true});
    let page = |items: Vec<Value>| {
        let (removed, more) = (json!([]), false);
        json!({"type": "items", "epoch": "e", "seq": 9, "items": items, "removed": removed, "more": more})
    };
    let wire = |item: &Value| {
        let data = json!({"id": item["id"], "v": item["v"], "c": item["c"]});
        let key = format!("sealed/{}", item["id"].as_str().expect("id"));
        json!({"key": key, "n": item["v"], "type": "sealed", "data": data})
    };
    let stored: Vec<_> =
        case["items"].as_array().expect("items").iter().chain([&case["manifest"]]).map(wire).collect();
    let plain =
        vec![json!({"key": "session", "n": 0, "type": "session", "data": {"id": "s", "title": WORD}})];
    let door = format!("Bearer {}", case["door"].as_str().expect("a door"));
    let refusal = |code: &str| (401, json!({"error": {"code": code, "message": "x"}}));
    for (about, items, wanted, key, option, secret) in [
        (
            json!({"sealed": sealed}),
            stored,
            door,
            format!("#k1={link}"),
            "--phrase-file",
            "correct horse battery staple",
        ),
        (
            json!({"protected": true}),
            plain,
            "Basic Om9wZW4gc2VzYW1l".to_owned(),
            String::new(),
            "--password-file",
            "open sesame",
        ),
    ] {
        let wrong = refusal("wrong_password");
        let (asked, page) = (wanted.clone(), page(items));
        let server = FakeServer::start(move |seen| match &seen.authorization {
            _ if !seen.path.ends_with("/items") => (200, about.clone()),
            Some(shown) if *shown == asked => (200, page.clone()),
            _ => wrong.clone(),
        });
        let dir = tempfile::TempDir::new().expect("a directory");
        let file = dir.path().join("secret");
        std::fs::write(&file, format!("{secret}\n")).expect("written");
        let file = file.to_str().expect("text");
        let url = format!("{}/s/{share}{key}", server.url);
        let (code, said, error) = run(&["read", "-", "--json", option, file], &url).await;
        assert!(code == 0 && said.contains("\"session\""), "{error}");
        assert!(server.seen().iter().all(|seen| !format!("{seen:?}").contains(link)));

        let elsewhere = url.replace("127.0.0.1", "0.0.0.0");
        let before = server.seen().len();
        let (code, _, error) = run(&["read", "-", option, file], &elsewhere).await;
        assert!(code == 1 && error.contains("in clear"), "{error}");
        assert!(server.seen()[before..].iter().all(|seen| seen.authorization.is_none()));
        let (code, _, error) = run(&["read", "-", "--insecure-http", option, file], &elsewhere).await;
        assert_eq!(code, 0, "{error}");
        std::fs::write(file, "wrong").expect("written");
        let (code, _, error) = run(&["read", "-", option, file], &url).await;
        assert!(code == 1 && error.contains("is wrong"), "{error}");
    }
}

#[actix_web::test]
async fn a_relay_can_be_told_to_seal_always_and_a_plain_share_is_not_taken_for_a_sealed_one() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    relay.share("ses_1", &[session("t")]).await;
    let (code, _, error) = relay.run(&["share", "ses_1", "--sealed"]);
    assert!(code == 1 && error.contains("not encrypted: unshare it first"), "{error}");

    relay.terminate();
    relay.restart_with(&server.url, &["--sealed", "always"]);
    let (code, url, _) = relay.run(&["share", "ses_2", "--from-now"]);
    assert!(code == 0 && url.contains("#k1="), "{url}");
    assert_eq!(relay.run(&["share", "ses_2", "--sealed"]).1, url, "the same share again");

    // A page that comes in clear can be another than its server's.
    let elsewhere = server.url.replace("127.0.0.1", "0.0.0.0");
    relay.terminate();
    relay.restart_with(&elsewhere, &["--insecure-http"]);
    let (code, said, _) = relay.run(&["share", "ses_3", "--from-now", "--sealed"]);
    assert!(code == 0 && said.contains("brutus-share open LINK"), "{said}");
}

#[actix_web::test]
async fn a_link_is_opened_by_ones_own_page() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let share = share(&relay, "ses_1", &[session("t"), message("m", 1)]).await;
    let opened = TestProcess::start_with(program().args(["open", "--no-browser", &share.url]), "http://");
    let address = format!("http://{}", opened.url);
    let (page, key) = address.split_once("#k1=").expect("a key");
    assert_eq!(key, share.key());
    assert!(page.starts_with("http://127.0.0.1:") && page.ends_with(&format!("/s/{}", share.id)), "{page}");
    let room = page.split("/s/").next().expect("a room");
    let status = async |path: &str| {
        let answer = crate::harness::client().get(format!("{room}{path}")).send().await.expect("an answer");
        answer.status().as_u16()
    };
    let mut answer = crate::harness::client().get(page).send().await.expect("an answer");
    let html = String::from_utf8(answer.body().await.expect("a body").to_vec()).expect("text");
    assert!(answer.headers().contains_key("content-security-policy") && html.contains("modulepreload"));
    let (_, script) = html.split_once("src=\"../assets/").expect("a script");
    assert_eq!(status(&format!("/assets/{}", script.split('"').next().expect("a path"))).await, 200);

    // The share of the link, and nothing else.
    assert_eq!(status(&format!("/api/share/{}", share.id)).await, 200);
    assert_eq!(status(&format!("/api/share/{}/items", share.id)).await, 200);
    assert_eq!(status(&format!("/api/share/{}/sync", share.id)).await, 404);
    assert_eq!(status(&format!("/api/share/{}", "A".repeat(22))).await, 404);
    assert_eq!(status("/").await, 404, "no browser was started");
    let origin = room.rsplit_once('/').expect("an origin").0;
    let outside = crate::harness::client().get(format!("{origin}/s/{}", share.id)).send().await;
    assert_eq!(outside.expect("an answer").status().as_u16(), 404);

    let poll = format!("{}/api/share/{}/poll", room.replace("http://", "ws://"), share.id);
    let mut viewer = TestViewer::connect(&poll).await;
    viewer.until("what is there", |viewer| viewer.caught_up && viewer.items.len() == 3).await;
    relay.report(&[part_event("ses_1", "m", "p", "live")]).await;
    viewer.until("what comes", |viewer| viewer.items.len() == 4).await;
    relay.unshare("ses_1").await;
    viewer.until_closed().await;
    assert_eq!(viewer.close_code, Some(4410));
}

#[actix_web::test]
async fn a_link_is_imported_into_opencode() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let items = [session("t"), message("m", 1), part("m", "p", "a prompt")];
    let Sealed { url, .. } = share(&relay, "ses_1", &items).await;
    // What OpenCode would be given.
    let taken = relay.home().join("taken.json");
    let opencode = relay.home().join("opencode");
    let script = format!("#!/bin/sh\n[ \"$1\" = import ] && cp \"$2\" {}\n", taken.display());
    std::fs::write(&opencode, script).expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&opencode, executable).expect("executable");
    let import = |path: &str| program().args(["import", &url]).env("PATH", path).output().expect("runs");
    let path = format!("{}:/usr/bin:/bin", relay.home().display());
    let done = import(&path);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let taken: Value = serde_json::from_slice(&std::fs::read(taken).expect("a file")).expect("JSON");
    let message = &taken["messages"][0];
    assert_eq!((&taken["info"]["title"], &message["parts"][0]["text"]), (&json!("t"), &json!("a prompt")));
    // `ses_1`, `m` and `p` are no ids of OpenCode.
    for (id, kind) in [(&taken["info"]["id"], "ses_"), (&message["info"]["id"], "msg_")] {
        assert!(id.as_str().is_some_and(|id| id.starts_with(kind) && id.len() == 30), "{id}");
    }
    let missing = import("/nowhere");
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(1) && said.contains("opencode is not installed"), "{said}");
}

#[actix_web::test]
async fn a_protected_share_is_read_with_its_password() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let body = json!({"data": [session(WORD)], "password": "open sesame"});
    let (_, shared) = relay.request(Method::POST, "/v1/sessions/ses_1/share", &body).await;
    relay.flush_through("ses_1").await;
    let url = shared["url"].as_str().expect("a link");
    let file = relay.home().join("password");
    for (password, is_right) in [("open sesame\n", true), ("another", false)] {
        std::fs::write(&file, password).expect("written");
        let option = file.to_str().expect("text");
        let (code, said, error) = run(&["read", "-", "--password-file", option], url).await;
        assert_eq!((code == 0, said.contains(WORD)), (is_right, is_right), "{error}");
        assert!(is_right || error.contains("password is wrong"), "{error}");
    }
    let both = json!({"empty": true, "password": "x", "sealed": true});
    let (status, refused) = relay.request(Method::POST, "/v1/sessions/ses_2/share", &both).await;
    assert!(status == 400 && refused.to_string().contains("phrase"), "{refused}");
}

#[actix_web::test]
async fn a_plain_link_is_read_and_commands_no_terminal() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let bad = "\u{1b}]0;pwned\u{7} \u{9b}31m \u{202e}txt";
    share.sync(&[session(bad), message("m", 1), part("m", "p", bad)]).await;
    for format in ["--md", "--json"] {
        let (code, said, error) = run(&["read", format, "-"], &share.url).await;
        assert_eq!(code, 0, "{error}");
        let commands =
            said.chars().find(|c| c.is_control() && *c != '\n' || *c == '\u{202e}' && format == "--json");
        assert_eq!(commands, None, "{format}: {said:?}");
    }
    assert_eq!(read(&share.url).await[2]["data"]["text"], bad);
    let key = "A".repeat(22);
    assert!(refused(&format!("{}#k1={key}", share.url)).await.contains("not encrypted"));
    assert!(refused("https://share.example/x").await.contains("no link to a share"));
}
