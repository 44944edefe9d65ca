//! Somebody's Markdown inside a document of ours: it keeps its meaning, and cannot end, open or look like anything
//! outside of its own place.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag};

/// Levels below the document's own headings: a title and its turns.
const DEEPER: usize = 3;

/// The deepest heading that Markdown has.
const DEEPEST: usize = 6;

/// A text to stand between blank lines of a document: its headings are deeper than the document's own, HTML in it is
/// text (a comment would hide what follows, an open tag swallow it), and a fence that is left open is closed at its
/// end.
pub(super) fn embedded(text: &str) -> String {
    // Two passes: what stood in a block of HTML is Markdown when that is one no more.
    let text = escape_html(text);
    close(lower_headings(&escape_underlines(text)))
}

fn parse(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).into_offset_iter()
}

/// Escapes what could begin a tag, a comment or another kind of HTML. Code keeps its bytes.
fn escape_html(text: &str) -> String {
    let mut places = Vec::new();
    for (event, range) in parse(text) {
        if matches!(event, Event::InlineHtml(_) | Event::Html(_) | Event::Start(Tag::HtmlBlock)) {
            let begins = text[range.clone()].match_indices('<').map(|(at, _)| range.start + at);
            places.extend(begins.map(|at| (at, "\\")));
        }
    }
    places.sort_unstable();
    places.dedup();
    with(text, &places)
}

/// Makes headings deeper that begin with hashes; there are no others.
fn lower_headings(text: &str) -> String {
    const HASHES: &str = "######";
    let headings = parse(text).filter_map(|(event, range)| match event {
        Event::Start(Tag::Heading { level, .. }) => Some((range.start, level)),
        _ => None,
    });
    let places = headings.map(|(at, level)| (at, &HASHES[..DEEPER.min(DEEPEST - depth(level))]));
    with(text, &places.collect::<Vec<_>>())
}

/// Looks for lines that make the text above a heading, in this many passes.
const PASSES: usize = 8;

/// Escapes lines that make the text above a heading: such headings have two levels alone. Once the first is no such
/// line, one that was further down may be.
fn escape_underlines(mut text: String) -> String {
    for _ in 0..PASSES {
        let places = underlines(&text);
        if places.is_empty() {
            return text;
        }
        text = with(&text, &places);
    }
    // Whoever writes such a text wants it to take long: every line that looks like it, also in code.
    let places = underlines_among(&text, 0, true);
    with(&text, &places)
}

/// The lines under headings, and those that follow them at once.
fn underlines(text: &str) -> Vec<(usize, &'static str)> {
    let mut places = Vec::new();
    for (event, range) in parse(text) {
        let Event::Start(Tag::Heading { .. }) = event else { continue };
        // With hashes a heading is one line, with a line under it two at least.
        if let Some(last) = text[range.clone()].trim_end().rfind('\n') {
            places.extend(underlines_among(text, range.start + last + 1, false));
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// Of the lines from a place on those that look like one under a heading: all, or up to the first that does not.
fn underlines_among(text: &str, from: usize, all: bool) -> Vec<(usize, &'static str)> {
    let mut at = from;
    let lines = text[from..].split_inclusive('\n').map(|line| {
        at += line.len();
        underline(line).map(|place| (at - line.len() + place, "\\"))
    });
    lines.take_while(|place| all || place.is_some()).flatten().collect()
}

/// Where in a line, which may stand in a quote, nothing follows but what makes the text above a heading.
fn underline(line: &str) -> Option<usize> {
    let line = line.trim_end();
    let start = line.len() - line.trim_start_matches([' ', '\t', '>']).len();
    let marks = &line[start..];
    let mark = marks.chars().next().filter(|mark| matches!(mark, '=' | '-'))?;
    marks.chars().all(|other| other == mark).then_some(start)
}

fn depth(level: HeadingLevel) -> usize {
    level as usize
}

/// Closes a fence that stands open at the text's end. One in a list or a quote ends with these.
fn close(mut text: String) -> String {
    let (mut open, mut last) = (0_usize, None);
    for (event, range) in parse(&text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) if open == 0 => {
                last = Some(range);
                open += 1;
            }
            Event::Start(_) => {
                if open == 0 {
                    last = None;
                }
                open += 1;
            }
            Event::End(_) => open -= 1,
            _ if open == 0 => last = None,
            _ => {}
        }
    }
    if let Some(block) = last.map(|range| &text[range]) {
        let block = block.trim_start_matches(' ');
        let mark = if block.starts_with('~') { '~' } else { '`' };
        let length = block.len() - block.trim_start_matches(mark).len();
        let end = block.trim_end().rsplit_once('\n').map_or("", |(_, line)| line.trim());
        if end.len() < length || end.chars().any(|character| character != mark) {
            let fence: String = std::iter::repeat_n(mark, length).collect();
            text.truncate(text.trim_end_matches('\n').len());
            text.push('\n');
            text.push_str(&fence);
        }
    }
    text
}

/// A text with others put in at ascending places.
fn with(text: &str, places: &[(usize, &str)]) -> String {
    let more: usize = places.iter().map(|(_, added)| added.len()).sum();
    let mut result = String::with_capacity(text.len() + more);
    let mut done = 0;
    for (at, added) in places {
        result.push_str(&text[done..*at]);
        result.push_str(added);
        done = *at;
    }
    result.push_str(&text[done..]);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_harmless_keeps_its_bytes() {
        for text in [
            "Some *text* with `code <b>` and <https://example.org>.",
            "- a list\n- of `two`\n\n> and a quote\n\n| a | b |\n|---|---|\n| 1 | 2 |",
            "```rust\nlet x: Vec<T> = vec![];\n# no heading\n```\nafter",
            "1 < 2 and 3 > 2",
        ] {
            assert_eq!(embedded(text), text);
        }
    }

    #[test]
    fn nothing_of_a_text_stands_beside_the_document_s_own_headings() {
        for (text, expected) in [
            ("# One\n## Two\n#### Four", "#### One\n##### Two\n###### Four"),
            ("Title\n===\ntext", "Title\n\\===\ntext"),
            ("> Title\n> ---", "> Title\n> \\---"),
            ("Title\n-\n=\n\n=", "Title\n\\-\n\\=\n\n="),
            ("`\n=\n-\n  (\n=", "`\n\\=\n\\-\n  (\n\\="),
            ("Title\n---\n```yaml\n---\n```", "Title\n\\---\n```yaml\n---\n```"),
            ("- # One", "- #### One"),
            ("a <b>bold</b> `<i>`", "a \\<b>bold\\</b> `<i>`"),
            ("<!-- hidden\n\n# One", "\\<!-- hidden\n\n#### One"),
            ("<details>\n\nopen", "\\<details>\n\nopen"),
            ("```\nopen", "```\nopen\n```"),
            ("~~~~sh\nopen\n~~~\n", "~~~~sh\nopen\n~~~\n~~~~"),
            ("- ```\n  open", "- ```\n  open"),
            ("```\nclosed\n```\n", "```\nclosed\n```\n"),
        ] {
            assert_eq!(embedded(text), expected, "{text:?}");
        }
    }

    #[test]
    fn headings_that_appear_one_after_the_other_all_go() {
        let text = format!("a\n=\n{}", "-\n x\n=\n".repeat(1000));
        let embedded = embedded(&text);
        let headings =
            parse(&embedded).filter(|(event, _)| matches!(event, Event::Start(Tag::Heading { .. })));
        assert_eq!(headings.count(), 0);
    }

    proptest! {
        #[test]
        fn what_follows_a_text_is_what_it_was(text in "[#`~<>!a=\\- \n\\\\*\\[\\]()]{0,60}") {
            let document = format!("## Mine\n\n{}\n\n## Mine\n", embedded(&text));
            let mut headings = Vec::new();
            for (event, range) in parse(&document) {
                prop_assert!(!matches!(event, Event::Html(_) | Event::InlineHtml(_)), "{document:?}");
                if let Event::Start(Tag::Heading { level, .. }) = event
                    && depth(level) <= DEEPER
                {
                    headings.push(document[range].trim_end().to_owned());
                }
            }
            prop_assert_eq!(headings, ["## Mine", "## Mine"], "{:?}", document);
        }
    }
}
