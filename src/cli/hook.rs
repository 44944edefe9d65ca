//! `brutus-share hook AGENT`: what an agent tells its hooks, told to the relay. An agent waits for its hooks and shows
//! what they say, so this is quick, silent, and never a failure.

use std::io::Read;
use std::sync::mpsc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::import::transcripts;
use crate::relay::client::{RelayClient, RelayOptions};

/// How long the agent may take to say it, and the relay to hear it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of it that are read: what a model said last may stand in it.
const MAX_INPUT: u64 = 16 << 20;

/// An agent's hook.
#[derive(Debug, Args)]
pub(super) struct Hook {
    agent: Agent,

    #[command(flatten)]
    relay: RelayOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Agent {
    Claude,
}

#[derive(Debug, Deserialize)]
struct Told {
    session_id: String,
    hook_event_name: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    notification_type: Option<String>,
}

/// `hook AGENT`
pub(super) fn run(Hook { agent: Agent::Claude, relay }: &Hook) {
    let Some(told) = input().and_then(|input| serde_json::from_slice::<Told>(&input).ok()) else { return };
    let Some(status) = told.status() else { return };
    let session = format!("{}{}", transcripts::Agent::ClaudeCode.prefix(), told.session_id);
    actix_web::rt::System::new().block_on(async {
        let tell = async {
            let relay = RelayClient::connect_or_start(relay, false).await?;
            relay.tell(&session, &status).await
        };
        // Without a relay nobody wants to know.
        let _ = tokio::time::timeout(PATIENCE, tell).await;
    });
}

/// What stands on stdin, unless nobody closes it.
fn input() -> Option<Vec<u8>> {
    let (read, input) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let done = std::io::stdin().take(MAX_INPUT).read_to_end(&mut bytes);
        let _ = read.send(done.map(|_| bytes));
    });
    input.recv_timeout(PATIENCE).ok()?.ok()
}

impl Told {
    /// How it is with the session now, as the relay wants to be told it.
    fn status(&self) -> Option<Value> {
        let state = match self.hook_event_name.as_str() {
            "SessionStart" | "Stop" => "idle",
            "UserPromptSubmit" => "busy",
            // That nobody has typed anything for a while is no question.
            "Notification" if self.notification_type.as_deref() == Some("idle_prompt") => "idle",
            "Notification" => return Some(json!({"state": "waiting", "label": self.message})),
            "SessionEnd" => "gone",
            _ => return None,
        };
        Some(json!({"state": state}))
    }
}
