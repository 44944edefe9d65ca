//! The commands of a person.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::relay::{TestRelay, part_event};
use crate::harness::{TestServer, program};

#[actix_web::test]
async fn a_person_shares_lists_and_unshares() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    assert_eq!(relay.run(&["list"]), (0, "Nothing is shared.\n".into(), String::new()));
    let (code, url, _) = relay.run(&["share", "ses/ä 1", "--from-now"]);
    assert!(code == 0 && url.starts_with(&format!("{}/s/", server.url)), "{url}");
    let (code, json, _) = relay.run(&["share", "ses/ä 1", "--from-now", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, json["url"].as_str()), (0, Some(url.trim())));

    let (_, listed, _) = relay.run(&["list"]);
    assert!(
        listed.contains("ses/ä 1") && listed.contains("active") && listed.contains(url.trim()),
        "{listed}"
    );
    let (_, listed, _) = relay.run(&["list", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&listed).expect("JSON")[0]["sessionID"], "ses/ä 1");
    relay.report(&[part_event("ses/ä 1", "m", "p", "x")]).await;
    let (code, status, _) = relay.run(&["status"]);
    assert!(code == 0 && status.contains("Sessions shared: 1"), "{status}");

    assert_eq!(relay.run(&["unshare", "ses/ä 1"]).0, 0);
    let (code, _, error) = relay.run(&["unshare", "ses/ä 1"]);
    assert!(code == 4 && error.contains("not shared"), "{error}");
}

#[actix_web::test]
async fn a_link_ends_when_its_person_wants_it() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let (code, shared, _) = relay.run(&["share", "ses_1", "--from-now", "--expires-in", "2h", "--json"]);
    let shared: Value = serde_json::from_str(&shared).expect("JSON");
    assert_eq!(code, 0);
    let held = relay.list().await.remove(0);
    assert_eq!(held["expiresAt"], shared["expiresAt"]);
    let lifetime = held["expiresAt"].as_i64().expect("an end") - held["createdAt"].as_i64().expect("a time");
    assert!((7_100_000..=7_200_000).contains(&lifetime), "{lifetime}");
    let (_, listed, _) = relay.run(&["list"]);
    assert!(listed.contains("ends in 2h"), "{listed}");
    let (_, again, _) = relay.run(&["share", "ses_1", "--from-now", "--expires-in", "1h", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&again).expect("JSON"),
        shared,
        "it has its share, with its end"
    );

    let (code, _, error) = relay.run(&["share", "ses_2", "--from-now", "--expires-in", "soon"]);
    assert!(code == 2 && error.contains("30s"), "{error}");
    let (status, refused) = relay
        .request(Method::POST, "/v1/sessions/ses_2/share", &json!({"expiresIn": 0, "empty": true}))
        .await;
    assert_eq!((status, &refused["error"]["code"]), (400, &"malformed".into()));
    assert!(
        refused["error"]["message"].as_str().is_some_and(|message| message.contains("expiresIn")),
        "{refused}"
    );
}

#[actix_web::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let server = TestServer::start(&[]);
    let mut relay = TestRelay::start(&server.url, &[]);
    relay.terminate();
    let (code, _, error) = relay.run(&["list"]);
    assert!(code == 3 && error.contains("start one with `brutus-share relay`"), "{error}");
    let output = program().args(["list", "--local-dir", "/nowhere"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has a relay been started"));

    std::fs::write(relay.local_dir().join("token"), "\n").expect("emptied");
    let (code, _, error) = relay.run(&["list"]);
    assert!(code == 1 && error.contains("token's file is empty"), "{error}");
    let output = program()
        .args(["relay", "--listen", "127.0.0.1:0", "--local-dir"])
        .arg(relay.local_dir())
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("token's file is empty"));
}

#[actix_web::test]
async fn an_unshare_that_is_not_confirmed_is_said_to_be_under_way() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    relay.share("ses_1", &[]).await;
    server.kill();
    let (code, said, error) = relay.run(&["unshare", "ses_1"]);
    assert!(code == 6 && said.is_empty() && error.contains("not confirmed"), "{said}{error}");
    let (code, said, _) = relay.run(&["unshare", "ses_1", "--json"]);
    assert_eq!(code, 6);
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON"), json!({"state": "removing"}));
    assert!(relay.run(&["list"]).1.contains("removing"));
}

#[actix_web::test]
async fn what_an_agent_calls_its_session_does_not_command_a_terminal() {
    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    relay.share("ses%1B]0;pwned%07%E2%80%AEtxt", &[]).await;
    for command in ["list", "status"] {
        let (_, said, _) = relay.run(&[command]);
        assert!(said.contains("ses ]0;pwned  txt"), "{said:?}");
    }
}

#[test]
fn secrets_do_not_go_over_the_network_in_clear_unless_that_is_accepted() {
    use crate::harness::TestProcess;

    let dir = tempfile::TempDir::new().expect("a directory");
    for (daemon, url, dir_option) in
        [("relay", "--api-url", "--local-dir"), ("serve", "--public-url", "--data-dir")]
    {
        let command = |args: &[&str]| {
            let mut command = program();
            command.args([daemon, "--listen", "127.0.0.1:0", url, "http://198.51.100.7", dir_option]);
            command.arg(dir.path().join(daemon)).args(args);
            command
        };
        let refused = command(&[]).output().expect("runs");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && said.contains("--insecure-http"), "{daemon}: {said}");
        let mut by_environment = command(&[]);
        by_environment.env("BRUTUS_SHARE_INSECURE_HTTP", "true");
        for mut accepted in [command(&["--insecure-http"]), by_environment] {
            let process = TestProcess::start(&mut accepted);
            assert!(process.log().contains("in clear"), "{daemon}: {}", process.log());
        }
    }
}

#[actix_web::test]
async fn the_demo_shows_a_live_page_with_one_command() {
    let demo = crate::harness::TestProcess::start_with(
        program().args(["demo", "--no-open", "--speed", "10", "--once"]),
        "http://",
    );
    let url =
        format!("http://{}", demo.url).replace("http://", "ws://").replace("/s/", "/api/share/") + "/poll";
    let mut viewer = crate::harness::TestViewer::connect(&url).await;
    viewer
        .until("the end of the conversation", |viewer| {
            viewer
                .items
                .values()
                .any(|item| item["text"].as_str().is_some_and(|text| text.contains("I do not say why")))
        })
        .await;
    assert!(viewer.frames > 2, "it is played, not dumped");
    viewer.until_closed().await;
    assert_eq!(viewer.close_code, Some(1012));
}
