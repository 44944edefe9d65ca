//! The server's own key: who asks learns which server this is. `tests/lan` has the networks on which that counts.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use brutus_share::discovery::{Fingerprint, Nonce, Proof};
use serde_json::Value;

use super::operate;
use crate::harness::TestServer;

/// Asks a server at a host who it is; gives what it proves to who asked at an origin.
fn proved(server: &TestServer, host: &str, origin: &str) -> Option<Fingerprint> {
    let nonce = Nonce::random().expect("random bytes");
    let head = format!("GET /api/server?nonce={} HTTP/1.1\r\nhost: {host}\r\n", nonce.as_str());
    let answer = server.raw(format!("{head}connection: close\r\n\r\n").as_bytes());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no body: {answer:?}"));
    let proof: Proof = serde_json::from_str(body).expect("a proof");
    proof.check(&nonce, origin).ok().cloned()
}

#[actix_web::test]
async fn a_server_proves_its_key_for_its_own_places_alone() {
    let mut server = TestServer::start(&["--public-url", "https://share.example/under"]);
    let links = "https://share.example:443";
    let first = proved(&server, "share.example", links).expect("a proof");
    // What comes over loopback comes from a proxy, whatever name it asks for.
    for host in ["share.example", "SHARE.example:443", "evil.example", &server.address.clone()] {
        assert_eq!(proved(&server, host, links).as_ref(), Some(&first), "{host}");
        for origin in ["https://evil.example:443", "http://share.example:443", &server.url] {
            assert_eq!(proved(&server, host, origin), None, "{host} {origin}");
        }
    }
    for nonce in
        ["", "?nonce=", "?nonce=short", "?nonce=abcdefghijklmnop%0a", &format!("?nonce={}", "a".repeat(65))]
    {
        let (status, refused) = server.get(&format!("/api/server{nonce}")).await;
        assert_eq!((status, &refused["error"]["code"]), (400, &Value::from("malformed")), "{nonce}");
    }

    let key = server.data_dir().join("server.key");
    assert_eq!(fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
    server.crash_and_restart();
    assert_eq!(proved(&server, "share.example", links), Some(first), "it is the same in another life");
    let dir = server.data_dir();
    server.signal("-TERM");
    server.wait();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("changed");
    let refused = operate(&dir, &["serve", "--listen", "127.0.0.1:0"]).expect_err("refused");
    assert!(refused.contains("chmod 600") && refused.contains("server.key"), "{refused}");
}
