//! Who may do what: links, passwords, what is shown for a phrase, and secrets.

use std::process::Command;

use awc::http::{Method, header};
use brutus_share::access::Need;
use brutus_share::http::ROUTES;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::harness::{ON_DISK, PATIENCE, TestServer, TestShare, TestViewer, message, part, session};
use crate::operator::metrics::{metrics, metrics_url};

const PASSWORD: &str = "correct horse, staple";
const WORDS: &str = "words that nobody else may read";

/// 32 bytes that readers show for a phrase, and their SHA-256, both in base64url.
const DOOR: &str = "R9C0AZ-seKuZY825tIVdJ0K_ia5Lxgnmnol2RYd5oOE";
const WRONG_DOOR: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a request is answered.
struct Answer {
    status: u16,
    headers: header::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or("none").to_owned()
    }

    fn says(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// The cookie that it gives, as a browser sends it back.
    fn cookie(&self) -> String {
        let cookie = self.header("set-cookie").expect("a cookie");
        cookie.split(';').next().expect("a pair").to_owned()
    }
}

async fn send(
    server: &TestServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let client = awc::Client::builder().timeout(PATIENCE).disable_redirects().finish();
    let mut request = client.request(method, format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.insert_header((*name, *value));
    }
    let sent = if body.is_null() { request.send().await } else { request.send_json(body).await };
    let mut answer = sent.unwrap_or_else(|error| panic!("{path}: {error}"));
    let body = answer.body().limit(64 << 20).await.expect("a body").to_vec();
    Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body }
}

async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(server, "GET", path, headers, &Value::Null).await
}

async fn open(server: &TestServer, id: &str, key: Value, address: &str) -> Answer {
    let path = format!("/api/share/{id}/open");
    send(server, "POST", &path, &[("x-forwarded-for", address)], &key).await
}

fn basic(password: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("anyone:{password}").as_bytes()))
}

async fn create(server: &TestServer, mut with: Value) -> TestShare<'_> {
    with["sessionID"] = json!("ses_1");
    let (status, created) = server.post("/api/share", &with).await;
    assert_eq!(status, 200, "{created}");
    let text = |name: &str| created[name].as_str().expect(name).to_owned();
    TestShare { server, id: text("id"), secret: text("secret"), url: text("url") }
}

/// A share with a password and something to read.
async fn protected(server: &TestServer) -> TestShare<'_> {
    let share = create(server, json!({"password": PASSWORD})).await;
    share.sync(&[session(WORDS), message("m", 1), part("m", "p", WORDS)]).await;
    share
}

fn sealed_by_a_phrase() -> Value {
    let door = data_encoding::BASE64URL_NOPAD.decode(DOOR.as_bytes()).expect("bytes");
    let hash = ring::digest::digest(&ring::digest::SHA256, &door);
    json!({"version": 1, "check": "FZwZvxyPpSoL-KIRajSebg",
        "door": data_encoding::BASE64URL_NOPAD.encode(hash.as_ref())})
}

async fn amend(server: &TestServer, share: &TestShare<'_>, mut change: Value) -> Answer {
    change["secret"] = json!(share.secret);
    send(server, "PATCH", &share.path(""), &[], &change).await
}

/// All that is answered, and what each needs: a new route stands here, or this fails.
const TABLE: &[(&str, &str, Need)] = &[
    ("POST", "/api/share", Need::Token),
    ("GET, HEAD", "/api/share/{id}", Need::Link),
    ("PATCH", "/api/share/{id}", Need::Secret),
    ("DELETE", "/api/share/{id}", Need::Delete),
    ("POST", "/api/share/{id}/sync", Need::Secret),
    ("POST", "/api/share/{id}/open", Need::Key),
    ("GET, HEAD", "/api/share/{id}/data", Need::Text),
    ("GET, HEAD", "/api/share/{id}/items", Need::Items),
    ("GET", "/api/share/{id}/poll", Need::Items),
    ("GET, HEAD", "/s/{id}", Need::Link),
    ("GET, HEAD", "/s/{id}/", Need::Nothing),
    ("GET, HEAD", "/", Need::Nothing),
    ("GET, HEAD", "/assets/{path:.*}", Need::Nothing),
    ("GET, HEAD", "/oembed", Need::Link),
    ("GET, HEAD", "/api/server", Need::Nothing),
    ("GET, HEAD", "/api/openapi.json", Need::Nothing),
    ("GET, HEAD", "/healthz", Need::Nothing),
    ("GET, HEAD", "/readyz", Need::Nothing),
];

#[actix_web::test]
async fn every_route_says_what_it_needs_and_holds_to_it() {
    let known = ROUTES.iter().flat_map(|at| {
        let path = at.paths().next().expect("a path");
        at.answers().iter().map(move |answers| (answers.0, path.clone(), answers.1))
    });
    let expected: Vec<_> =
        TABLE.iter().map(|(methods, path, need)| (*methods, (*path).to_owned(), *need)).collect();
    assert_eq!(known.collect::<Vec<_>>(), expected);

    let server = TestServer::start(&[]);
    let share = protected(&server).await;
    for at in ROUTES {
        for path in at.paths() {
            let path = path.replace("{id}", &share.id).replace("{token}", "t").replace("{path:.*}", "app.js");
            let path = if path == "/oembed" { format!("/oembed?url={}", share.url) } else { path };
            for (methods, need) in at.answers().iter().map(|answers| (answers.0, answers.1)) {
                let method = methods.split(',').next().expect("a method");
                let secret = json!({"secret": "another", "data": [], "expiresIn": 1, "password": "another"});
                let body = if method == "GET" { Value::Null } else { secret };
                let body = if need == Need::Key { json!({"password": "another"}) } else { body };
                if path.ends_with("/poll") {
                    // It is refused before the upgrade.
                    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
                    let answer =
                        server.raw(format!("GET {path} HTTP/1.1\r\nhost: s\r\n{upgrade}\r\n\r\n").as_bytes());
                    assert!(
                        answer.starts_with("HTTP/1.1 401") && answer.contains("password_needed"),
                        "{answer}"
                    );
                    continue;
                }
                let answer = send(&server, method, &path, &[], &body).await;
                let (status, code) = (answer.status, answer.code());
                match need {
                    Need::Nothing | Need::Token => assert!(status < 500 && status != 401, "{path}"),
                    Need::Link => assert_eq!(status, 200, "{path}"),
                    Need::Items | Need::Text => {
                        assert_eq!((status, &*code), (401, "password_needed"), "{path}");
                    }
                    Need::Key => assert_eq!((status, &*code), (401, "wrong_password"), "{path}"),
                    Need::Secret | Need::Delete => {
                        assert_eq!((status, &*code), (401, "wrong_secret"), "{method} {path}");
                    }
                }
                assert!(!answer.says(WORDS), "{method} {path} gives it away");
            }
        }
    }
}

#[actix_web::test]
async fn a_password_stands_between_the_link_and_what_it_opens() {
    let server = TestServer::start(&[]);
    let share = protected(&server).await;
    let link = format!("/s/{}", share.id);
    let texts = [share.path("/data"), share.path("/items"), format!("{link}.md"), format!("{link}.json")];
    for path in &texts {
        let answer = get(&server, path, &[]).await;
        assert_eq!((answer.status, &*answer.code()), (401, "password_needed"), "{path}");
        assert!(
            answer.header("www-authenticate").is_some_and(|ask| ask.starts_with("Basic realm=\"share\""))
        );
        // A browser asks in a box of its own where somebody goes to such an address, and never for the page.
        for (mode, asks) in [("navigate", true), ("cors", false), ("same-origin", false)] {
            let answer = get(&server, path, &[("sec-fetch-mode", mode)]).await;
            assert_eq!((answer.status, answer.header("www-authenticate").is_some()), (401, asks), "{mode}");
        }
    }
    let markdown = get(&server, &link, &[("accept", "text/markdown")]).await;
    assert_eq!((markdown.status, &*markdown.code()), (401, "password_needed"));
    assert!(tokio_tungstenite::connect_async(share.poll_url("")).await.is_err());

    let page = get(&server, &link, &[]).await;
    assert!(page.status == 200 && page.says("<title>A protected session</title>"));
    assert!(!page.says(WORDS) && !page.says("og:description") && !page.says("text/markdown"));
    assert_eq!(get(&server, &format!("{link}.png"), &[]).await.header("content-type"), Some("image/png"));
    let embed = server.get(&format!("/oembed?url={}", share.url)).await.1;
    assert_eq!(embed["title"], "A protected session");
    let summary = server.get(&share.path("")).await.1;
    assert_eq!(summary, json!({"id": share.id, "title": null, "protected": true}));

    let wrong = open(&server, &share.id, json!({"password": "another"}), "").await;
    assert_eq!(
        (wrong.status, &*wrong.code(), wrong.header("www-authenticate")),
        (401, "wrong_password", None)
    );
    let opened = open(&server, &share.id, json!({"password": PASSWORD}), "").await;
    let given = opened.header("set-cookie").expect("a cookie").to_owned();
    assert!(given.starts_with(&format!("share_{}=", share.id)) && !given.contains(PASSWORD));
    assert!(given.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{given}");
    let cookie = opened.cookie();
    let by_password = basic(PASSWORD);
    for shown in [("cookie", &*cookie), ("authorization", &*by_password)] {
        for path in &texts {
            let answer = get(&server, path, &[shown]).await;
            assert!(answer.status == 200 && answer.says(WORDS), "{path}");
            // Not for pages of others.
            assert_eq!(answer.header("access-control-allow-origin"), None, "{path}");
        }
        let summary = get(&server, &share.path(""), &[shown]).await;
        assert!(summary.says(WORDS) && summary.says("\"protected\":true"));
    }
    let other = protected(&server).await;
    let elsewhere = get(&server, &other.path("/data"), &[("cookie", &cookie)]).await;
    assert_eq!(elsewhere.status, 401, "a cookie is of one share");
    let renamed = cookie.replace(&share.id, &other.id);
    assert_eq!(get(&server, &other.path("/data"), &[("cookie", &renamed)]).await.status, 401);

    let mut viewer = view(&share, &cookie).await.expect("a viewer");
    viewer.until("all", |viewer| viewer.items.len() == 3).await;
    // What writes needs its secret alone, as ever.
    share.sync(&[part("m", "q", "more")]).await;
    viewer.until("more", |viewer| viewer.items.len() == 4).await;
    assert_eq!(share.delete(&share.secret).await, 200);
    assert_eq!(get(&server, &share.path("/data"), &[("cookie", &cookie)]).await.status, 404);
}

/// A viewer that shows a cookie.
async fn view(share: &TestShare<'_>, cookie: &str) -> Option<TestViewer> {
    let mut request = share.poll_url("").into_client_request().expect("a request");
    request.headers_mut().insert("cookie", cookie.parse().expect("a value"));
    let (socket, _) = tokio_tungstenite::connect_async(request).await.ok()?;
    Some(TestViewer::new(socket))
}

#[actix_web::test]
async fn a_new_password_ends_what_an_old_one_opened_at_all_servers() {
    let one = TestServer::start(&["--poll-interval", "100ms"]);
    let two = one.beside();
    let share = one.share().await;
    share.sync(&[session(WORDS)]).await;
    let there =
        TestShare { server: &two, id: share.id.clone(), secret: share.secret.clone(), url: String::new() };
    // It is open at both, by its link.
    let mut viewers = [share.view().await, there.view().await];
    for viewer in &mut viewers {
        viewer.until("all", |viewer| viewer.items.len() == 1).await;
    }
    let mut cookies = Vec::<String>::new();
    for password in ["first", "second"] {
        assert_eq!(amend(&one, &share, json!({"password": password})).await.status, 200);
        // At once, also where nobody has heard of it.
        for server in [&two, &one] {
            for cookie in &cookies {
                assert_eq!(get(server, &share.path("/items"), &[("cookie", cookie)]).await.status, 401);
            }
            assert_eq!(get(server, &share.path("/items"), &[]).await.status, 401);
            assert!(get(server, &format!("/s/{}", share.id), &[]).await.says("A protected session"));
            let by_password = get(server, &share.path("/data"), &[("authorization", &basic(password))]).await;
            assert!(by_password.status == 200 && by_password.says(WORDS));
        }
        for viewer in &mut viewers {
            viewer.until_closed().await;
            assert_eq!(viewer.close_code, Some(1012), "come back");
        }
        let cookie = open(&one, &share.id, json!({"password": password}), "").await.cookie();
        viewers =
            [view(&share, &cookie).await.expect("a viewer"), view(&there, &cookie).await.expect("a viewer")];
        for viewer in &mut viewers {
            viewer.until("all", |viewer| viewer.items.len() == 1).await;
        }
        cookies.push(cookie);
    }
    // The same again is another lock.
    assert_eq!(amend(&two, &share, json!({"password": "second"})).await.status, 200);
    assert_eq!(get(&one, &share.path("/items"), &[("cookie", &cookies[1])]).await.status, 401);
    assert_eq!(amend(&two, &share, json!({"password": null})).await.status, 200);
    for server in [&one, &two] {
        assert_eq!(get(server, &share.path("/items"), &[]).await.status, 200);
        assert_eq!(server.get(&share.path("")).await.1["title"], WORDS);
    }
    // Syncs go on from there.
    share.sync(&[session("one")]).await;
    there.sync(&[session("two")]).await;
    assert_eq!(one.get(&share.path("")).await.1["title"], "two");
}

#[actix_web::test]
async fn an_end_is_set_and_taken_away_at_all_servers() {
    let one = TestServer::start(&["--poll-interval", "100ms"]);
    let two = one.beside();
    let share = one.share().await;
    share.sync(&[session(WORDS)]).await;
    let there =
        TestShare { server: &two, id: share.id.clone(), secret: share.secret.clone(), url: String::new() };
    let mut viewer = there.view().await;
    viewer.until("all", |viewer| viewer.items.len() == 1).await;
    let end = async |server: &TestServer| server.get(&share.path("")).await.1["expiresAt"].as_i64();
    assert_eq!(end(&two).await, None);
    assert_eq!(amend(&one, &share, json!({"expiresIn": 3600})).await.status, 200);
    assert!(end(&two).await.is_some() && end(&two).await == end(&one).await);
    assert_eq!(amend(&two, &share, json!({"expiresIn": null})).await.status, 200);
    assert_eq!((end(&one).await, end(&two).await), (None, None));
    assert_eq!(amend(&one, &share, json!({"expiresIn": 1})).await.status, 200);
    viewer.until_closed().await;
    assert_eq!((viewer.closed.as_deref(), viewer.close_code), (Some("expired"), Some(4410)));

    let wrong = [json!({}), json!({"expiresIn": 0}), json!({"password": ""}), json!({"password": 7})];
    let plain = one.share().await;
    for change in wrong {
        let answer = amend(&one, &plain, change).await;
        assert_eq!((answer.status, &*answer.code()), (400, "malformed"));
    }
    let sealed = create(&one, json!({"sealed": sealed_by_a_phrase()})).await;
    assert_eq!(amend(&one, &sealed, json!({"password": PASSWORD})).await.code(), "malformed");
    assert_eq!(amend(&one, &sealed, json!({"expiresIn": 60})).await.status, 200);
    let both = json!({"sessionID": "s", "password": PASSWORD, "sealed": sealed_by_a_phrase()});
    assert_eq!(one.post("/api/share", &both).await.0, 400);
}

#[actix_web::test]
async fn a_phrase_stands_between_the_link_of_a_sealed_share_and_its_items() {
    let server = TestServer::start(&[]);
    let share = create(&server, json!({"sealed": sealed_by_a_phrase()})).await;
    let item = json!({"type": "sealed", "data": {"id": "Ou5P6BlENqI9Q1Lj8mnC3A", "v": 1, "c": "AQEBAQEB"}});
    share.sync(&[item]).await;
    let summary = server.get(&share.path("")).await.1;
    assert_eq!(summary["sealed"]["locked"], true);
    assert!(summary["seq"].is_null() && summary["createdAt"].is_null());
    let items = share.path("/items");
    let answer = get(&server, &items, &[]).await;
    assert_eq!((answer.status, &*answer.code()), (401, "password_needed"));
    assert_eq!(answer.header("www-authenticate"), None, "no browser can ask for it");
    // A token by which shares are created is no try.
    for shown in ["Bearer bst_0123456789abcdefghijklmnopqrstuv", "Basic OnBhc3N3b3Jk", "Bearer"] {
        assert_eq!(get(&server, &items, &[("authorization", shown)]).await.code(), "password_needed");
    }
    let wrong = format!("Bearer {WRONG_DOOR}");
    assert_eq!(get(&server, &items, &[("authorization", &wrong)]).await.code(), "wrong_password");
    let right = format!("Bearer {DOOR}");
    let read = get(&server, &items, &[("authorization", &right)]).await;
    assert!(read.status == 200 && read.says("AQEBAQEB"));
    for path in [share.path("/data"), format!("/s/{}.md", share.id), format!("/s/{}.json", share.id)] {
        for headers in [&[][..], &[("authorization", &*right)]] {
            let answer = get(&server, &path, headers).await;
            assert_eq!((answer.status, &*answer.code()), (403, "sealed"), "{path}");
        }
    }
    assert!(get(&server, &format!("/s/{}", share.id), &[]).await.says("<title>An encrypted session</title>"));

    assert_eq!(open(&server, &share.id, json!({"door": WRONG_DOOR}), "").await.code(), "wrong_password");
    assert_eq!(open(&server, &share.id, json!({"door": "short"}), "").await.code(), "malformed");
    assert_eq!(open(&server, &share.id, json!({"password": DOOR}), "").await.code(), "password_needed");
    let cookie = open(&server, &share.id, json!({"door": DOOR}), "").await.cookie();
    assert!(!cookie.contains(DOOR));
    let mut viewer = view(&share, &cookie).await.expect("a viewer");
    viewer.until("all", |viewer| viewer.items.len() == 1).await;
}

#[actix_web::test]
async fn guessing_is_limited_by_address_and_by_share_over_all_servers() {
    let one = TestServer::start(&["--poll-interval", "1h", "--trusted-proxies", "127.0.0.1"]);
    let two = one.beside();
    let servers = [&one, &two];
    let guarded = protected(&one).await;
    for n in 0..12 {
        let answer = open(&one, &guarded.id, json!({"password": "guess"}), "192.0.2.1").await;
        let expected = if n < 10 { (401, "wrong_password") } else { (429, "too_many_tries") };
        assert_eq!((answer.status, &*answer.code()), expected, "{n}");
        let wait: u64 = answer.header("retry-after").unwrap_or("0").parse().expect("seconds");
        assert_eq!(wait > 0, n >= 10);
        assert!(wait <= 60);
    }
    // What is right counts for nobody, and is not looked at while too many were wrong.
    let right = json!({"password": PASSWORD});
    assert_eq!(open(&one, &guarded.id, right.clone(), "192.0.2.1").await.status, 429);
    for _ in 0..12 {
        assert_eq!(open(&one, &guarded.id, right.clone(), "192.0.2.2").await.status, 200);
    }

    // Of a share: by many addresses, at both servers.
    let sealed = create(&one, json!({"sealed": sealed_by_a_phrase()})).await;
    let cookie = open(&two, &sealed.id, json!({"door": DOOR}), "198.51.100.250").await.cookie();
    let wrong = format!("Bearer {WRONG_DOOR}");
    for n in 0..100 {
        let address = format!("198.51.100.{n}");
        let headers = [("authorization", &*wrong), ("x-forwarded-for", &address)];
        let answer = get(servers[n % 2], &sealed.path("/items"), &headers).await;
        assert_eq!(answer.code(), "wrong_password", "{n}");
    }
    for server in servers {
        let answer = open(server, &sealed.id, json!({"door": WRONG_DOOR}), "203.0.113.1").await;
        assert_eq!((answer.status, &*answer.code()), (429, "too_many_tries"));
        assert!(answer.header("retry-after").is_some());
        // Who has opened it before, and who writes, notices nothing of that.
        assert_eq!(get(server, &sealed.path("/items"), &[("cookie", &cookie)]).await.status, 200);
        // Nor do other shares.
        assert_eq!(open(server, &guarded.id, right.clone(), "203.0.113.2").await.status, 200);
    }
    sealed.sync(&[]).await;
}

#[actix_web::test]
async fn a_password_is_in_no_log_in_no_file_and_in_no_metric() {
    let server =
        TestServer::start(&[&ON_DISK[..], &["--log", "trace", "--metrics-listen", "127.0.0.1:0"]].concat());
    let metrics_url = metrics_url(&server).await;
    let share = protected(&server).await;
    let sealed = create(&server, json!({"sealed": sealed_by_a_phrase()})).await;
    let opened = open(&server, &share.id, json!({"password": PASSWORD}), "").await;
    assert_eq!(amend(&server, &share, json!({"password": "another one, longer"})).await.status, 200);
    let guess = open(&server, &share.id, json!({"password": "a guess, which may be near"}), "").await;
    assert_eq!(guess.status, 401);
    let read = get(&server, &share.path("/data"), &[("authorization", &basic("another one, longer"))]).await;
    assert_eq!(read.status, 200);
    assert_eq!(open(&server, &sealed.id, json!({"door": DOOR}), "").await.status, 200);
    assert_eq!(
        get(&server, &sealed.path("/items"), &[("authorization", &format!("Bearer {DOOR}"))]).await.status,
        200
    );
    let said = [server.log(), metrics(&metrics_url).await, String::from_utf8_lossy(&guess.body).into_owned()];
    let cookie = opened.cookie();
    let cookie = cookie.split_once('=').expect("a pair").1;
    let by_password = basic("another one, longer");
    for secret in
        [PASSWORD, "another one, longer", "a guess, which may be near", DOOR, cookie, &by_password[6..]]
    {
        assert!(!server.holds(secret), "{secret}");
        for text in &said {
            assert!(!text.contains(secret), "{secret}");
        }
    }
    assert!(server.holds("$argon2id$v=19$m=19456,t=2,p=1$"), "a hash is all that is kept");
    let shown = server.operate(&["admin", "show", &share.id, "--json"]).expect("shown");
    assert!(shown.contains("\"protected\": true") && !shown.contains("argon2"));
    assert_eq!(share.delete(&share.secret).await, 200);
    assert!(!server.holds("$argon2id$"), "and it goes with the share");
}

#[actix_web::test]
async fn a_session_is_read_by_curl_with_its_password() {
    let server = TestServer::start(&[]);
    let share = protected(&server).await;
    let address = format!("{}/s/{}.md", server.url, share.id);
    let curl = |user: &str| {
        let output = Command::new("curl").args(["-s", "-w", "%{http_code}", "-u", user, &address]).output();
        String::from_utf8(output.expect("curl").stdout).expect("UTF-8")
    };
    let read = curl(&format!(":{PASSWORD}"));
    assert!(read.ends_with("200") && read.contains(WORDS), "{read}");
    assert!(curl(":wrong").ends_with("401"));
    assert_eq!(share.delete(&share.secret).await, 200);
    assert!(curl(&format!(":{PASSWORD}")).ends_with("404"));
}
