//! `/share` and `/unshare`, typed in the client: they are for us, and the agent never sees them. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Something that was asked of us.
#[derive(Debug, Clone)]
pub(super) struct Command {
    /// The request's id, as it stands there.
    id: Box<RawValue>,
    /// The agent's own id of the session.
    pub(super) session: String,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Share,
    Unshare,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// What a line asks of us; `None` when it is for the agent.
pub(super) fn asked(line: &[u8]) -> Option<Command> {
    #[derive(Deserialize)]
    struct Prompt {
        #[serde(rename = "sessionId")]
        session: String,
        prompt: Vec<Value>,
    }
    // Most lines are not looked at any further. A slash may be escaped.
    if !contains(line, b"share") {
        return None;
    }
    let Message { id, method, params } = serde_json::from_slice(line).ok()?;
    let id = id.filter(|id| id.get() != "null" && method.as_deref() == Some("session/prompt"))?.to_owned();
    let Prompt { session, prompt } = serde_json::from_str(params?.get()).ok()?;
    // A client may put what it has open beside the words.
    let words: Vec<_> = prompt.iter().filter_map(|block| block["text"].as_str()).collect();
    let what = match words.concat().trim() {
        "/share" => What::Share,
        "/unshare" => What::Unshare,
        _ => return None,
    };
    Some(Command { id, session, what })
}

/// The line that says which commands an agent has, with ours beside them; `None` for every other line.
pub(super) fn with_commands(line: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        update: Update<'a>,
    }
    #[derive(Deserialize)]
    struct Update<'a> {
        #[serde(borrow, rename = "sessionUpdate")]
        kind: Cow<'a, str>,
        #[serde(borrow, rename = "availableCommands")]
        commands: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    if !contains(line, b"available_commands_update") {
        return None;
    }
    let text = std::str::from_utf8(line).ok()?;
    let Message { params, .. } = serde_json::from_str(text).ok()?;
    let Params { update: Update { kind, commands } } = serde_json::from_str(params?.get()).ok()?;
    let commands = commands.filter(|_| kind == "available_commands_update")?.get();
    let kept: Vec<&RawValue> = serde_json::from_str(commands).ok()?;
    // Of ours there is one of a name.
    let kept = kept.into_iter().filter(|command| {
        let name = serde_json::from_str::<Named>(command.get());
        name.map_or(true, |Named { name }| ours().iter().all(|ours| ours["name"] != name))
    });
    let all: Vec<_> =
        kept.map(|command| command.get().to_owned()).chain(ours().map(|ours| ours.to_string())).collect();
    // Where the list stands in the line, of which it is a piece.
    let start = (commands.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let (before, after) = (text.get(..start)?, text.get(start + commands.len()..)?);
    Some(format!("{before}[{}]{after}", all.join(",")).into_bytes())
}

/// A line that says that a session has our commands, where its agent says nothing of any.
pub(super) fn announcement(session: &str) -> Vec<u8> {
    update(session, &json!({"sessionUpdate": "available_commands_update", "availableCommands": ours()}))
}

/// The lines that answer a command: what the user reads, and that the turn is over.
pub(super) fn answer(command: &Command, text: &str) -> Vec<u8> {
    let content = json!({"type": "text", "text": text});
    let said = json!({"sessionUpdate": "agent_message_chunk", "content": content});
    let mut lines = update(&command.session, &said);
    let id = command.id.get();
    let response = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"stopReason":"end_turn"}}}}"#);
    lines.extend_from_slice(response.as_bytes());
    lines.push(b'\n');
    lines
}

fn update(session: &str, update: &Value) -> Vec<u8> {
    let params = json!({"sessionId": session, "update": update});
    let mut line = json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string();
    line.push('\n');
    line.into_bytes()
}

fn ours() -> [Value; 2] {
    [
        json!({"name": "share", "description": "Make a link by which others can watch this session live"}),
        json!({"name": "unshare", "description": "Take the link of this session away, and what is behind it"}),
    ]
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prompt(id: &Value, words: &[&str]) -> Vec<u8> {
        let blocks: Vec<_> = words.iter().map(|text| json!({"type": "text", "text": text})).collect();
        let params = json!({"sessionId": "s", "prompt": blocks});
        json!({"jsonrpc": "2.0", "id": id, "method": "session/prompt", "params": params})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn only_the_bare_words_are_for_us() {
        let what = |line: &[u8]| asked(line).map(|command| command.what);
        assert_eq!(what(&prompt(&json!(1), &["/share"])), Some(What::Share));
        assert_eq!(what(&prompt(&json!("x"), &[" /unshare\n"])), Some(What::Unshare));
        assert_eq!(what(&prompt(&json!(1), &["/share my thoughts"])), None);
        assert_eq!(what(&prompt(&json!(1), &["please /share"])), None);
        assert_eq!(what(&prompt(&Value::Null, &["/share"])), None, "nobody waits for an answer");
        let other =
            br#"{"id":1,"method":"session/other","params":{"sessionId":"s","prompt":[{"text":"/share"}]}}"#;
        assert_eq!(what(other), None);
        assert_eq!(what(b"/share\n"), None);
    }

    #[test]
    fn an_answer_has_the_id_of_its_request_to_the_letter() {
        for id in ["7", "-1.50e3", "\"a\\u0062\"", "18446744073709551616"] {
            let line = format!(
                r#"{{"id":{id},"method":"session/prompt","params":{{"prompt":[{{"text":"\/share"}}],"sessionId":""}}}}"#
            );
            let command = asked(line.as_bytes()).expect("a command");
            let lines = String::from_utf8(answer(&command, "done")).expect("text");
            assert!(lines.contains(&format!(r#""id":{id},"#)), "{lines}");
            assert_eq!(lines.lines().count(), 2);
        }
    }

    #[test]
    fn our_commands_stand_beside_the_agents_and_all_else_stays() {
        let line = concat!(
            r#"{ "jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","x":1.0e2,"update":{"#,
            r#""availableCommands": [ {"name":"web", "description":"w"},{"name":"share","x":"the agent's"}] ,"#,
            r#""sessionUpdate":"available_commands_update"}}}"#,
            "\n"
        );
        let changed = String::from_utf8(with_commands(line.as_bytes()).expect("changed")).expect("text");
        let (before, after) = line.split_once("[ {").expect("a list");
        assert!(changed.starts_with(before) && changed.ends_with(after.split_once(']').expect("its end").1));
        let read: Value = serde_json::from_str(&changed).expect("JSON");
        let commands = read["params"]["update"]["availableCommands"].as_array().expect("commands");
        let names: Vec<_> =
            commands.iter().map(|command| command["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ["web", "share", "unshare"]);
        assert!(!changed.contains("the agent's"));
        let quoted = line.replace("\"sessionUpdate\":\"", "\"sessionUpdate\":\"not_");
        assert!(with_commands(quoted.as_bytes()).is_none());
        let announced: Value = serde_json::from_slice(&announcement("s")).expect("JSON");
        assert_eq!(announced["params"]["update"]["availableCommands"][0]["name"], "share");
    }

    proptest! {
        #[test]
        fn no_line_stops_us(line: Vec<u8>, text in ".*share.*") {
            asked(&line);
            with_commands(&line);
            asked(text.as_bytes());
            with_commands(text.replace("share", "available_commands_update").as_bytes());
        }
    }
}
