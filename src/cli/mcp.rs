//! `brutus-share mcp`: the relay as tools of a coding agent, over stdio.
//!
//! The SDK wants handlers that can move between threads, and the HTTP client of the relay cannot: a local task owns it,
//! and the tools ask that task.

use std::error::Error;
use std::path::Path;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ErrorData, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::person::{is_under_way, until};
use super::which::{at_work, described};
use crate::client::KnownSession;
use crate::relay::client::{ListedShare, RelayCallError, RelayClient, RelayOptions, hidden};
use crate::text::plain;

pub(super) fn run(options: &RelayOptions) -> Result<(), Box<dyn Error>> {
    let options = options.clone();
    actix_web::rt::System::new().block_on(async {
        let (questions, asked) = mpsc::channel(16);
        actix_web::rt::spawn(answer_all(options, asked));
        let service = Tools { questions }.serve(rmcp::transport::stdio()).await?;
        service.waiting().await?;
        Ok(())
    })
}

enum Question {
    /// Of the session that is named, or else of the one in which the agent works.
    Share {
        session: Option<String>,
        expires_in: Option<u64>,
    },
    Unshare(Option<String>),
    List,
}

type Answer = Result<Answered, Refused>;

/// What the relay answers, and which session it is about.
struct Answered {
    session: Option<KnownSession>,
    answer: Value,
}

/// Why a question has no answer.
enum Refused {
    Relay(RelayCallError),
    /// The relay does not know the session that was named, but these.
    UnknownSession(Vec<KnownSession>),
    /// Nobody said which session, and none of these is known to be the agent's.
    WhichSession(Vec<KnownSession>),
}

impl From<RelayCallError> for Refused {
    fn from(error: RelayCallError) -> Self {
        Self::Relay(error)
    }
}

/// Answers the tools' questions, one after the other. The token is read each time: the relay may be started, or started
/// anew, after the agent.
async fn answer_all(options: RelayOptions, mut asked: mpsc::Receiver<(Question, oneshot::Sender<Answer>)>) {
    // The agent starts its servers where it works.
    let directory = std::env::current_dir().unwrap_or_default();
    while let Some((question, reply)) = asked.recv().await {
        let answer = match RelayClient::connect_or_start(&options, true).await {
            Ok(relay) => answer(&relay, question, &directory).await,
            Err(error) => Err(error.into()),
        };
        let _ = reply.send(answer);
    }
}

async fn answer(relay: &RelayClient, question: Question, directory: &Path) -> Answer {
    match question {
        Question::Share { session, expires_in } => {
            let (id, session) = which(relay, session, directory, |_| true).await?;
            match relay.share(&id, expires_in, None, false).await {
                Err(RelayCallError::Refused { code, .. }) if code == "unknown_session" => {
                    Err(Refused::UnknownSession(relay.sessions().await?))
                }
                answer => {
                    let answer = answer?;
                    // One that was found is known already.
                    let session = if session.is_some() { session } else { named(relay, &id).await };
                    Ok(Answered { session, answer })
                }
            }
        }
        Question::Unshare(session) => {
            let (id, session) = which(relay, session, directory, |session| session.url.is_some()).await?;
            let answer = relay.unshare(&id).await?;
            Ok(Answered { session: session.or_else(|| Some(KnownSession::named(id))), answer })
        }
        Question::List => Ok(Answered { session: None, answer: relay.list().await? }),
    }
}

/// The session that a tool is about: the one that was named, or else of those that will do the agent's own.
async fn which(
    relay: &RelayClient,
    named: Option<String>,
    directory: &Path,
    will_do: impl Fn(&KnownSession) -> bool,
) -> Result<(String, Option<KnownSession>), Refused> {
    if let Some(id) = named.filter(|id| !id.trim().is_empty()) {
        return Ok((id, None));
    }
    let mut sessions = relay.sessions().await?;
    sessions.retain(will_do);
    match at_work(&sessions, directory) {
        Some(session) => Ok((session.session_id.clone(), Some(session.clone()))),
        None => Err(Refused::WhichSession(sessions)),
    }
}

async fn named(relay: &RelayClient, id: &str) -> Option<KnownSession> {
    relay.sessions().await.ok()?.into_iter().find(|session| session.session_id == id)
}

#[derive(Clone)]
struct Tools {
    questions: mpsc::Sender<(Question, oneshot::Sender<Answer>)>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[schemars(transform = plain_types)]
struct SessionInput {
    /// The id of the session, exactly as the agent that runs it calls it (for example `ses_…`). Leave it out for the
    /// session in which you are.
    #[serde(rename = "sessionID", default)]
    #[schemars(length(max = 256))]
    session_id: Option<String>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[schemars(transform = plain_types)]
struct ShareInput {
    #[serde(flatten)]
    session: SessionInput,
    /// After how many seconds the link shall end by itself (3600 for an hour), when the user asks for that. Leave it
    /// out otherwise.
    #[serde(rename = "expiresIn", default, deserialize_with = "whole_number")]
    #[schemars(range(min = 1))]
    expires_in: Option<u64>,
}

/// Gives each field one type that JSON Schema knows. Rust's own formats (`uint64`), the `null` of a field that can be
/// left out, and a default of `null` make some clients refuse all tools.
fn plain_types(schema: &mut schemars::Schema) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for field in
        properties.into_iter().flat_map(|fields| fields.values_mut()).filter_map(Value::as_object_mut)
    {
        field.remove("format");
        if field.get("default").is_some_and(Value::is_null) {
            field.remove("default");
        }
        let types = field.get("type").and_then(Value::as_array);
        if let Some(kind) = types.and_then(|types| types.iter().find(|kind| *kind != "null")).cloned() {
            field.insert("type".into(), kind);
        }
    }
}

/// A whole number, which some models write as text or with a decimal point; `null` is none.
fn whole_number<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    let text = match Value::deserialize(input)? {
        Value::Null => return Ok(None),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text,
        _ => String::new(),
    };
    let text = text.trim();
    let number = text.strip_suffix(".0").unwrap_or(text).parse();
    number.map(Some).map_err(|_| D::Error::custom("expiresIn: expected a whole number of seconds, like 3600"))
}

#[tool_router]
impl Tools {
    #[tool(
        name = "share_session",
        description = "Make a link by which others can watch a coding session live in a browser: prompts, answers, \
                       tool calls and diffs, also those that are still to come. The link is public: whoever has it \
                       can read all of it, without a login. Use it only when the user asks to share the session. \
                       Without a sessionID it is the session in which you are. Returns `Session shared: LINK`, the \
                       session's agent and title, and when the link ends if it does: tell the user the link. A \
                       session that is shared already gets the same link again.",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn share_session(
        &self,
        Parameters(ShareInput { session: SessionInput { session_id }, expires_in }): Parameters<ShareInput>,
    ) -> Result<CallToolResult, ErrorData> {
        let answer = self.ask(Question::Share { session: session_id, expires_in }).await;
        Ok(result(answer.map(|Answered { session, answer }| {
            let url = plain(answer["url"].as_str().unwrap_or_default());
            let session = session.map(|session| format!(" ({})", described(&session))).unwrap_or_default();
            let end = answer["expiresAt"].as_i64();
            let end = end.map_or(String::new(), |end| format!(". The link ends in {}.", until(end)));
            let hidden = hidden(&answer).map_or(String::new(), |hidden| format!("\nIt hides {hidden}."));
            format!("Session shared: {url}{session}{end}{hidden}")
        })))
    }

    #[tool(
        name = "unshare_session",
        description = "Stop sharing a coding session, and delete all that was shared of it from the share server: the \
                       link stops working for everyone. Without a sessionID it is the session in which you are. Use \
                       it only when the user asks for it. It cannot be undone; sharing again gives another link. \
                       Returns whether the server has confirmed the delete. When it could not be reached the answer \
                       says NOT confirmed, and the link may still work: tell the user so.",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn unshare_session(
        &self,
        Parameters(SessionInput { session_id }): Parameters<SessionInput>,
    ) -> Result<CallToolResult, ErrorData> {
        let answer = self.ask(Question::Unshare(session_id)).await;
        Ok(result(answer.map(|Answered { session, answer }| {
            let session = session.map(|session| plain(&session.session_id)).unwrap_or_default();
            if is_under_way(&answer) {
                format!(
                    "Session {session} is being unshared, and is NOT confirmed as deleted yet: nothing more of it is \
                     sent, and the relay asks the share server to delete it until that answers. The link may still \
                     work until then. Tell the user; list_shares shows it as `removing`."
                )
            } else {
                format!("Session {session} is no longer shared; its content was deleted from the server.")
            }
        })))
    }

    #[tool(
        name = "list_shares",
        description = "List the coding sessions that are shared from this machine. Use it to find a session's link, \
                       or to see whether what happened in it has arrived. Returns a line for each: `SESSION: LINK \
                       (STATE, N items waiting)`. STATE is `active`; `retrying`, when the share server cannot be \
                       reached; `ended`, when it does not know the share any more; `removing`, until it has confirmed \
                       an unshare; `paused`, when sharing is switched off. Links are public to whoever has them.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn list_shares(&self) -> Result<CallToolResult, ErrorData> {
        Ok(result(self.ask(Question::List).await.map(|Answered { answer, .. }| {
            let shares: Vec<ListedShare> = serde_json::from_value(answer).unwrap_or_default();
            if shares.is_empty() {
                return "No session is shared.".to_owned();
            }
            let line = |share: &ListedShare| {
                format!(
                    "{}: {} ({}, {} items waiting)",
                    plain(&share.session_id),
                    plain(&share.url),
                    plain(&share.state),
                    share.pending
                )
            };
            shares.iter().map(line).collect::<Vec<_>>().join("\n")
        })))
    }

    async fn ask(&self, question: Question) -> Result<Answered, String> {
        let (reply, answer) = oneshot::channel();
        let gone = "the connection to the relay has ended: start this MCP server again";
        self.questions.send((question, reply)).await.map_err(|_| gone)?;
        answer.await.map_err(|_| gone)?.map_err(|refused| match refused {
            Refused::Relay(RelayCallError::Refused { code, message }) if code == "not_shared" => {
                format!("{}: call list_shares to see which sessions are", plain(&message))
            }
            Refused::Relay(error) => plain(&error.to_string()),
            Refused::UnknownSession(known) => {
                format!(
                    "The relay does not know this session, so there is nothing to share. {}",
                    choice(&known)
                )
            }
            Refused::WhichSession(known) => {
                format!("It is not clear which session you are in: give its sessionID. {}", choice(&known))
            }
        })
    }
}

/// The sessions from which a model can choose.
fn choice(known: &[KnownSession]) -> String {
    if known.is_empty() {
        return "No session is known to the relay: it has to be told of a session before it can be shared."
            .into();
    }
    let line = |session: &KnownSession| format!("{}: {}", plain(&session.session_id), described(session));
    let lines: Vec<_> = known.iter().take(CHOICE).map(line).collect();
    format!("Known sessions, the newest first:\n{}", lines.join("\n"))
}

/// Sessions from which a model can choose at most.
const CHOICE: usize = 20;

fn result(result: Result<String, String>) -> CallToolResult {
    match result {
        Ok(text) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Err(text) => CallToolResult::error(vec![ContentBlock::text(text)]),
    }
}

#[tool_handler]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::default();
        info.capabilities = ServerCapabilities::builder().enable_tools().build();
        info.server_info = Implementation::new("brutus-share", env!("CARGO_PKG_VERSION"));
        info.instructions =
            Some("Shares coding sessions as live links, through the relay on this machine.".into());
        info
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_may_come_as_text() {
        let read = |value: Value| {
            let input = json!({"sessionID": "s", "expiresIn": value});
            serde_json::from_value::<ShareInput>(input)
                .map(|input| input.expires_in)
                .map_err(|error| error.to_string())
        };
        for (value, number) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(" 60 "), Some(60)),
            (json!(60.0), Some(60)),
            (json!("60.0"), Some(60)),
            (Value::Null, None),
        ] {
            assert_eq!(read(value.clone()), Ok(number), "{value}");
        }
        for value in [json!(-1), json!(1.5), json!("soon"), json!(""), json!([60]), json!(true)] {
            assert!(
                read(value.clone()).is_err_and(|error| error.contains("whole number of seconds")),
                "{value}"
            );
        }
        let without: ShareInput = serde_json::from_value(json!({"sessionID": "s"})).unwrap();
        assert_eq!((without.session.session_id.as_deref(), without.expires_in), (Some("s"), None));
    }

    #[test]
    fn each_field_has_one_type_that_json_schema_knows() {
        let schema = schemars::schema_for!(ShareInput);
        assert_eq!(schema.get("required"), None);
        assert_eq!(schema.get("properties").unwrap()["sessionID"]["type"], "string");
        let expires_in = &schema.get("properties").unwrap()["expiresIn"];
        assert_eq!((&expires_in["type"], &expires_in["minimum"]), (&json!("integer"), &json!(1)));
        let text = serde_json::to_string(&schema).unwrap();
        assert!(!text.contains("format") && !text.contains("null") && !text.contains("anyOf"), "{text}");
    }
}
