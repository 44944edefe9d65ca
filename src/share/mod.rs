//! A share while somebody uses it: an actor that owns its transcript and its viewers, and the Hub that finds and starts
//! such actors. Knows nothing of HTTP and WebSockets: a viewer is two recipients.

mod actor;
mod feed;
mod hub;
mod messages;
mod ready;

pub use actor::{Share, ShareConfig};
pub use feed::{Feed, News};
pub use hub::{Directory, Hub};
pub use messages::{
    Ack, Create, Delete, Frame, Goodbye, Idle, Join, Joined, Leave, Look, NewShare, Open, Page, Pull, Read,
    ReadAll, Shutdown, Snapshot, Summary, Sync, ViewerId, Wake,
};
pub use ready::viewers_frame;
