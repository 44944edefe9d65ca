//! The store that an operator chooses, and what makes no sense with another than SQLite.

use std::os::unix::fs::DirBuilderExt;
use std::process::Output;

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::tls::certificate;
use crate::harness::balancer::Balancer;
use crate::harness::postgres::{Postgres, psql};
use crate::harness::sqld::Sqld;
use crate::harness::{TestServer, TestShare, client, free_address, part, program, session, until};

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
    let libsql = &*format!("libsql+http://127.0.0.1:1/base?authToken={secret}");
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
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--store", "libsql+http://u:hunter2@h"],
            vec![],
            1,
            "a token is `authToken`",
        ),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--store", "libsql+https://h?token=hunter2"],
            vec![],
            1,
            "another option",
        ),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--store", "libsql://h?authToken=hunter2"],
            vec![],
            2,
            "must be",
        ),
        (vec!["admin", "stats"], vec![("BRUTUS_SHARE_SERVE_STORE", libsql)], 1, "libSQL: "),
        (vec!["backup", "/nowhere/file"], vec![("BRUTUS_SHARE_SERVE_STORE", libsql)], 2, "the means of sqld"),
        (
            vec!["restore", "/nowhere/file"],
            vec![("BRUTUS_SHARE_SERVE_STORE", libsql)],
            2,
            "the means of sqld",
        ),
        (vec!["move", "--from", "/nowhere", "--to", libsql], vec![], 2, "docs/SCALE.md"),
        (
            vec!["serve", "--listen", "127.0.0.1:0", "--bus", "postgres", "--store", libsql],
            vec![],
            2,
            "the store is not",
        ),
        (
            vec!["config", "show", "serve", "--store", libsql],
            vec![],
            0,
            "store = \"libsql+http://…\"  # flag",
        ),
        (vec!["serve", "--help"], vec![("BRUTUS_SHARE_SERVE_STORE", url)], 0, "BRUTUS_SHARE_SERVE_STORE"),
    ] {
        let (ended, said) = run(&args, &env);
        assert_eq!(ended, code, "{args:?}: {said}");
        assert!(said.contains(word), "{args:?}: {said}");
        assert!(!said.contains(secret), "{args:?}: {said}");
    }
}

// A statement's plan is kept from when there was one share.
#[actix_web::test]
async fn what_is_written_of_one_share_goes_through_no_others() {
    let postgres = Postgres::start();
    let url = postgres.create("share");
    let server = TestServer::start(&["--store", &url]);
    let share = server.share().await;
    let sync = async |range: std::ops::Range<usize>| {
        for nth in range {
            share.sync(&[part("m", &format!("p{nth}"), "text")]).await;
        }
    };
    sync(0..10).await;
    psql(
        &url,
        "INSERT INTO shares (id, session_id, secret_hash, epoch, created_at, updated_at) \
         SELECT 'other' || n, 's', '', 'e', 1, 1 FROM generate_series(1, 2000) AS n",
    );
    let count = |what: &str, table: &str| -> u64 {
        let statistics = format!("SELECT {what} FROM pg_stat_user_tables WHERE relname = '{table}'");
        psql(&url, &statistics).parse().expect("a number")
    };
    let before = count("seq_tup_read", "shares");
    sync(10..110).await;
    until("statistics", async || count("n_tup_ins", "share_data") == 110).await;
    let read = count("seq_tup_read", "shares") - before;
    assert!(read < 20_000, "{read} rows for 100 syncs");
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

/// Who may write to a sqld with a key, and its key.
fn key_and_token() -> (String, String) {
    let random = ring::rand::SystemRandom::new();
    let pair = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
    let pair = Ed25519KeyPair::from_pkcs8(pair.as_ref()).expect("a key");
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "typ": "JWT"})), part(json!({"a": "rw"})));
    let signature = BASE64URL_NOPAD.encode(pair.sign(signed.as_bytes()).as_ref());
    (BASE64URL_NOPAD.encode(pair.public_key().as_ref()), format!("{signed}.{signature}"))
}

#[actix_web::test]
async fn sqld_is_shown_the_token_that_it_asks_for() {
    let (key, token) = key_and_token();
    let dir = tempfile::TempDir::new().expect("a directory");
    let file = dir.path().join("key");
    std::fs::write(&file, key).expect("written");
    let sqld = Sqld::start_with(&["--auth-jwt-key-file", file.to_str().expect("UTF-8")]);
    let url = format!("{}?authToken={token}", sqld.url());
    let server = TestServer::start(&["--store", &url]);
    let share = server.share().await;
    share.sync(&[session("with a token")]).await;
    assert!(server.log().contains("synchronous=FULL"), "{}", server.log());
    assert!(!server.log().contains(&token));
    let stats = server.operate(&["admin", "stats", "--json"]).expect("stats");
    assert_eq!(serde_json::from_str::<Value>(&stats).expect("JSON")["shares"], 1);

    let (_, strangers) = key_and_token();
    for url in [sqld.url(), format!("{}?authToken={strangers}", sqld.url())] {
        let (code, said) = run(&["serve", "--listen", "127.0.0.1:0", "--store", &url], &[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("401") && !said.contains(&strangers), "{said}");
    }
}

#[actix_web::test]
async fn what_stands_before_sqld_and_speaks_tls_is_trusted_by_its_certificate_alone() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let (cert, key) = certificate(dir.path(), "sqld");
    let both = [&cert, &key].map(|path| std::fs::read_to_string(path).expect("PEM")).concat();
    let pem = dir.path().join("both.pem");
    std::fs::write(&pem, both).expect("written");
    let sqld = Sqld::start();
    let front = Balancer::start_encrypted(sqld.url().trim_start_matches("libsql+http://"), &pem);
    let url = format!("libsql+{}", front.url);
    let server = TestServer::start_with_env(&["--store", &url], &[("SSL_CERT_FILE", &cert)]);
    let share = server.share().await;
    share.sync(&[session("over TLS")]).await;
    let (code, said) =
        run(&["admin", "stats", "--store", &url], &[("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("certificate"), "{said}");
}

#[actix_web::test]
async fn whether_sqld_flushes_what_it_acknowledges_is_told_at_the_start() {
    let admin = free_address().to_string();
    let sqld = Sqld::start_with(&["--admin-listen-addr", &admin]);
    let warns =
        || TestServer::start(&["--store", &sqld.url()]).log().contains("when its machine loses power");
    assert!(warns());
    let strong = json!({"block_reads": false, "block_writes": false, "durability_mode": "strong"});
    let answer =
        client().post(format!("http://{admin}/v1/namespaces/default/config")).send_json(&strong).await;
    assert_eq!(answer.expect("sqld answers").status(), 200);
    assert!(!warns());
}

#[actix_web::test]
async fn an_item_that_libsql_does_not_take_is_refused_as_too_large() {
    let sqld = Sqld::start();
    let server = TestServer::start(&["--store", &sqld.url()]);
    let share = server.share().await;
    let of = |bytes: usize| part("m", "p", &"x".repeat(bytes));
    let (status, answer) = share.try_sync(&[of(6 << 20)]).await;
    assert_eq!((status, &answer["error"]["code"]), (413, &Value::from("item_too_large")));
    share.sync(&[of(3 << 20)]).await;
}

#[actix_web::test]
async fn while_the_database_is_away_the_server_lives_and_viewers_stay() {
    let mut postgres = Postgres::start();
    let url = postgres.create("share");
    lives_without(&url, |restart| if restart { postgres.restart() } else { postgres.crash() }).await;
    let mut sqld = Sqld::start();
    let url = sqld.url();
    lives_without(&url, |restart| if restart { sqld.restart() } else { sqld.crash() }).await;
}

/// `database` has it crash, or start again.
async fn lives_without(store: &str, mut database: impl FnMut(bool)) {
    let server = TestServer::start(&["--store", store, "--metrics-listen", "127.0.0.1:0"]);
    let share = server.share().await;
    share.sync(&[session("before")]).await;
    let mut viewer = share.view().await;
    viewer.until("it has all", |viewer| viewer.caught_up).await;
    assert_eq!(server.get("/readyz").await.0, 200);

    database(false);
    assert_eq!(share.try_sync(&[session("meanwhile")]).await.0, 503);
    let (status, answer) = server.get(&share.path("")).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &Value::from("unavailable")), "{answer}");
    // For a second it says what it has found.
    until("it is not ready", async || server.get("/readyz").await.0 == 503).await;
    assert_eq!(server.get("/healthz").await.0, 200);
    assert_eq!(server.post("/api/share", &json!({"sessionID": "s"})).await.0, 503);

    database(true);
    until("it is ready", async || server.get("/readyz").await.0 == 200).await;
    share.sync(&[session("after")]).await;
    viewer.until("it has what came after", |viewer| viewer.items["session"]["title"] == "after").await;
    assert_eq!(viewer.close_code, None);
    assert_eq!(share.delete(&share.secret).await, 200);
    viewer.until("it is told", |viewer| viewer.closed.is_some()).await;
}

#[actix_web::test]
async fn shares_go_from_sqlite_to_sqld_as_a_backup_and_back_as_a_dump() {
    let texts = session("it's \u{e9}, \\ and \u{1f600}");
    let server = TestServer::start(&["--store", "sqlite"]);
    let share = server.share().await;
    share.sync(&[texts.clone(), part("m", "p", "\0 in a text")]).await;
    let deleted = server.share().await;
    assert_eq!(deleted.delete(&deleted.secret).await, 200);
    let backup = server.data_dir().with_file_name("backup.db");
    server.operate(&["backup", backup.to_str().expect("UTF-8")]).expect("a backup");
    // sqld ends at the first write to one with other pages than its own.
    let pages =
        std::process::Command::new("sqlite3").arg(&backup).arg("PRAGMA page_size = 4096; VACUUM").status();
    assert!(pages.expect("sqlite3").success());

    let sqld = Sqld::start_with_file(&backup);
    let there = TestServer::start(&["--store", &sqld.url()]);
    let at =
        |server| TestShare { server, id: share.id.clone(), secret: share.secret.clone(), url: String::new() };
    let data = share.path("/data");
    assert_eq!(there.get(&data).await, server.get(&data).await);
    at(&there).sync(&[part("m", "q", "from there")]).await;

    let dump = sqld.url().replace("libsql+", "") + "/dump";
    let dump = client().get(dump).send().await.expect("sqld answers").body().await.expect("a dump");
    let back = std::sync::Arc::new(tempfile::TempDir::new().expect("a directory"));
    let dir = back.path().join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&dir).expect("a directory");
    let script = dir.join("dump.sql");
    std::fs::write(&script, dump).expect("written");
    let read = format!("umask 077; sqlite3 {0}/share.db < {0}/dump.sql", dir.display());
    assert!(std::process::Command::new("sh").args(["-c", &read]).status().expect("sh").success());
    let back = TestServer::start_on(back, &["--store", "sqlite"]);
    assert_eq!(back.get(&data).await, there.get(&data).await);
    at(&back).sync(&[texts]).await;
    assert_eq!(back.get(&deleted.path("")).await.0, 404);
}
