//! Is a file in order, and what holds?

use std::fs;
use std::process::Output;

use awc::http::Method;
use tempfile::TempDir;

use crate::harness::{PATIENCE, TestServer, program};

fn run(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        program().args(args).envs(env.iter().copied()).output().expect("runs");
    (status.code(), String::from_utf8([stdout, stderr].concat()).expect("UTF-8"))
}

#[test]
fn a_file_is_checked_before_it_is_used() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("config.toml");
    let path = file.to_str().expect("UTF-8");
    let check = |text: &str| {
        fs::write(&file, text).expect("written");
        run(&["config", "check", path], &[])
    };
    assert_eq!(
        check("max_share = \"1GiB\"\nidle_lifetime = \"30days\"\n"),
        (Some(0), format!("{path}: in order\n"))
    );
    for (text, wrong) in [
        ("max_shares = \"1GiB\"", "did you mean `max_share`?"),
        ("idle_lifetime = \"long\"", "or `never`"),
        ("trusted_proxies = \"everybody\"", "addresses or networks"),
        ("log = \"no=such=filter\"", "filter"),
        ("tls_cert = \"/nowhere.pem\"\ntls_key = \"/nowhere.key\"", "/nowhere.pem"),
        ("tls_cert = \"/nowhere.pem\"", "tls_cert and tls_key belong together"),
    ] {
        let (code, said) = check(text);
        assert!(code != Some(0) && said.contains(wrong), "{text}: {said}");
    }
    fs::write(&file, "interval = \"2s\"").expect("written");
    assert_eq!(run(&["config", "check", "--of", "relay", path], &[]).0, Some(0));
    assert_eq!(run(&["config", "check", path], &[]).0, Some(1));
}

#[test]
fn what_holds_is_shown_with_where_it_comes_from_and_without_secrets() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("config.toml");
    fs::write(&file, "max_share = \"1GiB\"\nmax_item = \"1MiB\"\n").expect("written");
    let path = file.to_str().expect("UTF-8");
    let (code, shown) = run(
        &["config", "show", "serve", "--config", path, "--max-item", "2MiB"],
        &[("BRUTUS_SHARE_MAX_BODY", "3MiB")],
    );
    assert_eq!(code, Some(0), "{shown}");
    for line in [
        "max_share = \"1GiB\"  # file",
        "max_item = \"2MiB\"  # flag",
        "max_body = \"3MiB\"  # environment",
        "unsynced_lifetime = \"1h\"  # default",
        "# max_total is not set",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} in {shown}");
    }
    // What is shown is a file that is in order.
    let settings: Vec<_> = shown.lines().filter(|line| !line.starts_with('#')).collect();
    fs::write(&file, settings.join("\n")).expect("written");
    assert_eq!(run(&["config", "check", path], &[]).0, Some(0));

    let env = [("BRUTUS_SHARE_API_URL", "https://share.example/t/bst_secret")];
    let (_, shown) = run(&["config", "show", "relay"], &env);
    assert!(
        shown.contains("api_url = \"https://share.example/t/…\"") && !shown.contains("bst_secret"),
        "{shown}"
    );
}

#[actix_web::test]
async fn a_reload_takes_limits_and_the_log_level_or_leaves_all_as_it_was() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("config.toml");
    fs::write(&file, "max_item = \"1KiB\"\nmax_viewers = 1").expect("written");
    let server = TestServer::start(&["--config", file.to_str().expect("UTF-8")]);
    let share = server.share().await;
    let item = |bytes| crate::harness::part("m", "p", &"x".repeat(bytes));
    assert_eq!(share.try_sync(&[item(3000)]).await.0, 413);

    let reload = async |text: &str, said: &str| {
        fs::write(&file, text).expect("written");
        let before = server.log().matches(said).count();
        server.signal("-HUP");
        let told = async {
            while server.log().matches(said).count() == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("the server says so");
    };
    reload("max_item = \"4KiB\"\nmax_viewers = 1", "are read again").await;
    assert_eq!(share.try_sync(&[item(3000)]).await.0, 200);
    reload("max_item = \"much\"", "everything stays as it was").await;
    assert_eq!(share.try_sync(&[item(3100)]).await.0, 200);
    reload("max_item = \"1KiB\"", "are read again").await;
    assert_eq!(share.try_sync(&[item(3200)]).await.0, 413);
    assert_eq!(server.request(Method::GET, "/healthz", "").await.0, 200);
}
