//! Who may create shares.

use awc::http::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, client};

/// Creates a share with a token in the header; the status and the code of a refusal.
async fn create(server: &TestServer, token: Option<&str>) -> (u16, String) {
    let mut request = client().post(format!("{}/api/share", server.url));
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let mut answer = request.send_body(r#"{"sessionID":"s"}"#).await.expect("an answer");
    let body: Value = answer.json().await.expect("JSON");
    (answer.status().as_u16(), body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

fn add(server: &TestServer, args: &[&str]) -> String {
    let args = [&["token", "add"], args].concat();
    server.operate(&args).expect("a token").trim().to_owned()
}

#[actix_web::test]
async fn only_who_has_a_token_creates_shares_where_it_is_asked_for() {
    let server = TestServer::start(&["--create-tokens", "true"]);
    let refused = (401, "wrong_create_token".to_owned());
    assert_eq!(create(&server, None).await, refused);
    assert_eq!(create(&server, Some("bst_made_up")).await, refused);
    let token = add(&server, &["ada"]);
    assert_eq!(create(&server, Some(&token)).await.0, 200);
    // As a path, for clients that cannot send a header: all that they do goes through it.
    let base = format!("/t/{token}");
    let body = json!({"sessionID": "s"}).to_string();
    let (status, created) = server.request(Method::POST, &format!("{base}/api/share"), body).await;
    assert_eq!(status, 200, "{created}");
    assert!(!created["url"].as_str().expect("a link").contains(&token));
    let path = format!("{base}/api/share/{}", created["id"].as_str().expect("an id"));
    let sync = json!({"secret": created["secret"], "data": []});
    assert_eq!(server.post(&format!("{path}/sync"), &sync).await.0, 200);
    assert_eq!(server.get(&path).await.0, 200);
    // Nothing else needs one.
    let list = server.operate(&["token", "list"]).expect("a list");
    assert!(list.contains("ada") && list.contains("holds") && !list.contains(&token), "{list}");
    assert!(server.operate(&["token", "add", "ada"]).expect_err("a name twice").contains("ada"));
    server.operate(&["token", "revoke", "ada"]).expect("revoked");
    assert_eq!(create(&server, Some(&token)).await, refused);
    assert_eq!(server.get(&path).await.0, 200);
    assert!(server.operate(&["token", "revoke", "ada"]).is_err());
    assert_eq!(create(&server, Some(&add(&server, &["ada"]))).await.0, 200);
    assert!(!server.log().contains(&token), "a token is in the log");
}

#[actix_web::test]
async fn a_token_has_limits_of_its_own() {
    let server = TestServer::start(&["--create-tokens", "true"]);
    let few = add(&server, &["few", "--max-shares", "2"]);
    let slow = add(&server, &["slow", "--create-limit", "1/h"]);
    let brief = add(&server, &["brief", "--expires-in", "1ms"]);
    for _ in 0..2 {
        assert_eq!(create(&server, Some(&few)).await.0, 200);
    }
    assert_eq!(create(&server, Some(&few)).await, (403, "too_many_shares".into()));
    assert_eq!(create(&server, Some(&slow)).await.0, 200);
    assert_eq!(create(&server, Some(&slow)).await, (429, "too_many_creates".into()));
    assert_eq!(create(&server, Some(&brief)).await.0, 401);
    // A share that goes makes room for another.
    let shares = server.operate(&["admin", "list", "--token", "few", "--json"]).expect("a list");
    let shares: Vec<Value> = serde_json::from_str(&shares).expect("JSON");
    assert_eq!(shares.len(), 2);
    server.operate(&["admin", "delete", shares[0]["id"].as_str().expect("an id")]).expect("deleted");
    assert_eq!(create(&server, Some(&few)).await.0, 200);
}

#[actix_web::test]
async fn where_everybody_may_create_a_token_lifts_the_address_limit() {
    let server = TestServer::start(&["--create-limit", "1/h"]);
    assert_eq!(create(&server, None).await.0, 200);
    assert_eq!(create(&server, None).await.0, 429);
    let token = add(&server, &["ada", "--create-limit", "5/h"]);
    for _ in 0..5 {
        assert_eq!(create(&server, Some(&token)).await.0, 200);
    }
    assert_eq!(create(&server, Some(&token)).await.0, 429);
}

#[actix_web::test]
async fn a_token_has_no_more_shares_than_it_may_however_many_are_created_at_once() {
    let server = TestServer::start(&[]);
    let token = add(&server, &["ada", "--max-shares", "3"]);
    let creates = futures_util::future::join_all((0..24).map(|_| create(&server, Some(&token)))).await;
    let created = creates.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(created, 3, "{creates:?}");
    assert!(creates.contains(&(403, "too_many_shares".to_owned())), "{creates:?}");
}
