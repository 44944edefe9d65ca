//! A session as text: Markdown for readers without the page (agents, text browsers, files to keep), and the HTML that a
//! page begins with; and as `opencode import` takes it. Pure: items in reading order go in, text comes out.

mod diff;
mod item;
mod markdown;
mod messages;
mod opencode;
mod page;
mod parts;
mod picture;
mod prose;
mod session;
mod terminal;
mod text;

pub use markdown::{Markdown, Turns, markdown};
pub use opencode::{OpenCodeSessions, opencode_sessions};
pub use page::{escape, first_turns};
pub use picture::{Card, Counts, HEIGHT as PICTURE_HEIGHT, WIDTH as PICTURE_WIDTH, counts, picture};
