//! Viewers: what they see, when, and what becomes of those who misbehave.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{TestServer, message, part, session};

#[actix_web::test]
async fn a_viewer_sees_what_is_stored_and_then_what_comes() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let mut early = share.view().await;
    early.until("the end of an empty catch-up", |viewer| viewer.caught_up).await;
    assert!(early.items.is_empty());

    share.sync(&[part("m", "p1", "one"), message("m", 1), session("t")]).await;
    early.until("the first sync", |viewer| viewer.items.len() == 3).await;
    let mut late = share.view().await;
    late.until("caught up", |viewer| viewer.caught_up).await;
    assert_eq!(late.items, early.items);
    early.until("the other viewer", |viewer| viewer.viewers == 2).await;

    share.sync(&[part("m", "p1", "one and more")]).await;
    share.sync(&[json!({"type": "message.removed", "data": {"id": "m"}})]).await;
    for viewer in [&mut early, &mut late] {
        viewer.until("the removal", |viewer| viewer.items.len() == 1).await;
    }
    drop(late);
    early.until("the other has gone", |viewer| viewer.viewers == 1).await;
}

#[actix_web::test]
async fn a_viewer_that_comes_back_gets_what_it_missed() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[message("m", 1), part("m", "p1", "one"), part("m", "p2", "two")]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let position = format!("?after={}&epoch={}", viewer.seq, viewer.epoch);
    drop(viewer);

    share
        .sync(&[
            part("m", "p3", "three"),
            json!({"type": "part.removed", "data": {"messageID": "m", "id": "p1"}}),
        ])
        .await;
    let mut back = share.view_from(&position).await;
    back.items.insert("part/m/p1".into(), json!("known"));
    back.items.insert("part/m/p2".into(), json!("known"));
    back.epoch = position.split('=').next_back().expect("an epoch").to_owned();
    back.until("caught up", |viewer| viewer.caught_up).await;
    assert_eq!(back.items.keys().collect::<Vec<_>>(), ["part/m/p2", "part/m/p3"]);
    assert_eq!(back.items["part/m/p2"], "known");

    let current = format!("?after={}&epoch={}", back.seq, back.epoch);
    let mut current = share.view_from(&current).await;
    current.until("an empty catch-up", |viewer| viewer.caught_up).await;
    assert!(current.items.is_empty());
}

#[actix_web::test]
async fn many_viewers_all_end_with_the_newest() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let mut viewers = Vec::new();
    for _ in 0..50 {
        viewers.push(share.view().await);
    }
    for round in 0..50 {
        share.sync(&[part("m", "same", &round.to_string()), part("m", &format!("p{round:02}"), "x")]).await;
    }
    for viewer in &mut viewers {
        viewer
            .until("the newest", |viewer| {
                viewer.items.len() == 51 && viewer.items["part/m/same"]["text"] == "49"
            })
            .await;
    }
}

#[actix_web::test]
async fn a_streamed_answer_costs_its_length_once_to_who_takes_appends() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    share.sync(&[message("m", 1), part("m", "p", "")]).await;
    let (mut appending, mut whole) = (share.view_from("?append=1").await, share.view().await);
    for viewer in [&mut appending, &mut whole] {
        viewer.until("caught up", |viewer| viewer.caught_up).await;
    }
    let (before, mut text) = (appending.bytes, String::new());
    for n in 0..50 {
        writeln!(text, "{n:02} \u{1f980} \"{}\"", "streamed ".repeat(110)).expect("a string");
        share.sync(&[part("m", "p", &text)]).await;
        for viewer in [&mut appending, &mut whole] {
            viewer.until("the update", |viewer| viewer.items["part/m/p"]["text"] == text.as_str()).await;
        }
    }
    assert!(text.len() > 50_000);
    let cost = appending.bytes - before;
    assert!(cost * 2 < text.len() * 3, "{} bytes cost {cost}", text.len());
    assert!(whole.bytes > 10 * cost);

    // Anything else that changes comes whole.
    let mut ended = part("m", "p", &format!("{text} end"));
    ended["data"]["time"] = json!({"end": 1});
    share.sync(std::slice::from_ref(&ended)).await;
    appending.until("the end", |viewer| viewer.items["part/m/p"] == ended["data"]).await;
}

#[actix_web::test]
async fn a_share_has_no_more_viewers_than_it_may() {
    let server = TestServer::start(&["--max-viewers", "2"]);
    let share = server.share().await;
    let mut first = share.view().await;
    let _second = share.view().await;
    first.until("both", |viewer| viewer.viewers == 2).await;
    let url = share.poll_url("");
    let refused = tokio_tungstenite::connect_async(url).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else { panic!("not refused") };
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}

#[actix_web::test]
async fn a_viewer_that_does_not_read_holds_nothing_up_and_costs_little() {
    let server = TestServer::start(&["--dead-peer-timeout", "300s"]);
    let share = server.share().await;
    let text = "y".repeat(200_000);
    let parts: Vec<_> = (0..20).map(|n| part("m", &format!("p{n:02}"), &text)).collect();
    share.sync(&parts).await;
    let mut good = share.view().await;
    good.until("caught up", |viewer| viewer.caught_up).await;
    let before = server.memory();
    let mut stalled = Vec::new();
    for _ in 0..50 {
        stalled.push(share.view().await);
    }
    good.until("all are there", |viewer| viewer.viewers == 51).await;
    for round in 0..20 {
        share.sync(&[part("m", "p00", &format!("{round}{text}"))]).await;
    }
    good.until("the newest", |viewer| {
        viewer.items["part/m/p00"]["text"].as_str().is_some_and(|text| text.starts_with("19"))
    })
    .await;
    let each = server.memory().saturating_sub(before) / 50;
    assert!(each < 2 << 20, "a stalled viewer costs {each} bytes");
}

#[actix_web::test]
async fn a_viewer_that_takes_nothing_is_reaped_by_the_kernel() {
    let server = TestServer::start(&["--dead-peer-timeout", "1s"]);
    let share = server.share().await;
    let text = "y".repeat(1 << 20);
    let parts: Vec<_> = (0..16).map(|n| part("m", &format!("p{n:02}"), &text)).collect();
    share.sync(&parts).await;
    // Has read all before the other comes, and so hears of it while it lives.
    let mut good = share.view().await;
    good.until("caught up", |viewer| viewer.caught_up).await;
    let stalled = share.view().await;
    good.until("both", |viewer| viewer.viewers == 2).await;
    good.until("the dead one is gone", |viewer| viewer.viewers == 1).await;
    drop(stalled);
}

/// Browsers tell their pages of a close when the connection ends: so late do they come back.
#[actix_web::test]
async fn when_a_viewer_has_answered_a_close_its_connection_ends_at_once() {
    let server = TestServer::start(&[]);
    let share = server.share().await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    share.delete(&share.secret).await;
    viewer.until("the close", |viewer| viewer.close_code.is_some()).await;
    let closed = Instant::now();
    viewer.until_closed().await;
    assert!(closed.elapsed() < Duration::from_secs(1), "{:?}", closed.elapsed());
}
