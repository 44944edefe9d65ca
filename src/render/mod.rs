//! A session as text, for readers without the page: agents, text browsers, files to keep. Pure: items in reading order
//! go in, text comes out.

mod diff;
mod item;
mod markdown;
mod messages;
mod parts;
mod prose;
mod terminal;
mod text;

pub use markdown::{Markdown, Turns, markdown};
