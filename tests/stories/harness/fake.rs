//! A share server that is not ours: it answers as it is told, and keeps what it was sent.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

/// A request that was made.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    pub body: Value,
}

type Answer = Arc<dyn Fn(&Seen) -> (u16, Value) + Send + Sync>;

/// A server on loopback.
pub struct FakeServer {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    handle: actix_web::dev::ServerHandle,
}

impl FakeServer {
    /// Starts a server that answers as `answer` says.
    pub fn start(answer: impl Fn(&Seen) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state = web::Data::new((seen.clone(), Arc::new(answer) as Answer));
        let server = HttpServer::new(move || {
            let config = web::PayloadConfig::new(64 << 20);
            App::new().app_data(state.clone()).app_data(config).default_service(web::to(take))
        })
        // An answer may wait for a story; others are answered meanwhile.
        .workers(4)
        .shutdown_timeout(0)
        .bind("127.0.0.1:0")
        .expect("binds");
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, seen, handle }
    }

    /// A server that says yes to everything.
    pub fn obliging() -> Self {
        Self::start(|seen| (200, if seen.path == "/api/share" { created() } else { json!({}) }))
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn syncs(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path.ends_with("/sync")).collect()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

/// What a create answers.
pub fn created() -> Value {
    json!({"id": "share1", "url": "http://share.example/s/share1", "secret": "the-secret", "extra": true})
}

async fn take(
    request: HttpRequest,
    body: web::Bytes,
    state: web::Data<(Arc<Mutex<Vec<Seen>>>, Answer)>,
) -> HttpResponse {
    let seen = Seen {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        authorization: request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let (status, answer) = state.1(&seen);
    state.0.lock().unwrap().push(seen);
    HttpResponse::build(status.try_into().expect("a status")).json(answer)
}
