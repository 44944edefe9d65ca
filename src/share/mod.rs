//! A share while somebody uses it: an actor that owns its transcript and its viewers, and the Hub that finds and starts
//! such actors. Knows nothing of HTTP and WebSockets: a viewer is somebody who is sent notices.

mod actor;
mod audience;
mod crowd;
mod feed;
mod frame;
mod hints;
mod hub;
mod messages;
#[allow(clippy::module_inception)] // The state machine of a share: what this room is about.
mod share;
mod snapshot;
mod sweeper;

pub use actor::{Share, ShareConfig};
pub use audience::Seat;
pub use crowd::{Crowd, Crowds};
pub use feed::{Feed, News};
pub use frame::{FRAME_BYTES, Frame, viewers_frame};
pub use hub::{Directory, Hub, Known, Standing};
pub use messages::{
    Ack, Amend, Create, CrowdId, Delete, Deletion, Enter, Goodbye, Idle, Join, Joined, Leave, Look, NewShare,
    Notice, Open, Page, Read, ReadAll, SeatFreed, Shutdown, Stretch, Summary, Sync, ViewerId,
};
pub use snapshot::{Snapshot, TextKind};
