//! The relay beside an agent, and the commands over it.

mod answers;
mod commands;
mod conversations;
mod door;
mod faults;
mod networks;
mod protecting;
mod redaction;
mod sealed;
mod setup;
mod sharing;
mod start;
mod streams;
mod transcripts;
mod unsharing;
mod wire;
