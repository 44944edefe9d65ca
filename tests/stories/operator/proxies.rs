//! Whom a proxy asks for.

use awc::http::Method;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{PATIENCE, TestServer, TestViewer, part};

async fn create(server: &TestServer, headers: &[(&str, &str)]) -> u16 {
    server.request_with(Method::POST, "/api/share", headers, r#"{"sessionID":"s"}"#).await.0
}

#[actix_web::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_limit() {
    let server = TestServer::start(&["--create-limit", "1/h", "--trusted-proxies", "127.0.0.1"]);
    for (headers, status) in [
        ([("x-forwarded-for", "198.51.100.1")], 200),
        ([("x-forwarded-for", "198.51.100.1")], 429),
        // What the client itself wrote in front counts for nothing.
        ([("x-forwarded-for", "203.0.113.7, 198.51.100.1")], 429),
        ([("x-forwarded-for", "198.51.100.2")], 200),
        ([("forwarded", "for=\"[2001:db8::1]:4711\";proto=https")], 200),
        ([("x-forwarded-for", "2001:db8::2")], 429),
    ] {
        assert_eq!(create(&server, &headers).await, status, "{headers:?}");
    }
}

/// A viewer of a client behind the proxy; or the code of its refusal.
async fn view(url: &str, client: &str) -> Result<TestViewer, String> {
    let mut request = url.into_client_request().expect("a URL");
    request.headers_mut().insert("x-forwarded-for", client.parse().expect("a header"));
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, _)) => Ok(TestViewer::new(socket)),
        Err(WsError::Http(answer)) => {
            let body: Value =
                serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).expect("JSON");
            assert_eq!(answer.headers()["retry-after"], "30");
            Err(format!("{} {}", answer.status().as_u16(), body["error"]["code"].as_str().expect("a code")))
        }
        Err(error) => panic!("{error}"),
    }
}

#[actix_web::test]
async fn one_address_does_not_take_all_places_of_viewers() {
    let server = TestServer::start(&["--max-viewers-per-address", "2", "--trusted-proxies", "127.0.0.1"]);
    let share = server.share().await;
    share.sync(&[part("m", "p", "x")]).await;
    let mut first = view(&share.poll_url(""), "198.51.100.1").await.expect("a place");
    let _second = view(&share.poll_url(""), "198.51.100.1").await.expect("a place");
    let refused = view(&share.poll_url(""), "198.51.100.1").await.err();
    assert_eq!(refused.as_deref(), Some("429 too_many_viewers_here"));
    view(&share.poll_url(""), "198.51.100.2").await.expect("others have their own");

    first.until("the share", |viewer| viewer.items.len() == 1).await;
    drop(first);
    let free = async { while view(&share.poll_url(""), "198.51.100.1").await.is_err() {} };
    tokio::time::timeout(PATIENCE, free).await.expect("the place of one that left is free");
}

#[actix_web::test]
async fn nobody_else_is_believed() {
    let server = TestServer::start(&["--create-limit", "1/h"]);
    assert_eq!(create(&server, &[("x-forwarded-for", "198.51.100.1")]).await, 200);
    assert_eq!(create(&server, &[("x-forwarded-for", "198.51.100.2")]).await, 429);
}
