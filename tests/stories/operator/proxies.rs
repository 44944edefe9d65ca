//! Whom a proxy asks for.

use crate::harness::{TestServer, client};

async fn create(server: &TestServer, headers: &[(&'static str, &str)]) -> u16 {
    let mut request = client().post(format!("{}/api/share", server.url));
    for (name, value) in headers {
        request = request.append_header((*name, *value));
    }
    request.send_body(r#"{"sessionID":"s"}"#).await.expect("an answer").status().as_u16()
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

#[actix_web::test]
async fn nobody_else_is_believed() {
    let server = TestServer::start(&["--create-limit", "1/h"]);
    assert_eq!(create(&server, &[("x-forwarded-for", "198.51.100.1")]).await, 200);
    assert_eq!(create(&server, &[("x-forwarded-for", "198.51.100.2")]).await, 429);
}
