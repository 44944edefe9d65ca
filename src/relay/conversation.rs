//! A conversation as a request brings it: a list of messages, or an object with the list and what is said of it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::handlers::parse;
use crate::client::{Activity, Agent, Conversation, Status, Told};
use crate::error::Error;
use crate::import::messages::Model;

const EXPECTED: &str =
    "[message, …] or {messages: [message, …], from?, title?, directory?, agent?, model?, status?}";

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(default)]
    from: usize,
    title: Option<String>,
    directory: Option<String>,
    agent: Option<AgentName>,
    model: Option<ModelName>,
    status: Option<StatusWord>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AgentName {
    Name(String),
    Full { name: String, version: Option<String> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ModelName {
    Id(String),
    Full {
        #[serde(rename = "providerID")]
        provider: Option<String>,
        id: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StatusWord {
    State(Activity),
    Full(Status),
}

/// Reads a request's body: the conversation, and how many of the messages that were given before stand in front of it.
pub(super) fn read(body: &[u8]) -> Result<(Conversation, usize), Error> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if is_list {
        let messages: Vec<&RawValue> = parse(body, EXPECTED)?;
        return Ok((Conversation { messages: Some(owned(&messages)), told: Told::default() }, 0));
    }
    let Wire { messages, from, title, directory, agent, model, status } = parse(body, EXPECTED)?;
    let told = Told {
        title,
        directory,
        agent: agent.map(|agent| match agent {
            AgentName::Name(name) => Agent { name, version: None },
            AgentName::Full { name, version } => Agent { name, version },
        }),
        model: model.map(|model| match model {
            ModelName::Id(id) => Model { provider: None, id },
            ModelName::Full { provider, id } => Model { provider, id },
        }),
        status: status.map(|status| match status {
            StatusWord::State(state) => Status { state, label: None },
            StatusWord::Full(status) => status,
        }),
    };
    Ok((Conversation { messages: Some(owned(&messages)), told }, from))
}

fn owned(messages: &[&RawValue]) -> Vec<Box<RawValue>> {
    messages.iter().map(|&message| message.to_owned()).collect()
}
