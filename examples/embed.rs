//! The sharing client inside a Rust program, without a relay: events go over a bus to a manager, which shares.
//!
//! `cargo run --example embed -- http://127.0.0.1:8090 /tmp/embed`

use actix::Actor;
use brutus_share::client::{Bus, Config, Create, Event, Flush, Manager, Publish, Remove};
use serde_json::json;
use serde_json::value::to_raw_value;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let api_url = args.next().unwrap_or_else(|| "http://127.0.0.1:8090".into());
    let local_dir = args.next().unwrap_or_else(|| "./embed-state".into());

    let bus = Bus::default().start();
    let manager = Manager::open(Config::new(api_url, local_dir)).await?;
    Manager::init(&manager, &bus);

    let session_id = "ses_embedded".to_owned();
    let shared = manager
        .send(Create { session_id: session_id.clone(), empty: true, ..Create::of(session_id.clone()) })
        .await??;
    println!("shared at {}", shared.url);

    for event in [
        json!({"type": "session.updated", "sessionID": session_id, "data": {"id": session_id, "title": "Embedded"}}),
        json!({
            "type": "message.updated",
            "sessionID": session_id,
            "data": {"id": "msg_1", "role": "user", "time": {"created": 1}},
        }),
        json!({"type": "part.updated", "sessionID": session_id,
               "data": {"id": "prt_1", "messageID": "msg_1", "type": "text", "text": "Hello from inside"}}),
    ] {
        if let Some(event) = Event::parse(&to_raw_value(&event)?, "event")? {
            bus.send(Publish(event)).await?;
        }
    }
    manager.send(Flush { session_id: session_id.clone() }).await??;
    println!("everything is on the server");

    if args.next().as_deref() == Some("--remove") {
        manager.send(Remove { session_id }).await??;
        println!("removed");
    }
    Ok(())
}
