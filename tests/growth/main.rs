//! Every door of the server and of the relay, with an input and with one of twice its size: processor time must not
//! grow more than in proportion (2.6-fold), memory must stay within its budget, and other requests must be answered
//! meanwhile.
//!
//! A door is one way in: a route, a type of item, a frame, a part of a request's head. Each is a row of a table; a new
//! route or type gets its row here. What is quadratic shows where the doubled input takes four times as long, whatever
//! the machine; so inputs are small. `GROWTH=large` takes larger ones, for by hand, and `GROWTH_DOOR=models` the rows
//! alone in whose name that stands.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../stories/harness/mod.rs"]
#[allow(dead_code)] // Stories need more of it.
mod harness;

mod live;
mod local;
mod memory;
mod meter;
mod peer;
mod reading;
mod requests;
mod table;
mod writing;
