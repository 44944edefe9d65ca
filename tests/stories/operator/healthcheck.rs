//! A container has nothing in it but the program: it asks itself how it is.

use crate::harness::{TestServer, program};

#[actix_web::test]
async fn a_server_that_answers_is_well_and_all_else_is_not() {
    let mut server = TestServer::start(&[]);
    let check = |url: &str| {
        let output = program().args(["healthcheck", "--timeout", "5s", url]).output().expect("runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    assert_eq!(check(&server.url), (Some(0), String::new()));
    assert_eq!(check(&format!("{}/", server.url)).0, Some(0));
    let (code, said) = check(&format!("{}/nothing", server.url));
    assert!(code == Some(1) && said.contains("it answers 404"), "{said}");
    server.kill();
    let (code, said) = check(&server.url);
    assert!(code == Some(1) && said.contains("no answer"), "{said}");
}
