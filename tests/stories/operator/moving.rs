//! Shares move from one store to another.

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::postgres::{Postgres, psql};
use crate::harness::{ON_DISK, TestServer, TestShare, message, part, program, session, until};

/// More than are copied in one transaction.
const SHARES: usize = 300;

const CLIENTS: usize = 4;

fn command(from: &str, to: &str) -> Command {
    let mut command = program();
    command.arg("move").env("BRUTUS_SHARE_MOVE_FROM", from).env("BRUTUS_SHARE_MOVE_TO", to);
    command
}

/// Moves, and gives the exit code and what is said.
fn moved(from: &str, to: &str) -> (i32, String) {
    let Output { status, stdout, stderr } = command(from, to).output().expect("it runs");
    let said = [stdout, stderr].map(|said| String::from_utf8(said).expect("UTF-8")).concat();
    (status.code().expect("a code"), said)
}

/// A place for a data directory.
fn directory() -> (Arc<TempDir>, String) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("data").to_str().expect("UTF-8").to_owned();
    (Arc::new(dir), path)
}

fn stop(server: &mut TestServer) {
    server.signal("-TERM");
    assert!(server.wait().success());
}

fn of<'a>(server: &'a TestServer, (id, secret): &(String, String)) -> TestShare<'a> {
    TestShare { server, id: id.clone(), secret: secret.clone(), url: String::new() }
}

/// All that anybody can read of a share.
async fn all(server: &TestServer, share: &(String, String)) -> [Value; 3] {
    let share = of(server, share);
    let mut read = Vec::new();
    for path in ["", "/data", "/items?order=1"] {
        let (status, mut answer) = server.get(&share.path(path)).await;
        assert_eq!(status, 200, "{answer}");
        if let Some(summary) = answer.as_object_mut() {
            summary.remove("viewers");
        }
        read.push(answer);
    }
    read.try_into().expect("three")
}

#[actix_web::test]
async fn a_share_moves_there_and_back_with_all_that_is_known_of_it() {
    let postgres = Postgres::start();
    let url = postgres.create("share");
    let secret = format!("ghp_{}", "1234567890".repeat(4).split_at(36).0);
    let mut server = TestServer::start(&ON_DISK);
    let token = server.operate(&["token", "add", "ada", "--max-shares", "9"]).expect("a token");
    server.operate(&["token", "add", "bob"]).expect("a token");
    server.operate(&["token", "revoke", "bob"]).expect("revoked");
    let (kept, gone, empty) = (server.share().await, server.share().await, server.share().await);
    // What came first does not stand first by its name, nor by its last change.
    kept.sync(&[session("kept"), message("m", 1), part("m", "z", "1"), part("m", "a", &secret)]).await;
    kept.sync(&[part("m", "z", "2\0"), part("m", "k", "3"), json!({"type": "todo", "data": 1})]).await;
    kept.sync(&[json!({"type": "part.removed", "data": {"messageID": "m", "id": "k"}})]).await;
    gone.sync(&[session("gone")]).await;
    assert_eq!(gone.delete(&gone.secret).await, 200);
    let [kept, gone, empty] = [kept, gone, empty].map(|share| (share.id, share.secret));
    let ending = server.post("/api/share", &json!({"sessionID": "a\0b", "expiresIn": 3600})).await.1;
    let ending = ["id", "secret"].map(|name| ending[name].as_str().expect(name).to_owned());
    let ending: (String, String) = ending.into();
    let mut viewer = of(&server, &kept).view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let mut before = Vec::new();
    for share in [&kept, &empty, &ending] {
        before.push(all(&server, share).await);
    }
    stop(&mut server);

    let mut from = server.data_dir().to_str().expect("UTF-8").to_owned();
    for to_postgres in [true, false] {
        let (dir, path) = directory();
        let to = if to_postgres { url.clone() } else { path };
        let (code, said) = moved(&from, &to);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("3 shares with 5 items are as they were"), "{said}");
        // A second move into it would take away what is written to it from now on.
        let (code, said) = moved(&from, &to);
        assert!(code == 1 && said.contains("has shares or tokens already"), "{said}");

        let store = if to_postgres { &*url } else { "sqlite" };
        let mut server = TestServer::start_on(dir, &["--store", store]);
        for (share, before) in [&kept, &empty, &ending].into_iter().zip(&before) {
            assert_eq!(&all(&server, share).await, before);
        }
        let moved = of(&server, &kept);
        // Whoever watched it has its position, and gets what is new.
        let position = format!("?after={}&epoch={}", viewer.seq, viewer.epoch);
        let mut again = moved.view_from(&position).await;
        again.until("caught up", |again| again.caught_up).await;
        assert_eq!((again.items.len(), &again.epoch, again.seq), (0, &viewer.epoch, viewer.seq));
        // A value has the name that it had.
        moved.sync(&[part("m", "same", &secret)]).await;
        again.until("the new part", |again| again.items.contains_key("part/m/same")).await;
        assert_eq!(again.items["part/m/same"]["text"], "[redacted:github-token-1]");
        moved.sync(&[json!({"type": "part.removed", "data": {"messageID": "m", "id": "same"}})]).await;
        until("it is removed", async || moved.data().await.len() == 5).await;
        assert_eq!(of(&server, &gone).delete(&gone.1).await, 200);
        assert_eq!(of(&server, &gone).delete("wrong").await, 401);
        let created =
            server.post(&format!("/t/{}/api/share", token.trim()), &json!({"sessionID": "new"})).await;
        assert_eq!(created.0, 200, "{}", created.1);
        let list = server.operate(&["token", "list"]).expect("a list");
        assert!(list.contains("1 of 9") && list.contains("revoked"), "{list}");
        let id = created.1["id"].as_str().expect("an id");
        server.operate(&["admin", "delete", id]).expect("deleted");

        viewer = moved.view().await;
        viewer.until("caught up", |viewer| viewer.caught_up).await;
        before.clear();
        for share in [&kept, &empty, &ending] {
            before.push(all(&server, share).await);
        }
        stop(&mut server);
        from = to;
    }
}

/// Clients that sync to shares of their own, one part after the other, each with what it gets acknowledged last.
async fn write(server: &TestServer, shares: &[(String, String)], written: &[Cell<u64>], ends: &Cell<bool>) {
    let clients = shares.iter().zip(written).map(async |(share, written)| {
        let share = of(server, share);
        while !ends.get() {
            let n = written.get() + 1;
            share.sync(&[part("m", &format!("p{n}"), &n.to_string().repeat(50))]).await;
            written.set(n);
        }
    });
    join_all(clients).await;
}

/// Moves from a store that is written to. `some` says whether something has come to the new one.
async fn moves_under_load(
    mut server: TestServer,
    [from, to]: [String; 2],
    some: impl Fn() -> bool,
    start: impl Fn() -> Result<TestServer, String>,
) {
    let mut shares = Vec::new();
    for _ in 0..SHARES {
        let share = server.share().await;
        share.sync(&[session("t"), message("m", 1), part("m", "p", &"text ".repeat(200))]).await;
        shares.push((share.id, share.secret));
    }
    let (watched, ends) = (&shares[0], Cell::new(false));
    let written: Vec<Cell<u64>> = (0..CLIENTS).map(|_| Cell::new(0)).collect();
    let mut viewer = of(&server, watched).view().await;
    let moves = async {
        let mut killed = command(&from, &to).stdout(Stdio::null()).spawn().expect("runs");
        until("something is copied", async || some() || killed.try_wait().expect("it is there").is_some())
            .await;
        killed.kill().expect("killed");
        killed.wait().expect("it ends");
        // Beside the server it comes as far as it can, each time.
        for _ in 0..2 {
            let [from, to] = [from.clone(), to.clone()];
            let moved = tokio::task::spawn_blocking(move || moved(&from, &to));
            let (code, said) = moved.await.expect("it runs");
            assert_eq!(code, 6, "{said}");
            assert!(
                said.contains("copied") && said.contains("stop all that do and run this again"),
                "{said}"
            );
        }
        let refused = start().err().expect("no server starts on half of it");
        assert!(refused.contains("a move into"), "{refused}");
        let before: Vec<u64> = written.iter().map(Cell::get).collect();
        let goes_on = || written.iter().zip(&before).all(|(now, before)| now.get() > before + 2);
        until("more is written", async || goes_on()).await;
        ends.set(true);
    };
    let reads = viewer.until("it has what was written before", |viewer| viewer.items.len() > 5);
    futures_util::join!(write(&server, &shares[..CLIENTS], &written, &ends), moves, reads);
    let position = format!("?after={}&epoch={}", viewer.seq, viewer.epoch);
    let (known, epoch) = (viewer.items.len(), viewer.epoch.clone());
    stop(&mut server);

    let (code, said) = moved(&from, &to);
    assert_eq!(code, 0, "{said}");
    let items: u64 = (SHARES * 3) as u64 + written.iter().map(Cell::get).sum::<u64>();
    assert!(said.contains(&format!("{SHARES} shares with {items} items")), "{items}: {said}");
    let server = start().expect("it starts");
    for (share, written) in shares.iter().zip(&written) {
        let data = of(&server, share).data().await;
        for n in 1..=written.get() {
            assert!(data.iter().any(|item| item["data"]["id"] == format!("p{n}")), "{n} is lost");
        }
    }
    let share = of(&server, watched);
    let mut again = share.view_from(&position).await;
    again.until("caught up", |again| again.caught_up).await;
    assert_eq!(again.epoch, epoch);
    assert_eq!(again.items.len() + known, share.data().await.len(), "what was known does not come again");
}

#[actix_web::test]
async fn a_directory_that_is_written_to_moves_into_postgresql() {
    let postgres = Postgres::start();
    let to = postgres.create("share");
    let server = TestServer::start(&ON_DISK);
    let from = server.data_dir().to_str().expect("UTF-8").to_owned();
    let some = || {
        let marked = "SELECT to_regclass('unfinished_move') IS NOT NULL";
        psql(&to, marked) == "t" && psql(&to, "SELECT count(*) FROM shares") != "0"
    };
    moves_under_load(server, [from, to.clone()], some, || started(None, &to)).await;
}

#[actix_web::test]
async fn postgresql_that_is_written_to_moves_into_a_directory() {
    let postgres = Postgres::start();
    let from = postgres.create("share");
    let server = TestServer::start(&["--store", &from]);
    let (dir, to) = directory();
    let log = Path::new(&to).join("share.db-wal");
    // More than its schema.
    let some = || log.metadata().is_ok_and(|log| log.len() > 400_000);
    moves_under_load(server, [from, to], some, || started(Some(&dir), "sqlite")).await;
}

/// A server on a store, or why there is none.
fn started(dir: Option<&Arc<TempDir>>, store: &str) -> Result<TestServer, String> {
    let dir = dir.cloned().unwrap_or_else(|| directory().0);
    let mut probe = program();
    probe
        .args(["serve", "--listen", "127.0.0.1:0", "--store", store, "--data-dir"])
        .arg(dir.path().join("data"));
    let mut probe = probe.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(probe.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let _ = probe.kill();
    let said = probe.wait_with_output().expect("it ends").stderr;
    if line.is_empty() {
        return Err(String::from_utf8(said).expect("UTF-8"));
    }
    Ok(TestServer::start_on(dir, &["--store", store]))
}

#[actix_web::test]
async fn what_would_be_written_over_is_refused() {
    let postgres = Postgres::start();
    let (used, fresh) = (postgres.create("used"), postgres.create("fresh"));
    let (one, other) = (TestServer::start(&ON_DISK), TestServer::start(&ON_DISK));
    let [one_dir, other_dir] =
        [&one, &other].map(|server| server.data_dir().to_str().expect("UTF-8").to_owned());
    let on_used = TestServer::start(&["--store", &used]);
    let refused = |from: &str, to: &str, why: &str| {
        let (code, said) = moved(from, to);
        assert!(code == 1 && said.contains(why), "{code} {said}");
    };
    refused(&one_dir, &used, "a server uses the new store");
    refused(&one_dir, &other_dir, "another brutus-share uses this directory");
    on_used.share().await;
    drop(on_used);
    let (code, said) = loop {
        // Its connections end a moment after it.
        let moved = moved(&one_dir, &used);
        if !moved.1.contains("a server uses the new store") {
            break moved;
        }
    };
    assert!(code == 1 && said.contains("has shares or tokens already"), "{said}");
    assert_eq!(moved(&one_dir, &fresh).0, 6);
    refused(&other_dir, &fresh, "is from another one");
    refused(&fresh, &postgres.create("third"), "a move into the old store is not finished");
    // What is deleted in the old store goes from the new one.
    let share = one.share().await;
    share.sync(&[session("t")]).await;
    assert_eq!(moved(&one_dir, &fresh).0, 6);
    assert_eq!(psql(&fresh, "SELECT count(*) FROM share_data"), "1");
    assert_eq!(share.delete(&share.secret).await, 200);
    assert_eq!(moved(&one_dir, &fresh).0, 6);
    assert_eq!(psql(&fresh, "SELECT count(*) FROM share_data"), "0");
}
