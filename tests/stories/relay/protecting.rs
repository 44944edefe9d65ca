//! Links that need a password too, and the owner's.

use std::io::Write;
use std::process::{Output, Stdio};

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{ON_DISK, TestServer, client, program, session};

/// Runs a command on a relay with a text as its standard input.
fn run_with(relay: &TestRelay, args: &[&str], input: &str) -> (i32, String, String) {
    let mut command = program();
    command.args(args).args(["--relay", &relay.url, "--local-dir"]).arg(relay.local_dir());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("a code"), text(stdout), text(stderr))
}

/// The status of reading a share with a password, or without.
async fn read(link: &str, password: Option<&str>) -> u16 {
    let mut request = client().get(format!("{link}.json"));
    if let Some(password) = password {
        request = request.basic_auth("", password);
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[actix_web::test]
async fn a_person_protects_a_link_and_opens_it_again() {
    let server = TestServer::start(&ON_DISK);
    let relay = TestRelay::start(&server.url, &["--log", "trace"]);
    let (code, said, _) = run_with(&relay, &["share", "ses_1", "--from-now", "--password"], "first words\n");
    let link = said.trim();
    assert!(code == 0 && link.starts_with(&server.url), "{said}");
    relay.report(&[part_event("ses_1", "m", "p", "text")]).await;
    relay.flush_through("ses_1").await;
    assert_eq!((read(link, None).await, read(link, Some("first words")).await), (401, 200));

    let file = relay.home().join("password");
    std::fs::write(&file, "second words\n").expect("written");
    let (code, said, error) = relay.run(&["protect", link, "--password-file", file.to_str().expect("UTF-8")]);
    assert!(code == 0 && said.contains("password"), "{said}{error}");
    assert_eq!((read(link, Some("first words")).await, read(link, Some("second words")).await), (401, 200));
    // A session that is shared already has its password from then on.
    let (code, same, _) = run_with(&relay, &["share", "ses_1", "--password"], "third words\n");
    assert_eq!((code, same.trim()), (0, link));
    assert_eq!((read(link, Some("second words")).await, read(link, Some("third words")).await), (401, 200));
    // What is hidden is looked for behind the lock too.
    let (code, _, error) = relay.run(&["redact", "ses_1", "--again"]);
    assert_eq!(code, 0, "{error}");

    let (code, _, error) = relay.run(&["protect", link, "--expires-in", "2h"]);
    assert_eq!(code, 0, "{error}");
    assert!(relay.run(&["list"]).1.contains("ends in 2h"));
    assert_eq!(read(link, None).await, 401, "the password stays");
    assert_eq!(relay.run(&["protect", link, "--remove", "--expires-in", "never"]).0, 0);
    assert!(!relay.run(&["list"]).1.contains("ends in"));
    assert_eq!(read(link, None).await, 200);

    for words in ["first words", "second words", "third words"] {
        assert!(!server.holds(words) && !server.log().contains(words) && !relay.log().contains(words));
        for file in std::fs::read_dir(relay.local_dir()).expect("the directory") {
            let bytes = std::fs::read(file.expect("a file").path()).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&bytes).contains(words), "{words}");
        }
    }
    let (code, _, error) = run_with(&relay, &["protect", link], "\n");
    assert!(code == 1 && error.contains("1 to 1024 bytes"), "{error}");
    assert_eq!(relay.run(&["protect", "https://share.example"]).0, 1);
    let stranger = format!("{}/s/0123456789abcdefghijkl", server.url);
    assert_eq!(relay.run(&["protect", &stranger, "--remove"]).0, 4);
}

#[actix_web::test]
async fn who_made_a_share_without_the_relay_protects_it_with_its_secret() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let share = server.share().await;
    share.sync(&[session("of another client")]).await;
    let input = format!("{}\nsome words\n", share.secret);
    let (code, _, error) = run_with(&relay, &["protect", &share.url, "--secret-stdin"], &input);
    assert_eq!(code, 0, "{error}");
    assert_eq!((read(&share.url, None).await, read(&share.url, Some("some words")).await), (401, 200));
    let (code, _, error) =
        run_with(&relay, &["protect", &share.url, "--secret-stdin", "--remove"], "another\n");
    assert!(code == 1 && error.contains("secret"), "{error}");
    assert!(relay.list().await.is_empty(), "the relay keeps nothing of it");
    assert!(!relay.log().contains(&share.secret));
}

#[actix_web::test]
async fn the_owners_link_is_given_to_who_asks_for_it_by_name_alone() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let (_, shared, _) = relay.run(&["share", "ses_1", "--from-now", "--json"]);
    let link: Value = serde_json::from_str(&shared).expect("JSON");
    let link = link["url"].as_str().expect("a link").to_owned();
    assert!(!shared.contains("o="), "{shared}");
    assert_eq!(relay.run(&["link", "ses_1"]), (0, format!("{link}\n"), String::new()));
    let (code, owners, _) = relay.run(&["link", "ses_1", "--owner"]);
    let secret = owners.trim().strip_prefix(&format!("{link}#o=")).expect("its secret").to_owned();
    assert_eq!(code, 0);
    assert!(!relay.run(&["list", "--json"]).1.contains(&secret));
    // It is the share's own: with it the share goes.
    let id = link.rsplit('/').next().expect("an id");
    let body = json!({"secret": secret}).to_string();
    assert_eq!(server.request(Method::DELETE, &format!("/api/share/{id}"), body).await.0, 200);
    for args in [["link", "ses_2"].as_slice(), &["link", "ses_2", "--owner"]] {
        let (code, _, error) = relay.run(args);
        assert!(code == 4 && error.contains("not shared"), "{error}");
    }
}
