//! Stories about the program, told through its public doors: the command line, HTTP and WebSocket. Every story starts
//! real processes with directories of their own.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)] // The faults need more of it.
mod harness;
mod operator;
mod relay;
mod rooms;
mod server;
