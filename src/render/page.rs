//! A session's beginning as HTML: what its page shows before any of its scripts has run, and all that readers without
//! JavaScript see. In the classes of the page's own elements, so that little moves when these take its place.
//!
//! Nothing is taken out of a stranger's HTML, for none comes in: elements are written for what the Markdown means, and
//! a tag in it is the characters that it is written with. The page has the same rule (`viewer/markup.js`); and what
//! `viewer/sanitize.js` would take out is never written, which a test holds this to.

use std::borrow::Cow;
use std::fmt::Write;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use serde_json::Value;

use super::item::error_text;
use super::session::{Message, Session, Turn};
use super::text::printable;
use crate::model::tools::{self, Call};
use crate::model::{Content, Key};

/// Characters of what a tool's call was about.
const ABOUT_CHARACTERS: usize = 200;

/// Characters of a title.
const TITLE_CHARACTERS: usize = 1000;

/// Bytes of a text that are shown: laying out all of a long table would take longer than the page's scripts do.
const TEXT_BYTES: usize = 16 << 10;

/// Blocks and emphasis in each other, beyond which a text stands as it is: browsers take long for deep elements.
const MAX_DEPTH: usize = 40;

/// Levels of headings that are the page's own.
const DEEPER: usize = 2;

/// The title of a session and its first turns as HTML, of so many bytes of text; nothing when it has no turns.
pub fn first_turns(items: &[(Key, Content)], max_bytes: usize) -> String {
    let Session { info, turns, .. } = Session::of(items);
    if turns.is_empty() {
        return String::new();
    }
    let title = info["title"].as_str().filter(|title| !title.trim().is_empty()).unwrap_or("Shared session");
    let title: String = title.chars().take(TITLE_CHARACTERS).collect();
    let mut page = Page { html: String::new(), left: max_bytes };
    let _ = writeln!(page.html, "<div class=\"head\"><h1 dir=\"auto\">{}</h1>", escape(&title));
    if let Some(directory) = info["directory"].as_str() {
        let _ = writeln!(
            page.html,
            "<div class=\"facts\"><span class=\"path\" dir=\"auto\">{}</span></div>",
            escape(directory)
        );
    }
    page.html.push_str("</div>\n<div class=\"timeline\">\n");
    for turn in &turns {
        if !page.turn(turn) {
            page.html.push_str("<p class=\"note\">Cut here.</p>\n");
            break;
        }
    }
    page.html.push_str("</div>\n");
    page.html
}

struct Page {
    html: String,
    /// Bytes of text that are written yet.
    left: usize,
}

impl Page {
    /// Writes a turn; tells whether there is room for more.
    fn turn(&mut self, turn: &Turn) -> bool {
        let id = turn.prompt.as_ref().or(turn.answers.first()).map_or("", |message| &message.id);
        let _ = writeln!(self.html, "<section class=\"turn\" id=\"{}\">", escape(id));
        let goes_on = turn.prompt.as_ref().is_none_or(|prompt| self.prompt(prompt));
        self.html.push_str("<div class=\"answer\">\n");
        let goes_on = goes_on && turn.answers.iter().all(|answer| self.answer(answer));
        self.html.push_str("</div>\n</section>\n");
        goes_on
    }

    fn prompt(&mut self, prompt: &Message) -> bool {
        self.html.push_str("<div class=\"prompt\"><header><h2>Prompt</h2></header>\n");
        let goes_on = prompt.parts.each(|part| {
            match part["type"].as_str() {
                Some("text") if is_said(part) => {
                    let text = self.take(part["text"].as_str().unwrap_or_default());
                    let _ = writeln!(
                        self.html,
                        "<div class=\"prompt-text\" dir=\"auto\">{}</div>",
                        escape(&text)
                    );
                }
                Some("file") => self.note(part["filename"].as_str().unwrap_or("File")),
                _ => {}
            }
            self.left > 0
        });
        self.html.push_str("</div>\n");
        goes_on
    }

    fn answer(&mut self, answer: &Message) -> bool {
        let goes_on = answer.parts.each(|part| {
            match part["type"].as_str() {
                Some("text") if is_said(part) => {
                    let text = self.take(part["text"].as_str().unwrap_or_default());
                    self.html.push_str("<div class=\"part part-text\"><div class=\"markdown\">\n");
                    write_markdown(&mut self.html, &text);
                    self.html.push_str("</div></div>\n");
                }
                Some("tool") => self.call(part),
                _ => {}
            }
            self.left > 0
        });
        if !answer.info["error"].is_null() {
            self.note(&error_text(&answer.info["error"]).unwrap_or_else(|| "Error".into()));
        }
        goes_on
    }

    /// A tool's call as a line.
    fn call(&mut self, part: &Value) {
        let input = tools::input(part);
        let call = Call::of(part, &input);
        let about: String =
            call.about.iter().flat_map(|about| about.chars()).take(ABOUT_CHARACTERS).collect();
        let about = self.take(&about);
        let name = self.take(if call.tool.is_empty() { "tool" } else { call.label() });
        let failed = if call.failed { " (failed)" } else { "" };
        let _ = writeln!(
            self.html,
            "<div class=\"part part-tool\"><span class=\"tool-name\">{}</span> <code dir=\"auto\">{}</code>{failed}\
             </div>",
            escape(&name),
            escape(&about),
        );
    }

    fn note(&mut self, text: &str) {
        let text = self.take(text);
        let _ = writeln!(self.html, "<p class=\"note\" dir=\"auto\">{}</p>", escape(&text));
    }

    /// A text, as much of it as there is room for. An element costs as much as a short text.
    fn take(&mut self, text: &str) -> String {
        const ELEMENT: usize = 64;
        let most = self.left.min(TEXT_BYTES).min(text.len());
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.left = self.left.saturating_sub(end + ELEMENT);
        let more = if end < text.len() { "…" } else { "" };
        printable(&text[..end]) + more
    }
}

fn is_said(part: &Value) -> bool {
    let text = part["text"].as_str().unwrap_or_default();
    part["synthetic"] != true && part["ignored"] != true && !text.trim().is_empty()
}

/// Somebody's Markdown as HTML.
fn write_markdown(page: &mut String, text: &str) {
    let read = || Parser::new_ext(text, options(text));
    if is_deep(read()) {
        let _ = writeln!(page, "<div class=\"piece plain\" dir=\"auto\">{}</div>", escape(text));
        return;
    }
    page.push_str("<div class=\"piece\" dir=\"auto\">");
    let mut place = Place::default();
    html::push_html(page, read().flat_map(|event| place.events(event)));
    page.push_str("</div>\n");
}

fn is_deep<'a>(mut events: impl Iterator<Item = Event<'a>>) -> bool {
    let mut depth = 0_usize;
    events.any(|event| {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

/// A table has as many cells in each row as in its head, whether they are written or not: so one that would have many
/// more than the text has bytes is none.
fn options(text: &str) -> Options {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let widest = text.lines().map(|line| line.matches('|').count()).max().unwrap_or_default();
    if widest * text.lines().count() > 4 * text.len() { options } else { options | Options::ENABLE_TABLES }
}

/// What of the place at which an event comes says how it is written.
#[derive(Default)]
struct Place {
    /// For each link and image that is open, what ends it.
    open: Vec<&'static str>,
    in_cell: bool,
}

impl Place {
    /// An event as those that are written in its place. Events of HTML are ours alone.
    fn events<'a>(&mut self, event: Event<'a>) -> impl Iterator<Item = Event<'a>> + use<'a> {
        let ours = |html: &'static str| Event::InlineHtml(html.into());
        let (before, event, behind) = match event {
            // A line break in the cell of a table can be written in no other way.
            Event::InlineHtml(text) if self.in_cell && is_break(&text) => (None, Event::HardBreak, None),
            Event::Html(text) | Event::InlineHtml(text) => (None, Event::Text(text), None),
            Event::Start(Tag::HtmlBlock) => (None, ours("<p class=\"html\">"), None),
            Event::End(TagEnd::HtmlBlock) => (None, ours("</p>\n"), None),
            Event::Start(Tag::Heading { level, .. }) => {
                let level = deeper(level);
                let tag = Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() };
                (None, Event::Start(tag), None)
            }
            Event::End(TagEnd::Heading(level)) => (None, Event::End(TagEnd::Heading(deeper(level))), None),
            start @ Event::Start(Tag::CodeBlock(_)) => (Some(ours("<div class=\"code\">")), start, None),
            end @ Event::End(TagEnd::CodeBlock | TagEnd::Table) => (None, end, Some(ours("</div>\n"))),
            // Alignments would be styles in the elements, which the page's policy refuses.
            Event::Start(Tag::Table(columns)) => {
                let columns = vec![pulldown_cmark::Alignment::None; columns.len()];
                (Some(ours("<div class=\"table\">")), Event::Start(Tag::Table(columns)), None)
            }
            start @ Event::Start(Tag::TableCell) => {
                self.in_cell = true;
                (None, start, None)
            }
            end @ Event::End(TagEnd::TableCell) => {
                self.in_cell = false;
                (None, end, None)
            }
            // An image from elsewhere would tell its host who reads this.
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                (None, self.start_link(&dest_url), None)
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                (None, ours(self.open.pop().unwrap_or_default()), None)
            }
            other => (None, other, None),
        };
        before.into_iter().chain([event]).chain(behind)
    }

    /// A link to where a stranger may lead; none within another.
    fn start_link(&mut self, target: &str) -> Event<'static> {
        let is_inner = self.open.contains(&"</a>");
        self.open.push(if is_inner || !is_safe(target) { "" } else { "</a>" });
        let link = match self.open.last() {
            Some(&"</a>") => {
                let target = escape(target);
                format!("<a href=\"{target}\" rel=\"noopener noreferrer nofollow\" target=\"_blank\">").into()
            }
            _ => "".into(),
        };
        Event::InlineHtml(link)
    }
}

fn is_break(html: &str) -> bool {
    let name = html.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/').trim_end();
    name.eq_ignore_ascii_case("br")
}

/// Whether a stranger may lead there, as `safeLink` of the page has it.
fn is_safe(target: &str) -> bool {
    let begins =
        |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    ["http:", "https:", "mailto:"].into_iter().any(begins)
}

/// The level of a heading below the page's own.
fn deeper(level: HeadingLevel) -> HeadingLevel {
    HeadingLevel::try_from(level as usize + DEEPER).unwrap_or(HeadingLevel::H6)
}

/// Text that can stand in an element or in a quoted attribute.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(text: &str) -> String {
        let mut html = String::new();
        write_markdown(&mut html, text);
        let html = html.strip_prefix("<div class=\"piece\" dir=\"auto\">").unwrap();
        html.strip_suffix("</div>\n").unwrap().to_owned()
    }

    #[test]
    fn markdown_means_what_it_means_on_the_page() {
        for (text, expected) in [
            ("# One\n\n#### Four", "<h3>One</h3>\n<h6>Four</h6>\n"),
            ("a <b>b</b> `<i>`", "<p>a &lt;b&gt;b&lt;/b&gt; <code>&lt;i&gt;</code></p>\n"),
            ("<script>x</script>", "<p class=\"html\">&lt;script&gt;x&lt;/script&gt;</p>\n"),
            ("[a](javascript:x) [b](#c) [d](/e)", "<p>a b d</p>\n"),
            ("![a](data:image/png;base64,AAAA)", "<p>a</p>\n"),
            (
                "```rust\nlet a = 1 < 2;\n```",
                "<div class=\"code\">\n<pre><code class=\"language-rust\">let a = 1 &lt; 2;\n</code></pre>\n</div>\n",
            ),
            ("a~~b~~", "<p>a<del>b</del></p>\n"),
        ] {
            assert_eq!(html(text), expected, "{text}");
        }
        let link = |target: &str, text: &str| {
            format!(
                "<p><a href=\"{target}\" rel=\"noopener noreferrer nofollow\" target=\"_blank\">{text}</a></p>\n"
            )
        };
        assert_eq!(html("[a](https://b.example/?c=\"&d)"), link("https://b.example/?c=&quot;&amp;d", "a"));
        assert_eq!(html("![a](http://b.example/c.png)"), link("http://b.example/c.png", "a"));
        assert_eq!(html("[![a](http://b.example/c.png)](HTTPS://d.example)"), link("HTTPS://d.example", "a"));
        assert!(html("| a |\n|:-:|\n| b<br/>c <br>|").contains("<td>b<br />\nc <br />\n</td>"));
    }

    #[test]
    fn what_is_deep_stands_as_it_is() {
        let mut page = String::new();
        write_markdown(&mut page, &">".repeat(9000));
        assert_eq!(page.matches('<').count(), 2);
        assert!(html(&"> ".repeat(9)).contains("<blockquote>"));
    }

    #[test]
    fn a_table_is_no_larger_than_its_text_by_much() {
        let small = 3500;
        let table =
            format!("{}\n{}\n{}", "|a".repeat(small / 12), "|-".repeat(small / 12), "|\n".repeat(small / 4));
        let text = format!("{table}\n\n").repeat(30);
        assert!(html(&text).len() < 40 * text.len());
        assert!(html(&"| a | b |\n|---|---|\n| c | d |\n".repeat(9)).contains("<td>c</td>"));
    }

    proptest! {
        #[test]
        fn no_element_comes_but_those_that_are_meant(text in "[#`~<>!a=\\- \n\\\\*\\[\\]()|:&\"'x.]{0,80}") {
            const KNOWN: &str = "a blockquote br code del div em h3 h4 h5 h6 hr input li ol p pre strong table tbody \
                                 td th thead tr ul";
            let html = html(&text);
            let mut open = Vec::new();
            for tag in html.split('<').skip(1) {
                let tag = tag.split_once('>').map_or(tag, |(tag, _)| tag);
                let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
                prop_assert!(KNOWN.split(' ').any(|known| known == name), "{tag} in {html}");
                if tag.starts_with('/') {
                    prop_assert_eq!(open.pop(), Some(name), "{}", html);
                } else if !["br", "hr", "input"].contains(&name) {
                    open.push(name);
                }
            }
            prop_assert!(open.is_empty(), "{html}");
        }
    }
}
