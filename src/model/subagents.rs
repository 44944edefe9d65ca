//! Whose a message is: the session's own, or a subagent's; and which task opens what a subagent said. The page has the
//! same rule (`viewer/load/subagents.js`), and a table of cases holds both to it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Tasks within tasks, at the most. What lies deeper stands by itself, so that whoever goes down comes to an end.
const MAX_DEPTH: usize = 8;

/// What of a message says whose it is.
#[derive(Debug, Default)]
pub struct Spoken {
    /// The session that it says it is of.
    pub session: Option<String>,
    /// The sessions of the subagents that its parts open, with the places of these parts, in their order.
    pub opens: Vec<(usize, String)>,
}

/// A session's messages, by their places in reading order.
#[derive(Debug, Default)]
pub struct Division {
    /// Those of the session itself.
    pub own: Vec<usize>,
    /// The subagents, by when they first said something.
    pub subagents: Vec<Subagent>,
}

/// A subagent.
#[derive(Debug, PartialEq)]
pub struct Subagent {
    /// Its messages, one at least.
    pub messages: Vec<usize>,
    /// Where it stands.
    pub place: Place,
}

/// Where a subagent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Under the task that opened it, the first that names it.
    #[allow(missing_docs)]
    Task { message: usize, part: usize },
    /// No task names it: behind the last message of the session's own before it.
    Behind(usize),
}

/// The session that a message says it is of.
pub fn session_of(info: &Value) -> Option<&str> {
    info["sessionID"].as_str().filter(|id| !id.is_empty())
}

/// The session of the subagent that works on a part, when that is a task.
pub fn opens(part: &Value) -> Option<&str> {
    let session = part["state"]["metadata"]["sessionId"].as_str();
    session.filter(|id| part["type"] == "tool" && !id.is_empty())
}

/// Whether a message is of a session, as far as it says itself.
pub(super) fn is_of(message: &RawValue, session: &str) -> bool {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow, rename = "sessionID")]
        session: Option<Cow<'a, str>>,
    }
    // One that cannot be read says nothing.
    let named = serde_json::from_str::<Message>(message.get()).ok().and_then(|message| message.session);
    named.is_none_or(|named| named.is_empty() || named == session)
}

/// Divides messages, which are in reading order, of a session whose item says that it is `session`.
///
/// Its own are those that name it, or none. Where the item does not say which one it is, or no message is of that one,
/// the first message does.
pub fn divide(session: Option<&str>, messages: &[Spoken]) -> Division {
    let is_of = |message: &Spoken, home: Option<&str>| {
        message.session.is_none() || message.session.as_deref() == home
    };
    let known =
        session.filter(|id| !id.is_empty() && messages.iter().any(|message| is_of(message, Some(id))));
    let home = known.or_else(|| messages.iter().find_map(|message| message.session.as_deref()));
    let own: Vec<usize> = (0..messages.len()).filter(|place| is_of(&messages[*place], home)).collect();
    let Some(&first) = own.first() else { return Division::default() };
    let mut subagents = Vec::<Subagent>::new();
    let mut by_session = HashMap::<&str, usize>::new();
    let mut last = first;
    for (place, message) in messages.iter().enumerate() {
        match message.session.as_deref() {
            Some(session) if !is_of(message, home) => {
                let number = *by_session.entry(session).or_insert(subagents.len());
                if number == subagents.len() {
                    subagents.push(Subagent { messages: Vec::new(), place: Place::Behind(last) });
                }
                subagents[number].messages.push(place);
            }
            _ => last = place,
        }
    }
    Links { messages, open: vec![true; subagents.len()], subagents, by_session }.made(own)
}

/// Subagents whose tasks are being looked for.
struct Links<'a> {
    messages: &'a [Spoken],
    subagents: Vec<Subagent>,
    by_session: HashMap<&'a str, usize>,
    /// Of which no place is decided yet.
    open: Vec<bool>,
}

impl Links<'_> {
    fn made(mut self, own: Vec<usize>) -> Division {
        self.walk(&own);
        // Of those that are left, first those that no other one of them opens; the others open each other in a circle.
        let left: Vec<usize> = (0..self.subagents.len()).filter(|number| self.open[*number]).collect();
        let opened: HashSet<usize> = left
            .iter()
            .flat_map(|number| {
                self.opened_by(&self.subagents[*number].messages).map(move |found| (*number, found))
            })
            .filter_map(|(from, (.., number))| (number != from).then_some(number))
            .collect();
        let (opened, unopened): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|number| opened.contains(number));
        for number in unopened.into_iter().chain(opened) {
            if std::mem::replace(&mut self.open[number], false) {
                let messages = self.subagents[number].messages.clone();
                self.walk(&messages);
            }
        }
        Division { own, subagents: self.subagents }
    }

    /// Gives its place to each subagent that the tasks in these messages open, and those that these open in turn.
    fn walk(&mut self, messages: &[usize]) {
        let mut next = VecDeque::from([(messages.to_vec(), 1)]);
        while let Some((messages, depth)) = next.pop_front() {
            if depth > MAX_DEPTH {
                continue;
            }
            for (message, part, number) in self.opened_by(&messages).collect::<Vec<_>>() {
                if std::mem::replace(&mut self.open[number], false) {
                    self.subagents[number].place = Place::Task { message, part };
                    next.push_back((self.subagents[number].messages.clone(), depth + 1));
                }
            }
        }
    }

    /// The subagents that parts of messages open, `(message, part, subagent)`.
    fn opened_by<'s>(
        &'s self,
        messages: &'s [usize],
    ) -> impl Iterator<Item = (usize, usize, usize)> + use<'s> {
        messages.iter().flat_map(move |&message| {
            let opens = self.messages[message].opens.iter();
            opens.filter_map(move |(part, session)| {
                Some((message, *part, *self.by_session.get(session.as_str())?))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::model::{Content, Key, reading_order};

    /// The same cases as the page's.
    #[test]
    fn messages_are_divided_as_the_vectors_say() {
        #[derive(Deserialize)]
        struct Case {
            name: String,
            session: Option<String>,
            came: Vec<(String, Value, Vec<Vec<String>>)>,
            own: Vec<String>,
            subagents: Vec<Value>,
        }
        let vectors = include_str!("../../tests/fixtures/subagents.json");
        let mut cases = 0;
        for Case { name, session, came, own, subagents } in
            serde_json::from_str::<Vec<Case>>(vectors).unwrap()
        {
            let items: Vec<(Key, Content)> = came
                .iter()
                .map(|(id, info, _)| (Key::message(id), to_raw_value(info).unwrap().into()))
                .collect();
            let arrived = (0..).zip(&items).map(|(arrival, (key, content))| (key, content, arrival));
            let ids: Vec<_> =
                reading_order(arrived).into_iter().filter_map(|(key, _)| key.message_id()).collect();
            let came = |id: &str| came.iter().find(|(other, ..)| other == id).unwrap();
            let spoken: Vec<_> = ids
                .iter()
                .map(|id| {
                    let (_, info, parts) = came(id);
                    let opens = parts.iter().enumerate();
                    let opens =
                        opens.filter_map(|(place, part)| Some((place, part.get(1)?.clone()))).collect();
                    Spoken { session: session_of(info).map(ToOwned::to_owned), opens }
                })
                .collect();
            let divided = divide(session.as_deref(), &spoken);
            let named =
                |places: &[usize]| places.iter().map(|place| ids[*place].to_owned()).collect::<Vec<_>>();
            assert_eq!(named(&divided.own), own, "{name}");
            let found = divided.subagents.iter().map(|Subagent { messages, place }| {
                let session = spoken[messages[0]].session.as_ref();
                let mut found = serde_json::json!({"session": session, "messages": named(messages)});
                match *place {
                    Place::Task { message, part } => {
                        found["task"] = serde_json::json!([ids[message], came(ids[message]).2[part][0]]);
                    }
                    Place::Behind(message) => found["after"] = ids[message].into(),
                }
                found
            });
            assert_eq!(found.collect::<Vec<_>>(), subagents, "{name}");
            cases += 1;
        }
        assert!(cases >= 10);
    }

    #[test]
    fn a_message_says_itself_of_which_session_it_is() {
        for (message, is_own) in [
            (r#"{"sessionID":"s"}"#, true),
            (r#"{"sessionID":"\u0073"}"#, true),
            (r#"{"sessionID":"t"}"#, false),
            (r#"{"sessionID":""}"#, true),
            (r#"{"sessionID":7}"#, true),
            ("{}", true),
            ("[]", true),
        ] {
            let message = RawValue::from_string(message.to_owned()).unwrap();
            assert_eq!(is_of(&message, "s"), is_own, "{message}");
        }
    }
}
