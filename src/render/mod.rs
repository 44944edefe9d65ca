//! A session as text, for readers without the page: agents, text browsers, files to keep. Pure: items in reading order go
//! in, text comes out.

mod markdown;

pub use markdown::{Markdown, markdown};
