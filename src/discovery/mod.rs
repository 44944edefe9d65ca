//! Share servers near by, found as BRUTUS finds its models: by DNS-SD over multicast DNS (RFC 6762, RFC 6763). A server
//! announces itself, a client browses.
//!
//! Anybody on a network can announce anything. So what is announced is a hint where to ask and no more: a server is
//! known by its own key alone, which it has to prove each time before anything is sent to it.

mod announce;
mod browse;
mod identity;
mod record;

pub use announce::{AnnounceError, Announcement};
pub use browse::{Browser, browse};
pub use identity::{Fingerprint, Identity, IdentityError, Nonce, NotProved, Proof};
pub use record::{Nearby, Record};

/// The type of the service. Not `_saturn._tcp`: whoever browses that sends prompts to what it finds.
const SERVICE: &str = "_brutus-share._tcp.local.";
