//! A share while somebody uses it: an actor that owns its transcript and its viewers, and the Hub that finds and starts
//! such actors. Knows nothing of HTTP and WebSockets: a viewer is somebody who is sent notices.

mod actor;
mod crowd;
mod feed;
mod frame;
mod hub;
mod messages;
mod ready;
mod sweeper;

pub use actor::{Share, ShareConfig};
pub use crowd::{Crowd, Crowds, ViewerId};
pub use feed::{Feed, News};
pub use frame::{Frame, viewers_frame};
pub use hub::{Directory, Hub};
pub use messages::{
    Ack, Create, CrowdId, Delete, Enter, Goodbye, Idle, Join, Leave, Left, Look, NewShare, Notice, Open,
    Page, Pull, Read, ReadAll, Shutdown, Snapshot, Summary, Sync,
};
