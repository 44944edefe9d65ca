//! Live, private-by-default sharing of coding-agent sessions.
//!
//! The rooms, from the bottom up; an arrow points from what is used to what uses it:
//!
//! ```text
//! protocol, model, sqlite, trust <- store <- share <- http <- serve
//!                           store <- bus <- share <- access <- http
//!                  model <- render         <- http
//!                  model <- redact         <- http
//!                  model <- seal           <- client
//! protocol, model, sqlite, import <- client <- sources <- relay
//!                           import, relay <- acp
//! ```
//!
//! | room | what it is |
//! |---|---|
//! | [`protocol`] | the wire: what clients send and viewers get, as types alone |
//! | [`model`] | ids, secrets, keys, and the transcript of a share: pure |
//! | [`sqlite`] | what every database here has in common: private files, group commit |
//! | [`store`] | the shares' tables: written in groups, read through connections of their own |
//! | [`bus`] | hints between servers: what has changed, what is gone, how many watch |
//! | [`share`] | the actor of a share, and the Hub that finds it |
//! | [`access`] | who may do what with a share: links, passwords, secrets |
//! | [`http`] | the server's routes, the viewer's session and page |
//! | [`serve`] | the server put together |
//! | [`render`] | a session as Markdown, HTML and what OpenCode imports: pure |
//! | [`redact`] | secrets out of items: pure |
//! | [`seal`] | items encrypted for whoever has the link: pure |
//! | [`import`] | conversations as others write them, read as items: pure |
//! | [`client`] | the sharing client: queue, spool, secrets |
//! | [`sources`] | where agents keep their sessions, read and followed |
//! | [`relay`] | the client's local HTTP door |
//! | `acp` | between an agent and its client, so that the relay hears what is said |
//! | [`discovery`] | servers near by, announced and browsed for, and the key by which each is known |
//! | [`daemon`] | what both daemons have in common: where they listen, how they end |
//! | [`config`], [`error`], [`metrics`] | options, refusals, counters |
//! | [`memory`], [`text`], [`cli`] | the budget of memory, text of strangers, commands |
//! | [`trust`] | whose certificates hold |

pub mod access;
mod acp;
pub mod bus;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod discovery;
pub mod error;
pub mod http;
pub mod import;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod protocol;
pub mod redact;
pub mod relay;
pub mod render;
pub mod seal;
pub mod serve;
pub mod share;
pub mod sources;
pub mod sqlite;
pub mod store;
pub mod text;
pub mod trust;
