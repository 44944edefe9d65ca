//! What a share is, without sockets, actors or disk: ids and secrets, item keys, what of an item is kept, and the
//! transcript that a share's items make up.

mod activity;
mod append;
mod change;
mod id;
mod key;
mod lifetime;
mod lock;
mod lossy;
mod order;
mod sealed;
pub mod subagents;
pub mod tools;
mod transcript;

pub use crate::protocol::Sealed;
pub use activity::Activity;
pub use append::Append;
pub use change::{Change, Content, merge_models};
pub use id::{Secret, SecretHash, ShareId, random_base62, random_epoch};
pub use key::{Key, MAX_ID};
pub use lifetime::{Life, Lifetimes, expires_at};
pub use lock::{Lock, PasswordHash};
pub use lossy::parse_lossy;
pub use order::{Arrived, milliseconds, reading_order};
pub use transcript::{Applied, Capacity, Row, ShareFull, Transcript, Window};
