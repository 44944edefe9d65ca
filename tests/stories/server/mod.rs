//! The share server.

mod access;
mod assets;
mod bad_input;
mod bus;
mod clients;
mod crash;
mod delete;
mod export;
mod floods;
mod live;
mod odd;
mod options;
mod preview;
mod redaction;
mod sealed;
mod secrets;
mod sharing;
mod shutdown;
