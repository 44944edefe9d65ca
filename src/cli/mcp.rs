//! `brutus-share mcp`: the relay as tools of a coding agent, over stdio.
//!
//! The SDK wants handlers that can move between threads, and the HTTP client of the relay cannot: a local task owns it,
//! and the tools ask that task.

use std::error::Error;

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ErrorData, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::person::{is_under_way, until};
use crate::relay::client::{ListedShare, RelayCallError, RelayClient, RelayOptions};
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
    Share { session: String, expires_in: Option<u64> },
    Unshare(String),
    List,
}

type Answer = Result<Value, RelayCallError>;

/// Answers the tools' questions, one after the other. The token is read each time: the relay may be started, or started
/// anew, after the agent.
async fn answer_all(options: RelayOptions, mut asked: mpsc::Receiver<(Question, oneshot::Sender<Answer>)>) {
    while let Some((question, reply)) = asked.recv().await {
        let answer = match RelayClient::new(&options) {
            Ok(relay) => match question {
                Question::Share { session, expires_in } => relay.share(&session, expires_in).await,
                Question::Unshare(session) => relay.unshare(&session).await,
                Question::List => relay.list().await,
            },
            Err(error) => Err(error),
        };
        let _ = reply.send(answer);
    }
}

#[derive(Clone)]
struct Tools {
    questions: mpsc::Sender<(Question, oneshot::Sender<Answer>)>,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct SessionInput {
    /// The id of the session, exactly as the agent that runs it calls it (for example `ses_…`).
    #[serde(rename = "sessionID")]
    #[schemars(length(min = 1, max = 256))]
    session_id: String,
}

#[derive(Debug, Deserialize, schemars::JsonSchema)]
struct ShareInput {
    #[serde(flatten)]
    session: SessionInput,
    /// After how many seconds the link shall end by itself, when the user asks for that. Leave it out otherwise.
    #[serde(rename = "expiresIn")]
    #[schemars(range(min = 1))]
    expires_in: Option<u64>,
}

#[tool_router]
impl Tools {
    #[tool(
        name = "share_session",
        description = "Create a shareable link for a coding session. Whoever has the link can watch the session live in a \
                       browser: prompts, answers, tool calls and diffs, so far and from now on. Use it only when the user asks \
                       to share. Sharing a session that is shared already returns the same link. Tell the user the link.",
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
        Ok(result(answer.map(|answer| {
            let url = plain(answer["url"].as_str().unwrap_or_default());
            match answer["expiresAt"].as_i64() {
                Some(end) => format!("Session shared: {url} (the link ends in {})", until(end)),
                None => format!("Session shared: {url}"),
            }
        })))
    }

    #[tool(
        name = "unshare_session",
        description = "Stop sharing a coding session and delete everything that was shared from the server. The link stops \
                       working for everyone. Use it only when the user asks for it. It cannot be undone; sharing again gives \
                       a new link.",
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
        let answer = self.ask(Question::Unshare(session_id.clone())).await;
        let session = plain(&session_id);
        Ok(result(answer.map(|answer| {
            if is_under_way(&answer) {
                format!(
                    "Session {session} is being unshared, and is NOT confirmed as deleted yet: nothing more of it is sent, and \
                     the relay asks the share server to delete it until that answers. The link may still work until then. Tell \
                     the user; list_shares shows it as `removing`."
                )
            } else {
                format!("Session {session} is no longer shared; its content was deleted from the server.")
            }
        })))
    }

    #[tool(
        name = "list_shares",
        description = "List the coding sessions that are shared from this machine, with their links and whether they are up \
                       to date on the server.",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn list_shares(&self) -> Result<CallToolResult, ErrorData> {
        Ok(result(self.ask(Question::List).await.map(|answer| {
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

    async fn ask(&self, question: Question) -> Result<Value, String> {
        let (reply, answer) = oneshot::channel();
        let gone = "the connection to the relay has ended: start this MCP server again";
        self.questions.send((question, reply)).await.map_err(|_| gone)?;
        answer.await.map_err(|_| gone)?.map_err(|error| match error {
            RelayCallError::Refused { code, message } if code == "not_shared" => {
                format!("{}: call list_shares to see which sessions are", plain(&message))
            }
            error => plain(&error.to_string()),
        })
    }
}

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
