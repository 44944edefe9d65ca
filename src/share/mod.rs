//! A share while somebody uses it: an actor that owns its transcript and its viewers, and the Hub that finds and starts
//! such actors. Knows nothing of HTTP and WebSockets: a viewer is two recipients.

mod actor;
mod hub;
mod messages;
mod ready;

pub use actor::{Share, ShareConfig};
pub use hub::{Hub, ask};
pub use messages::{
    Ack, Create, Delete, Frame, Goodbye, Idle, Join, Leave, Look, NewShare, Open, Page, Pull, Read, ReadAll,
    Shutdown, Snapshot, Summary, Sync, Update, ViewerId, Wake,
};
pub use ready::viewers_frame;
