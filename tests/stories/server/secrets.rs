//! Secrets stay secret.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{ON_DISK, TestServer, message, part, session};

#[actix_web::test]
async fn a_secret_stands_nowhere_and_an_id_not_in_the_log() {
    let server = TestServer::start(&["--store", "sqlite", "--log", "trace"]);
    let share = server.share().await;
    share.sync(&[session("t"), message("m", 1), part("m", "p", "text")]).await;
    let mut viewer = share.view().await;
    viewer.until("caught up", |viewer| viewer.caught_up).await;
    let mut said = String::new();
    for path in ["", "/data", "/items", "/sync", "/poll"] {
        said += &server.get(&share.path(path)).await.1.to_string();
    }
    said += &server.get(&format!("/s/{}", share.id)).await.1.to_string();
    said += &server
        .post(&share.path("/sync"), &serde_json::json!({"secret": [share.secret], "data": []}))
        .await
        .1
        .to_string();
    said += &server
        .post(&share.path("/sync"), &serde_json::json!({"secret": share.secret, "data": 1}))
        .await
        .1
        .to_string();
    assert!(!said.contains(&share.secret));
    assert!(!format!("{:?}", viewer.items).contains(&share.secret));

    for file in std::fs::read_dir(server.data_dir()).expect("the directory") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("bytes");
        assert!(!bytes.windows(share.secret.len()).any(|window| window == share.secret.as_bytes()));
    }
    assert_eq!(share.delete(&share.secret).await, 200);
    let log = server.log();
    assert!(log.contains("/api/share/{id}/sync"), "the log names routes");
    assert!(!log.contains(&share.secret), "the log gives a secret away");
    assert!(!log.contains(&share.id), "the log gives an id away");
}

#[actix_web::test]
async fn the_data_directory_is_its_owners_alone() {
    let server = TestServer::start(&ON_DISK);
    let share = server.share().await;
    share.sync(&[session("t")]).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&server.data_dir()), 0o700);
    let files: Vec<_> = std::fs::read_dir(server.data_dir())
        .expect("the directory")
        .map(|file| file.expect("a file").path())
        .collect();
    assert!(files.len() >= 3);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
