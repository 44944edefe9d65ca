//! Stories about the share server, told through its public doors: the command line, HTTP and WebSocket. Every story
//! starts the real binary with a data directory of its own.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod crash;
mod delete;
mod harness;
mod live;
mod options;
mod rooms;
mod secrets;
mod sharing;
mod shutdown;
