//! Secrets in what is synced: a second net, for clients that look for none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::iter;

use aho_corasick::AhoCorasick;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::secrets::{Case, pieces};
use crate::harness::{ON_DISK, TestServer, TestShare, client, message, part, session, sqlite};
use crate::operator::metrics::{metrics, metrics_url, value};
use crate::operator::operate;

/// Kinds of the corpus that have no shape.
const SHAPELESS: [&str; 4] = ["opaque-secret", "password", "short-password", "url-password"];

/// What shapes find of the 360 planted secrets at the least.
const BY_SHAPE: usize = 344;

/// A token whose shape is known; `n` makes another.
fn token(n: usize) -> String {
    let mut random = fastrand::Rng::with_seed(n as u64);
    let body = iter::repeat_with(|| random.alphanumeric()).take(36);
    ["gh", "p_"].into_iter().map(str::to_owned).chain([body.collect()]).collect()
}

fn name(n: usize) -> String {
    format!("[redacted:github-token-{n}]")
}

/// Syncs a corpus as OpenCode does, a few items at a time.
async fn sync_all(share: &TestShare<'_>, cases: &[Case]) {
    let items: Vec<_> = cases.iter().map(Case::item).collect();
    for batch in items.chunks(40) {
        share.sync(batch).await;
    }
}

/// All items by their keys, as `/data` gives them.
async fn stored(share: &TestShare<'_>) -> BTreeMap<String, Value> {
    let keyed = share.data().await.into_iter().map(|item| {
        let id = |name: &str| item["data"][name].as_str().expect("an id").to_owned();
        let key = match item["type"].as_str() {
            Some("part") => format!("part/{}/{}", id("messageID"), id("id")),
            _ => format!("message/{}", id("id")),
        };
        (key, item)
    });
    keyed.collect()
}

/// Planted secrets that a share shows.
async fn left<'a>(share: &TestShare<'_>, cases: &'a [Case]) -> Vec<&'a Case> {
    let stored = stored(share).await;
    assert_eq!(stored.len(), cases.len());
    cases.iter().filter(|case| case.is_shown_by(&stored[&case.key()])).collect()
}

async fn text_of(server: &TestServer, path: &str) -> String {
    let mut answer = client().get(format!("{}{path}", server.url)).send().await.expect("an answer");
    String::from_utf8(answer.body().limit(64 << 20).await.expect("a body").to_vec()).expect("UTF-8")
}

#[actix_web::test]
async fn secrets_of_a_shape_are_on_no_disk_and_in_no_answer() {
    let server =
        TestServer::start(&["--store", "sqlite", "--log", "trace", "--metrics-listen", "127.0.0.1:0"]);
    let metrics_url = metrics_url(&server).await;
    let share = server.share().await;
    let mut viewer = share.view_from("?append=1").await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let cases = Case::all("planted");
    sync_all(&share, &cases).await;

    let left = left(&share, &cases).await;
    let kinds: BTreeSet<_> = left.iter().map(|case| case.str("kind")).collect();
    assert!(kinds.is_subset(&BTreeSet::from(SHAPELESS)), "{kinds:?}");
    assert!(cases.len() == 360 && cases.len() - left.len() >= BY_SHAPE, "{} are left", left.len());

    let gone = pieces(cases.iter().filter(|case| !SHAPELESS.contains(&case.str("kind"))));
    let shown = pieces(left.iter().copied());
    let gone: Vec<_> = gone.difference(&shown).cloned().collect();
    assert!(gone.len() > 1000);
    let sought = AhoCorasick::new(&gone).expect("an automaton");
    viewer.until("all", |viewer| viewer.items.len() == 360).await;
    let mut said = vec![
        ("the viewer".to_owned(), json!(viewer.items).to_string()),
        ("the metrics".into(), metrics(&metrics_url).await),
    ];
    let page = format!("/s/{}", share.id);
    for path in [share.path("/data"), share.path("/items"), format!("{page}.md?full=1"), page] {
        said.push((path.clone(), text_of(&server, &path).await));
    }
    said.push(("the log".into(), server.log()));
    for file in std::fs::read_dir(server.data_dir()).expect("the directory") {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).expect("bytes");
        said.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    assert!(said.len() >= 10);
    for (place, text) in said {
        let found = sought.find(&text).map(|found| &gone[found.pattern().as_usize()]);
        assert_eq!(found, None, "{place}");
    }
    let metrics = metrics(&metrics_url).await;
    assert!(value(&metrics, "brutus_share_redactions_total{mode=\"shapes\"}") >= 360.0, "{metrics}");
    assert!(value(&metrics, "brutus_share_redaction_refusals_total") == 0.0);
}

#[actix_web::test]
async fn what_stands_beside_names_goes_when_all_is_asked_for() {
    let server = TestServer::start(&["--redact", "all"]);
    let share = server.share().await;
    let cases = Case::all("planted");
    sync_all(&share, &cases).await;
    let left = left(&share, &cases).await;
    assert!(left.is_empty(), "{:?}", left.iter().map(|case| case.str("id")).collect::<Vec<_>>());
}

#[actix_web::test]
async fn a_report_counts_and_changes_nothing_and_off_does_not_even_look() {
    let env = [("BRUTUS_SHARE_SERVE_REDACT", "report")];
    let report = TestServer::start_with_env(&["--store", "sqlite", "--metrics-listen", "127.0.0.1:0"], &env);
    let off = TestServer::start(&["--store", "sqlite", "--redact", "off", "--metrics-listen", "127.0.0.1:0"]);
    let cases = Case::all("planted");
    for server in [&report, &off] {
        let share = server.share().await;
        sync_all(&share, &cases).await;
        let stored = stored(&share).await;
        assert!(cases.iter().all(|case| stored[&case.key()] == case.item()));
        let names = sqlite(&server.data_dir().join("share.db"), "SELECT count(*) FROM redactions");
        assert_eq!(names, "0");
    }
    let counted = metrics(&metrics_url(&report).await).await;
    assert!(value(&counted, "brutus_share_redactions_total{mode=\"report\"}") >= 360.0);
    assert!(!metrics(&metrics_url(&off).await).await.contains("brutus_share_redactions_total{"));
}

#[actix_web::test]
async fn what_has_no_secret_keeps_its_bytes() {
    let server = TestServer::start(&["--redact", "all"]);
    let share = server.share().await;
    let cases = Case::all("negatives");
    let mut items: Vec<_> = cases.iter().map(|case| case.item()["data"].to_string()).collect();
    // And what a parser would write otherwise.
    items.push(r#"{"id":"odd","messageID":"m","n":1.50 ,"text":"\ud83d \u0041\/","text":"twice"}"#.into());
    let list: Vec<_> = items.iter().map(|data| format!(r#"{{"type":"part","data":{data}}}"#)).collect();
    let body = format!(r#"{{"secret":"{}","data":[{}]}}"#, share.secret, list.join(","));
    let path = share.path("/sync");
    assert_eq!(server.request(awc::http::Method::POST, &path, body).await.0, 200);
    let data = text_of(&server, &share.path("/data")).await;
    for item in items {
        assert!(data.contains(&item), "{item}");
    }
}

#[actix_web::test]
async fn a_value_has_one_name_all_through_a_share_and_over_restarts() {
    let mut server = TestServer::start(&ON_DISK);
    let share = server.share().await;
    let (one, two, three) = (token(1), token(2), token(3));
    share.sync(&[part("m", "a", &format!("{one} {two} {one}")), part("m", "b", &two)]).await;
    let text = async |share: &TestShare<'_>, id: &str| {
        let data = share.data().await;
        data.iter().find(|item| item["data"]["id"] == id).expect("the item")["data"]["text"].clone()
    };
    assert_eq!(text(&share, "a").await, format!("{} {} {}", name(1), name(2), name(1)));
    assert_eq!(text(&share, "b").await, name(2));
    // What is redacted already comes back as it was, and changes nothing.
    let seq = share.seq().await;
    share.sync(&[part("m", "a", &format!("{one} {two} {one}")), part("m", "b", &name(2))]).await;
    assert_eq!(share.seq().await, seq);

    let (id, secret, url) = (share.id.clone(), share.secret.clone(), share.url.clone());
    let dir = TempDir::new().expect("a directory");
    let backup = dir.path().join("backup.db");
    let backup = backup.to_str().expect("UTF-8");
    operate(&server.data_dir(), &["backup", backup]).expect("a backup");
    server.crash_and_restart();
    let share = TestShare { server: &server, id: id.clone(), secret: secret.clone(), url: url.clone() };
    share.sync(&[part("m", "c", &format!("{three} {two}"))]).await;
    assert_eq!(text(&share, "c").await, format!("{} {}", name(3), name(2)));

    server.signal("-TERM");
    server.wait();
    operate(&server.data_dir(), &["restore", backup]).expect("restored");
    server.restart();
    let share = TestShare { server: &server, id, secret, url };
    share.sync(&[part("m", "d", &format!("{two} {}", token(4)))]).await;
    assert_eq!(text(&share, "d").await, format!("{} {}", name(2), name(3)));

    // Another share's values are its own, and so are their digests.
    let other = server.share().await;
    other.sync(&[part("m", "a", &two)]).await;
    assert_eq!(text(&other, "a").await, name(1));
    let database = server.data_dir().join("share.db");
    let digests = sqlite(&database, "SELECT count(DISTINCT digest) || ' of ' || count(*) FROM redactions");
    assert_eq!(digests, "4 of 4");

    assert_eq!(share.delete(&share.secret).await, 200);
    assert_eq!(sqlite(&database, "SELECT count(*) FROM redactions"), "1");
    assert_eq!(other.delete(&other.secret).await, 200);
    assert_eq!(sqlite(&database, "SELECT count(*) FROM redactions"), "0");
    for value in [&one, &two, &three] {
        assert!(!server.holds(value) && !server.log().contains(value));
    }
}

#[actix_web::test]
async fn a_value_keeps_the_name_that_it_had_first_whatever_finds_it() {
    let server = TestServer::start(&["--redact", "all"]);
    let share = server.share().await;
    let password = ["correct", "Horse7!batt"].concat();
    let texts = [format!("DB_PASSWORD={password}"), format!("$ curl -u ada:{password} https://example.org")];
    share.sync(&[part("m", "a", &texts[0]), part("m", "b", &texts[1])]).await;
    share.sync(&[part("m", "c", &texts[1])]).await;
    let stored = stored(&share).await;
    let text =
        |id: &str| stored[&format!("part/m/{id}")]["data"]["text"].as_str().expect("a text").to_owned();
    let first = text("a").replace("DB_PASSWORD=", "");
    assert!(first.starts_with("[redacted:") && first.ends_with("-1]"), "{first}");
    assert_eq!([text("b"), text("c")], [0; 2].map(|_| texts[1].replace(&password, &first)));
}

#[actix_web::test]
async fn syncs_at_the_same_time_give_no_two_values_one_name() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let syncs = (0..24).map(|n| {
        let items: Vec<_> = (0..8)
            .map(|i| part("m", &format!("{n}-{i}"), &format!("{} {}", token(n), token(n + i))))
            .collect();
        let share = &share;
        async move { share.sync(&items).await }
    });
    futures_util::future::join_all(syncs).await;
    let mut names = BTreeMap::new();
    for (key, item) in stored(&share).await {
        let [n, i] = key["part/m/".len()..].split('-').collect::<Vec<_>>()[..] else { panic!("{key}") };
        let (n, i): (usize, usize) = (n.parse().expect("a number"), i.parse().expect("a number"));
        let text = item["data"]["text"].as_str().expect("a text").to_owned();
        let (first, second) = text.split_once(' ').expect("two");
        for (value, name) in [(n, first), (n + i, second)] {
            assert_eq!(names.entry(value).or_insert_with(|| name.to_owned()), name);
        }
    }
    let different: BTreeSet<_> = names.values().filter(|name| name.starts_with("[redacted:")).collect();
    assert_eq!((names.len(), different.len()), (31, 31));
}

#[actix_web::test]
async fn of_more_values_than_a_share_has_names_the_last_have_none_of_their_own() {
    let server = TestServer::start(&ON_DISK);
    let share = server.share().await;
    let text = |from: usize| (from..from + 700).map(token).collect::<Vec<_>>().join(" ");
    share.sync(&[part("m", "a", &text(0)), part("m", "b", &text(500))]).await;
    let stored = stored(&share).await;
    let last = stored["part/m/b"]["data"]["text"].as_str().expect("a text");
    assert!(last.starts_with(&name(501)) && last.contains(&name(1000)) && last.ends_with(&name(0)));
    assert_eq!(last.matches(&name(0)).count(), 200);
    let rows = sqlite(&server.data_dir().join("share.db"), "SELECT count(*) FROM redactions");
    assert_eq!(rows, "1000");
}

#[actix_web::test]
async fn a_streamed_answer_with_a_secret_in_it_goes_on_as_appends() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[message("m", 1), part("m", "p", "")]).await;
    let mut viewer = share.view_from("?append=1").await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let (before, mut text) = (viewer.bytes, String::new());
    for n in 0..60 {
        writeln!(text, "{n:02} \"{}\"", "streamed ".repeat(110)).expect("a string");
        if n % 10 == 5 {
            writeln!(text, "the token is {}", token(n)).expect("a string");
        }
        share.sync(&[part("m", "p", &text)]).await;
        viewer.until("the update", |viewer| viewer.seq == 3 + n as u64).await;
    }
    let names = (1..=6).map(name);
    let shown = names
        .zip([5, 15, 25, 35, 45, 55])
        .fold(text.clone(), |text, (name, n)| text.replace(&token(n), &name));
    viewer.until("the end", |viewer| viewer.items["part/m/p"]["text"] == shown.as_str()).await;
    assert!(shown.len() > 50_000);
    let cost = viewer.bytes - before;
    assert!(cost * 2 < shown.len() * 3, "{} bytes cost {cost}", shown.len());

    // One that is whole only with the next sync comes as it is until then: the server cannot know. What was shown gives
    // way, and after that there are appends again.
    let (before, seen) = (viewer.bytes, shown.len());
    let secret = token(99);
    for (piece, seq) in [&secret[..20], &secret[20..], " and more", " and more"].into_iter().zip(63..) {
        text.push_str(piece);
        share.sync(&[part("m", "p", &text)]).await;
        viewer.until("the update", |viewer| viewer.seq == seq).await;
    }
    let shown = format!("{shown}{} and more and more", name(7));
    viewer.until("the end", |viewer| viewer.items["part/m/p"]["text"] == shown.as_str()).await;
    let cost = viewer.bytes - before;
    assert!(cost < seen + 4096, "one whole item, and not {cost} bytes");
}

#[actix_web::test]
async fn a_preview_of_a_link_shows_no_secret_whatever_is_stored() {
    let server = TestServer::start(&["--store", "sqlite", "--redact", "off"]);
    let share = server.share().await;
    let password = ["correct", "Horse7!"].concat();
    let prompt = format!("{}\nDB_PASSWORD={password}\nuse {} to deploy", "Please. ".repeat(20), token(1));
    share
        .sync(&[session(&format!("deploy with {}", token(2))), message("m", 1), part("m", "p", &prompt)])
        .await;
    let page = text_of(&server, &format!("/s/{}", share.id)).await;
    let head = page.split("</head>").next().expect("a head");
    for said in
        ["og:description", "og:title", "Please.", "DB_PASSWORD=[redacted:", "[redacted:github-token-0]"]
    {
        assert!(head.contains(said), "{said}: {head}");
    }
    for secret in [&*password, &token(1), &token(2), &token(1)[..20]] {
        assert!(!head.contains(secret), "{head}");
    }
    // It is stored as it came.
    assert!(text_of(&server, &share.path("/data")).await.contains(&password));
    assert!(server.holds(&token(2)));
}
