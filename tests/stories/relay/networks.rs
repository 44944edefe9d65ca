//! The networks that lie between a relay and its server: companies' proxies and certificates, redirects to TLS,
//! connections that die without a word, machines that stand still for a while.

use std::process::Command;

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::networks::{Authority, CompanyProxy, Death, Forgetful, redirect_to};
use crate::harness::relay::{TestRelay, on_a_plain_network, part_event};
use crate::harness::{TestServer, program, session, until};

/// A server that speaks TLS with a certificate of a company's authority.
fn tls_server(authority: &Authority) -> TestServer {
    let args = authority.server();
    TestServer::start(&args.each_ref().map(String::as_str))
}

/// `HOST:PORT` of a server.
fn address(server: &TestServer) -> String {
    server.url.rsplit('/').next().expect("an address").to_owned()
}

async fn try_to_share(relay: &TestRelay) -> (u16, String) {
    let (status, answer) =
        relay.request(Method::POST, "/v1/sessions/ses_1/share", &json!({"empty": true})).await;
    (status, answer.to_string())
}

/// A session is shared, synced and taken back.
async fn works(relay: &TestRelay) {
    relay.share("ses_1", &[session("through")]).await;
    assert_eq!(relay.report(&[part_event("ses_1", "m", "p", "text")]).await, 1);
    assert_eq!(relay.flush("ses_1").await, (200, json!({})), "{}", relay.log());
    assert_eq!(relay.unshare("ses_1").await, 200, "{}", relay.log());
}

#[actix_web::test]
async fn a_company_s_proxy_is_asked_for_the_way_to_a_server_that_it_alone_knows() {
    let authority = Authority::new(&["share.company.example"]);
    let server = tls_server(&authority);
    let proxy = CompanyProxy::start(&[("share.company.example:443", &address(&server))]);
    let relay = TestRelay::start_with_env(
        "https://share.company.example",
        &["--ca-file", &authority.ca()],
        &[("HTTPS_PROXY", &format!("http://{}", proxy.address))],
    );
    works(&relay).await;
    let asked = proxy.asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| line == "CONNECT share.company.example:443 HTTP/1.1"),
        "{asked:?}"
    );
}

#[actix_web::test]
async fn a_proxy_that_wants_a_password_gets_it_and_it_stands_nowhere_else() {
    let authority = Authority::new(&["share.company.example"]);
    let server = tls_server(&authority);
    let names = [("share.company.example:8443", address(&server))];
    let names = names.each_ref().map(|(name, to)| (*name, to.as_str()));
    // `ada:pass word`
    let proxy = CompanyProxy::with_password(&names, "Basic YWRhOnBhc3Mgd29yZA==");
    let start = |user: &str| {
        TestRelay::start_with_env(
            "https://share.company.example:8443",
            &["--ca-file", &authority.ca(), "--log", "trace"],
            &[("https_proxy", &format!("http://{user}{}", proxy.address))],
        )
    };
    let relay = start("ada:pass%20word@");
    works(&relay).await;
    let log = relay.log();
    assert!(log.contains(&format!("proxy=http://{}", proxy.address)), "it says which proxy it asks: {log}");

    let wrong = start("ada:pass%20wort@");
    let (status, said) = try_to_share(&wrong).await;
    assert!(status == 502 && said.contains("does not take the name and password"), "{said}");
    let none = start("");
    let (status, without) = try_to_share(&none).await;
    assert!(status == 502 && without.contains("wants a name and a password"), "{without}");
    for said in [log, wrong.log(), said] {
        for secret in ["pass%20wor", "pass wor", "YWRhOnBhc3Mgd29y"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
}

#[actix_web::test]
async fn a_proxy_that_speaks_tls_itself_is_asked_over_tls() {
    let authority = Authority::new(&["share.company.example", "proxy.company.example"]);
    let (secure, plain) = (tls_server(&authority), TestServer::start(&[]));
    let names =
        [("share.company.example:443", address(&secure)), ("share.company.example:8090", address(&plain))];
    let names = names.each_ref().map(|(name, to)| (*name, to.as_str()));
    let proxy = CompanyProxy::over_tls(&names, &authority);
    let all = format!("https://{}", proxy.address.replace("127.0.0.1", "localhost"));
    for api_url in ["https://share.company.example", "http://share.company.example:8090"] {
        let relay = TestRelay::start_with_env(
            api_url,
            &["--ca-file", &authority.ca(), "--insecure-http"],
            &[("all_proxy", &all)],
        );
        works(&relay).await;
    }
    let asked = proxy.asked();
    assert!(asked.iter().any(|line| line.starts_with("CONNECT ")), "{asked:?}");
    assert!(asked.iter().any(|line| line.starts_with("POST http://")), "{asked:?}");
}

#[actix_web::test]
async fn requests_in_clear_are_given_to_the_proxy_whole() {
    let server = TestServer::start(&[]);
    let proxy =
        CompanyProxy::with_password(&[("share.company.example:8090", &server.address)], "Basic YWRhOmxvdmU=");
    let relay = TestRelay::start_with_env(
        "http://share.company.example:8090",
        &["--insecure-http", "--log", "trace"],
        &[("http_proxy", &format!("ada:love@{}", proxy.address)), ("HTTP_PROXY", "http://127.0.0.1:1")],
    );
    works(&relay).await;
    let asked = proxy.asked();
    assert!(
        asked.iter().any(|line| line == "POST http://share.company.example:8090/api/share HTTP/1.1"),
        "{asked:?}"
    );
    assert!(!asked.iter().any(|line| line.starts_with("CONNECT")), "{asked:?}");
    let log = relay.log();
    assert!(!log.contains("love") && !log.contains("YWRhOmxvdmU"), "{log}");
}

#[actix_web::test]
async fn this_machine_and_whom_no_proxy_names_are_asked_without_a_proxy() {
    let server = TestServer::start(&[]);
    let proxy = CompanyProxy::refusing();
    let url = format!("http://{}", proxy.address);
    let proxies =
        [("http_proxy", url.as_str()), ("https_proxy", &url), ("ALL_PROXY", "socks5://127.0.0.1:1")];
    works(&TestRelay::start_with_env(&server.url, &[], &proxies)).await;
    assert_eq!(proxy.asked(), Vec::<String>::new());

    // A name that nobody can find: whoever is asked for it says so.
    let api_url = "https://share.company.invalid:8443";
    let (status, said) = try_to_share(&TestRelay::start_with_env(api_url, &[], &proxies)).await;
    assert!(status == 502 && said.contains("403"), "{said}");
    assert_eq!(proxy.asked().len(), 1);
    for direct in ["*", "company.invalid", "example, .invalid", "share.company.invalid:8443"] {
        let env = [&proxies[..], &[("NO_PROXY", direct)]].concat();
        let (status, said) = try_to_share(&TestRelay::start_with_env(api_url, &[], &env)).await;
        assert!(status == 502 && said.contains("resolving"), "{direct}: {said}");
    }
    assert_eq!(proxy.asked().len(), 1);
}

/// A relay that does not start; what it says.
fn refused(api_url: &str, args: &[&str], env: &[(&str, &str)]) -> String {
    let dir = tempfile::TempDir::new().expect("a directory");
    // One that does start is ended.
    let output = on_a_plain_network(Command::new("timeout").arg("20"))
        .arg(program().get_program())
        .args(["relay", "--listen", "127.0.0.1:0", "--api-url", api_url, "--local-dir"])
        .arg(dir.path().join("local"))
        .args(args)
        .envs(env.iter().copied())
        .output()
        .expect("runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_proxy_or_a_file_of_authorities_that_cannot_be_used_is_said_at_the_start() {
    let said =
        refused("https://share.example", &[], &[("https_proxy", "socks5://ada:love@proxy.example:1080")]);
    assert!(said.contains("https_proxy") && said.contains("SOCKS") && !said.contains("love"), "{said}");

    let authority = Authority::new(&[]);
    let half = std::fs::read_to_string(authority.ca()).expect("the authority");
    for (name, contents, expected) in [
        ("empty.pem", String::new(), "no certificate"),
        ("text.pem", "no certificate at all".to_owned(), "no certificate"),
        ("key.pem", std::fs::read_to_string(&authority.server()[3]).expect("a key"), "no certificate"),
        ("cut.pem", half[..half.len() / 2].to_owned(), "no"),
        ("broken.pem", half.replace("MII", "M!I"), "PEM"),
        (
            "odd.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            "cannot be used",
        ),
    ] {
        let file = authority.file(name, contents);
        let said = refused("http://127.0.0.1:1", &["--ca-file", &file], &[]);
        assert!(said.contains(name) && said.contains(expected), "{name}: {said}");
    }
    let said = refused("http://127.0.0.1:1", &[], &[("BRUTUS_SHARE_RELAY_CA_FILE", "/nowhere/ca.pem")]);
    assert!(said.contains("/nowhere/ca.pem: No such file"), "{said}");
    let empty = authority.file("none.pem", "");
    let said = refused("https://share.example", &[], &[("SSL_CERT_FILE", &empty)]);
    assert!(said.contains("SSL_CERT_FILE"), "{said}");
}

#[actix_web::test]
async fn a_connection_that_was_silent_for_some_seconds_is_not_relied_on() {
    let server = TestServer::start(&[]);
    let network = Forgetful::start(&server.address, Death::Silent);
    let relay = TestRelay::start(&network.url, &["--interval", "4s"]);
    let id = relay.share("ses_1", &[]).await;
    for part in ["first", "second"] {
        relay.report(&[part_event("ses_1", "m", part, "text")]).await;
        until(part, async || has(&server, &id, part).await).await;
    }
    assert_eq!(network.killed(), 0, "no request met a connection that is dead");
}

/// Options and an environment.
type Started<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

#[actix_web::test]
async fn a_company_s_authority_is_trusted_by_option_file_or_the_system_and_nobody_else_is() {
    let (authority, other) = (Authority::new(&[]), Authority::new(&[]));
    let server = tls_server(&authority);
    let config = authority.file("relay.toml", format!("ca_file = {:?}", authority.ca()));
    let directory = std::path::Path::new(&authority.ca()).with_file_name("authorities");
    std::fs::create_dir(&directory).expect("made");
    std::fs::copy(authority.ca(), directory.join("company.pem")).expect("copied");
    let directory = directory.to_str().expect("UTF-8");
    let ca = authority.ca();
    let rows: [Started<'_>; 5] = [
        (&["--ca-file", &ca], &[]),
        (&["--config", &config], &[]),
        (&[], &[("BRUTUS_SHARE_RELAY_CA_FILE", &ca)]),
        (&[], &[("SSL_CERT_FILE", &ca)]),
        (&[], &[("SSL_CERT_DIR", directory)]),
    ];
    for (args, env) in rows {
        works(&TestRelay::start_with_env(&server.url, args, env)).await;
    }
    for args in [vec![], vec!["--ca-file".to_owned(), other.ca()]] {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let (status, said) = try_to_share(&TestRelay::start(&server.url, &args)).await;
        assert!(status == 502 && said.contains("certificate"), "{said}");
    }
    // Who speaks TLS with nobody needs no authority.
    let (plain, empty) = (TestServer::start(&[]), authority.file("none.pem", ""));
    works(&TestRelay::start_with_env(&plain.url, &[], &[("SSL_CERT_FILE", &empty)])).await;
}

#[actix_web::test]
async fn from_http_to_https_a_request_goes_on_once_with_its_secret() {
    let authority = Authority::new(&[]);
    let server = tls_server(&authority);
    let (url, seen) = redirect_to(&server.url);
    let relay = TestRelay::start(&url, &["--ca-file", &authority.ca()]);
    works(&relay).await;
    let lines = seen.lock().unwrap().clone();
    assert!(lines.len() >= 3 && lines.iter().any(|line| line.starts_with("DELETE ")), "{lines:?}");

    // Not to a certificate of whoever, and not on from there.
    let (status, said) = try_to_share(&TestRelay::start(&url, &[])).await;
    assert!(status == 502 && said.contains("certificate"), "{said}");
    let (twice, _) = redirect_to(&url);
    let (status, said) = try_to_share(&TestRelay::start(&twice, &["--ca-file", &authority.ca()])).await;
    assert!(status == 502 && said.contains("not followed"), "{said}");
}

#[actix_web::test]
async fn a_connection_that_died_in_the_pool_costs_no_try() {
    for death in [Death::Closed, Death::Reset] {
        let server = TestServer::start(&[]);
        let network = Forgetful::start(&server.address, death);
        let relay = TestRelay::start(&network.url, &["--max-backoff", "1h"]);
        let id = relay.share("ses_1", &[]).await;
        for n in 0..6 {
            relay.report(&[part_event("ses_1", "m", &format!("p{n}"), "text")]).await;
            assert_eq!(relay.flush("ses_1").await, (200, json!({})), "{death:?} {n}: {}", relay.log());
        }
        assert!(network.killed() >= 2, "{death:?}: {}", network.killed());
        assert!(!relay.log().contains("cannot sync now"), "{death:?}: {}", relay.log());
        assert_eq!(relay.unshare("ses_1").await, 200, "{death:?}");
        assert_eq!(server.get(&format!("/api/share/{id}")).await.0, 404);
    }
}

#[actix_web::test]
async fn a_relay_that_stood_still_while_its_server_was_restarted_goes_on_at_once() {
    let mut server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &["--max-backoff", "1h"]);
    let id = relay.share("ses_1", &[]).await;
    relay.report(&[part_event("ses_1", "m", "before", "text")]).await;
    assert_eq!(relay.flush("ses_1").await.0, 200);
    relay.signal("-STOP");
    server.crash_and_restart();
    relay.signal("-CONT");
    relay.report(&[part_event("ses_1", "m", "after", "text")]).await;
    assert_eq!(relay.flush("ses_1").await, (200, json!({})), "{}", relay.log());
    assert!(!relay.log().contains("cannot sync now"), "{}", relay.log());
    assert!(has(&server, &id, "after").await);
}

/// Whether a part has arrived.
async fn has(server: &TestServer, id: &str, part: &str) -> bool {
    let (_, data) = server.get(&format!("/api/share/{id}/data")).await;
    data.as_array().is_some_and(|items| items.iter().any(|item: &Value| item["data"]["id"] == part))
}
