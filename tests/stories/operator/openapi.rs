//! The API as `openapi.json` and PROTOCOL.md say it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::TestServer;

#[actix_web::test]
async fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let server = TestServer::start(&[]);
    let (status, served) = server.get("/api/openapi.json").await;
    assert_eq!(status, 200);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("BRUTUS_BLESS").is_some() {
        fs::write(&file, serde_json::to_string_pretty(&served).expect("JSON") + "\n").expect("written");
    }
    let known: Value =
        serde_json::from_str(&fs::read_to_string(&file).expect("docs/openapi.json")).expect("JSON");
    assert!(served == known, "docs/openapi.json is old: run this test with BRUTUS_BLESS=1");
}

#[test]
fn the_protocol_names_the_same_requests_and_codes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let protocol = fs::read_to_string(root.join("PROTOCOL.md")).expect("text");
    let api: Value = serde_json::from_str(&fs::read_to_string(root.join("docs/openapi.json")).expect("text"))
        .expect("JSON");
    let (mut requests, mut codes) = (BTreeSet::new(), BTreeSet::new());
    for (path, operations) in api["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            requests.insert(format!("{} {path}", method.to_uppercase()));
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let text = response["description"].as_str().expect("a description");
                let refusals = text.split(", ").filter_map(|code| code.strip_prefix('`')?.strip_suffix('`'));
                if status.as_str() >= "400" {
                    codes.extend(refusals.map(|code| (status.clone(), code.to_owned())));
                }
            }
        }
    }
    requests.remove("GET /assets/{path}");
    let mut said = BTreeSet::new();
    for piece in protocol.split('`').skip(1).step_by(2) {
        let mut words = piece.split([' ', '?']);
        if let (Some(method @ ("GET" | "POST" | "PATCH" | "DELETE")), Some(path)) =
            (words.next(), words.next())
        {
            said.insert(format!("{method} {path}"));
        }
    }
    for other in
        ["GET /share/{id}", "GET /embed/{id}", "GET /s/{id}.md", "GET /s/{id}.json", "GET /s/{id}.png"]
    {
        assert!(said.remove(other), "{other}");
    }
    assert_eq!(said, requests);
    let mut said = BTreeSet::new();
    for row in protocol.lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        if let [_, status, names, ..] = cells[..]
            && status.parse::<u16>().is_ok()
        {
            said.extend(names.split(", ").map(|code| (status.to_owned(), code.trim_matches('`').to_owned())));
        }
    }
    // It is an answer to a method that no operation has.
    assert!(said.remove(&("405".to_owned(), "method_not_allowed".to_owned())));
    assert_eq!(said, codes);
}
