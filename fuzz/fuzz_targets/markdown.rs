//! A session as Markdown: any session becomes text of a bounded length, and no item breaks out of its own place.

#![no_main]

use brutus_share::model::tools::{Call, Said, input};
use brutus_share::model::{Capacity, Change, Transcript, reading_order};
use brutus_share::render::{Markdown, markdown};
use libfuzzer_sys::fuzz_target;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag};
use serde_json::Value;
use serde_json::value::RawValue;

const KINDS: [&str; 4] = ["session", "message", "part", "part"];

fuzz_target!(|input: (u16, bool, Vec<(u8, &str)>)| {
    let (max_bytes, full, items) = input;
    let changes = items.iter().filter_map(|(kind, data)| {
        let data = match kind / 4 {
            0 => (*data).to_owned(),
            part => shaped(part, data),
        };
        let data = RawValue::from_string(data).ok()?;
        Change::from_item(KINDS[usize::from(kind % 4)], &data, "data[0]").ok()
    });
    let mut transcript = Transcript::default();
    transcript.apply(changes.collect(), Capacity::UNLIMITED).expect("nothing is too large");
    let items: Vec<_> = reading_order(transcript.items())
        .into_iter()
        .map(|(key, content)| (key.clone(), content.clone()))
        .collect();
    let whole = markdown(&items, &Markdown { full: true, ..Markdown::default() });
    let short =
        markdown(&items, &Markdown { full, max_bytes: Some(max_bytes.into()), ..Markdown::default() });
    assert!(whole.starts_with("# "));
    only_its_own_turns(&whole);
    // What is left out is said in a line, once for each long text.
    assert!(short.len() <= whole.len() + 100 * (items.len() + 1), "{} of {}", short.len(), whole.len());
    if !items.iter().any(|(_, content)| is_prose(content)) {
        only_its_own_markup(&whole);
    }
});

/// A part of a known type around a text: random bytes alone seldom find one.
fn shaped(part: u8, text: &str) -> String {
    let text = serde_json::Value::from(text);
    let rest = match part % 10 {
        0 => format!(r#""type":"text","text":{text}"#),
        1 => format!(r#""type":"reasoning","text":{text}"#),
        2 => format!(r#""type":"file","filename":{text},"mime":{text}"#),
        3 => format!(
            r#""type":"tool","tool":"bash","state":{{"status":"completed",
               "input":{{"command":{text}}},"output":{text}}}"#
        ),
        4 => format!(
            r#""type":"tool","tool":"edit","state":{{"status":"error","input":{{"filePath":{text}}},
               "metadata":{{"diff":{text}}},"error":{text}}}"#
        ),
        5 => format!(
            r#""type":"tool","tool":"write","state":{{"status":"completed",
               "input":{{"filePath":{text},"content":{text}}}}}"#
        ),
        6 => format!(
            r#""type":"tool","tool":"Edit","state":{{"input":{{"file_path":{text},
               "old_string":{text},"edits":[{{"new_string":{text}}}]}},"output":{text}}}"#
        ),
        7 => format!(r#""type":"tool","tool":"apply_patch","state":{{"input":{text},"output":{text}}}"#),
        8 => format!(
            r#""type":"tool","tool":"update_plan","state":{{
               "input":{{"plan":[{{"step":{text},"status":{text}}}]}}}}"#
        ),
        _ => format!(
            r#""type":"tool","tool":{text},"state":{{"input":{{"questions":[{{"question":{text},
               "options":[{text}]}}],"path":{text},"pattern":{text}}},"metadata":{{"answers":[{text}]}}}}"#
        ),
    };
    format!(r#"{{"id":"p{part}","messageID":"m","role":"user","title":{text},{rest}}}"#)
}

/// Whether a part is text that its author wrote as Markdown.
fn is_prose(content: &RawValue) -> bool {
    let part: Value = serde_json::from_str(content.get()).unwrap_or_default();
    match part["type"].as_str() {
        Some("text" | "reasoning") => true,
        Some("tool") => {
            let input = input(&part);
            matches!(Call::of(&part, &input).said, Said::Plan(_) | Said::Task { .. })
        }
        _ => false,
    }
}

/// Whatever stands in parts, there is one title, the headings of turns carry the document's mark, and nothing is HTML.
fn only_its_own_turns(text: &str) {
    let mark = text.split("Headings of turns end with `").nth(1).and_then(|rest| rest.split('`').next());
    let mark = mark.expect("the head says it");
    let mut titles = 0;
    for (event, range) in
        Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).into_offset_iter()
    {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => titles += 1,
            Event::Start(Tag::Heading { level: HeadingLevel::H2 | HeadingLevel::H3, .. }) => {
                assert!(text[range].trim_end().ends_with(mark), "{text:?}");
            }
            Event::Html(_) | Event::InlineHtml(_) => panic!("{event:?} in {text:?}"),
            _ => {}
        }
    }
    assert_eq!(titles, 1, "{text:?}");
}

/// Names, commands and outputs make no headings, links, pictures or HTML.
fn only_its_own_markup(text: &str) {
    let mut titles = 0;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => titles += 1,
            Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => {}
            Event::Start(
                Tag::Heading { .. }
                | Tag::Link { .. }
                | Tag::Image { .. }
                | Tag::HtmlBlock
                | Tag::Table(_)
                | Tag::BlockQuote(_),
            )
            | Event::Html(_)
            | Event::InlineHtml(_) => panic!("{event:?} in {text:?}"),
            _ => {}
        }
    }
    assert_eq!(titles, 1, "{text:?}");
}
