//! The store that an operator chooses, and what makes no sense with another than SQLite.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::postgres::Postgres;
use crate::harness::{TestServer, program, session, until};

fn run(args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let Output { status, stdout, stderr } =
        program().args(args).envs(env.iter().copied()).output().expect("it runs");
    let said = [stdout, stderr].map(|said| String::from_utf8(said).expect("UTF-8")).concat();
    (status.code().expect("a code"), said)
}

#[test]
fn what_cannot_be_used_is_refused_and_no_password_is_shown() {
    let secret = "hunter2";
    let url = &format!("postgres://u:{secret}@127.0.0.1:1/share?sslmode=prefer");
    for (args, env, code, word) in [
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--store", "mysql://u:hunter2@h/d"],
            vec![],
            2,
            "store must be",
        ),
        (vec!["serve", "--listen", "127.0.0.1:0", "--store", url], vec![], 1, "sslmode"),
        (
            vec!["backup", "/nowhere/file"],
            vec![("BRUTUS_SHARE_SERVE_STORE", &**url)],
            2,
            "PostgreSQL's own tools",
        ),
        (
            vec!["restore", "/nowhere/file"],
            vec![("BRUTUS_SHARE_SERVE_STORE", url)],
            2,
            "PostgreSQL's own tools",
        ),
        (vec!["serve", "--listen", "127.0.0.1:0", "--bus", "kafka://u:hunter2@h"], vec![], 2, "bus must be"),
        (vec!["serve", "--listen", "127.0.0.1:0", "--bus", "postgres"], vec![], 2, "the store is not"),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--bus", "redis://u:hunter2@h:port"],
            vec![],
            1,
            "expected redis://",
        ),
        (
            vec!["config", "show", "serve", "--bus", "nats://u:hunter2@h"],
            vec![],
            0,
            "bus = \"nats://…\"  # flag",
        ),
        (vec!["config", "show", "serve", "--bus", "none"], vec![], 0, "bus = \"none\"  # flag"),
        (vec!["admin", "stats"], vec![("BRUTUS_SHARE_SERVE_STORE", url)], 1, "sslmode"),
        (vec!["token", "list", "--store", "mysql://u:hunter2@h/d"], vec![], 2, "store must be"),
        (vec!["token", "--help"], vec![("BRUTUS_SHARE_SERVE_STORE", url)], 0, "BRUTUS_SHARE_SERVE_STORE"),
        (vec!["move", "--from", "/nowhere", "--to", url], vec![], 1, "there is no database here"),
        (vec!["move", "--from", url, "--to", "/nowhere"], vec![], 1, "sslmode"),
        (vec!["move", "--help"], vec![("BRUTUS_SHARE_MOVE_TO", url)], 0, "BRUTUS_SHARE_MOVE_TO"),
        (vec!["config", "show", "serve", "--store", url], vec![], 0, "store = \"postgres://…\"  # flag"),
        (vec!["serve", "--help"], vec![("BRUTUS_SHARE_SERVE_STORE", url)], 0, "BRUTUS_SHARE_SERVE_STORE"),
    ] {
        let (ended, said) = run(&args, &env);
        assert_eq!(ended, code, "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
        assert!(!said.contains(secret), "{args:?}: {said}");
    }
}

#[actix_web::test]
async fn a_database_that_speaks_tls_is_trusted_by_its_certificate_alone() {
    let (postgres, cert) = Postgres::start_encrypted();
    let url = postgres.create("share");
    let trusted = format!("{url}?sslmode=verify-full&sslrootcert={}", cert.display());
    let server = TestServer::start(&["--store", &trusted]);
    let share = server.share().await;
    share.sync(&[session("over TLS")]).await;
    let encrypted = crate::harness::postgres::psql(
        &url,
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = 'brutus-share'",
    );
    assert_eq!(encrypted, "t");
    let strangers = format!("{url}?sslmode=verify-full");
    let (code, said) = run(
        &["serve", "--listen", "127.0.0.1:0", "--store", &strangers],
        &[("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")],
    );
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("certificate"), "{said}");
}

#[actix_web::test]
async fn while_the_database_is_away_the_server_lives_and_viewers_stay() {
    let mut postgres = Postgres::start();
    let server =
        TestServer::start(&["--store", &postgres.create("share"), "--metrics-listen", "127.0.0.1:0"]);
    let share = server.share().await;
    share.sync(&[session("before")]).await;
    let mut viewer = share.view().await;
    viewer.until("it has all", |viewer| viewer.caught_up).await;
    assert_eq!(server.get("/readyz").await.0, 200);

    postgres.crash();
    assert_eq!(share.try_sync(&[session("meanwhile")]).await.0, 503);
    let (status, answer) = server.get(&share.path("")).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &Value::from("unavailable")), "{answer}");
    // For a second it says what it has found.
    until("it is not ready", async || server.get("/readyz").await.0 == 503).await;
    assert_eq!(server.get("/healthz").await.0, 200);
    assert_eq!(server.post("/api/share", &json!({"sessionID": "s"})).await.0, 503);

    postgres.restart();
    until("it is ready", async || server.get("/readyz").await.0 == 200).await;
    share.sync(&[session("after")]).await;
    viewer.until("it has what came after", |viewer| viewer.items["session"]["title"] == "after").await;
    assert_eq!(viewer.close_code, None);
    assert_eq!(share.delete(&share.secret).await, 200);
    viewer.until("it is told", |viewer| viewer.closed.is_some()).await;
}
