//! The wire: what a client sends and what a viewer gets, as types alone.
//!
//! Shared by the server, the client and the tests. Knows nothing of shares, storage or sockets.

mod frame;
mod malformed;
mod password;
mod request;
mod sealed;

pub use frame::{Closed, FrameItem, ItemsFrame, Reason, Viewers, WireAppend, WireItem, close_code};
pub use malformed::Malformed;
pub use password::Password;
pub use request::{
    AmendRequest, Amended, CreateRequest, Created, LeadingSecret, MAX_NESTING, MAX_SESSION_ID, OpenRequest,
    SecretRequest, SyncBody, SyncItem, SyncRequest, leading_secret,
};
pub use sealed::Sealed;
