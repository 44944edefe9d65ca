//! A share is deleted.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::harness::{PATIENCE, TestServer, message, part, session};

#[actix_web::test]
async fn a_deleted_share_is_gone_for_everyone() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1), part("m", "p", "text")]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;

    assert_eq!(share.delete("wrong").await, 401);
    assert_eq!(share.delete(&share.secret).await, 200);
    viewer.until_closed().await;
    assert_eq!((viewer.closed.as_deref(), viewer.close_code), (Some("deleted"), Some(4410)));

    for rest in ["", "/data", "/items", "/poll"] {
        let status = server.get(&share.path(rest)).await.0;
        // `/poll` without an upgrade is refused as such.
        assert_eq!(status, if rest == "/poll" { 400 } else { 404 }, "{rest}");
    }
    assert_eq!(server.get(&format!("/s/{}", share.id)).await.0, 404);
    assert_eq!(share.try_sync(&[session("again")]).await.0, 404);
    let url = share.poll_url("");
    let refused = tokio_tungstenite::connect_async(url).await;
    assert!(
        matches!(refused, Err(tokio_tungstenite::tungstenite::Error::Http(answer)) if answer.status() == 404)
    );
}

#[actix_web::test]
async fn a_repeated_delete_is_fine_with_the_right_secret_even_after_a_restart() {
    let mut server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let (id, secret) = (share.id.clone(), share.secret.clone());
    assert_eq!(share.delete(&secret).await, 200);
    assert_eq!(share.delete(&secret).await, 200);
    assert_eq!(share.delete("wrong").await, 401);
    server.crash_and_restart();
    let delete = |secret: &str| serde_json::json!({"secret": secret}).to_string();
    let path = format!("/api/share/{id}");
    assert_eq!(server.request(awc::http::Method::DELETE, &path, delete(&secret)).await.0, 200);
    assert_eq!(server.request(awc::http::Method::DELETE, &path, delete("wrong")).await.0, 401);
    assert_eq!(server.get(&path).await.0, 404);
}

#[actix_web::test]
async fn deleted_bytes_stand_in_no_file() {
    let server = TestServer::start(&[]);
    let (share, other) = (server.share().await, server.share().await);
    let marker = "walrus-marmalade-93";
    for version in 0..5 {
        let parts: Vec<_> = (0..40)
            .map(|n| part("m", &format!("p{n}"), &format!("{marker} {version} {}", "z".repeat(n * 997))))
            .collect();
        share.sync(&parts).await;
    }
    other.sync(&[part("m", "p", "stays")]).await;
    let found = || {
        let files = std::fs::read_dir(server.data_dir()).expect("the directory");
        files
            .map(|file| file.expect("a file").path())
            .filter(|path| {
                let bytes = std::fs::read(path).expect("bytes");
                bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
            })
            .count()
    };
    assert!(found() > 0, "the search finds what is there");
    assert_eq!(share.delete(&share.secret).await, 200);
    assert_eq!(found(), 0);
    assert_eq!(other.data().await.len(), 1);
}

/// A backup program, say, that reads the database for a long time.
struct LongReader(std::process::Child);

impl LongReader {
    fn start(server: &TestServer) -> Self {
        let mut reader = Command::new("sqlite3")
            .arg(server.data_dir().join("share.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3");
        let stdin = reader.stdin.as_mut().expect("piped");
        stdin.write_all(b"BEGIN; SELECT count(*) FROM shares;\n").expect("sent");
        let mut line = String::new();
        BufReader::new(reader.stdout.take().expect("piped")).read_line(&mut line).expect("an answer");
        Self(reader)
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("it ends").success());
    }
}

#[actix_web::test]
async fn a_long_reader_holds_no_delete_up_and_the_bytes_go_when_it_ends() {
    let server = TestServer::start(&["--share-idle", "1s"]);
    let (share, other) = (server.share().await, server.share().await);
    let reader = LongReader::start(&server);
    let canary = "canary 9e2d";
    share.sync(&[session(canary)]).await;
    assert_eq!(share.delete(&share.secret).await, 200);
    other.sync(&[session("goes on")]).await;
    let stands_somewhere = || {
        ["share.db", "share.db-wal"].iter().any(|name| {
            let bytes = fs::read(server.data_dir().join(name)).unwrap_or_default();
            bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
        })
    };
    assert!(stands_somewhere(), "the reader is in the way");
    reader.end();
    let gone = async {
        while stands_somewhere() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the bytes go");
}
