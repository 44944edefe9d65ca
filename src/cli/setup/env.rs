//! Changes of a file with a `NAME=VALUE` on each line, as systemd reads it.

/// The text with these variables set. Lines that set them are replaced, in their place.
pub(super) fn put(text: &str, variables: &[(&str, String)]) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    variables.iter().fold(text.to_owned(), |text, (name, value)| {
        let line = format!("{name}={value}");
        if sets(&text, name) == [line.as_str()] {
            return text;
        }
        let (mut changed, mut is_there) = (String::new(), false);
        for old in text.split_inclusive('\n') {
            if sets(old, name).is_empty() {
                changed += old;
            } else if !is_there {
                is_there = true;
                changed += &line;
                changed += &old[old.trim_end_matches(['\r', '\n']).len()..];
            }
        }
        if !is_there {
            if !changed.is_empty() && !changed.ends_with('\n') {
                changed += end;
            }
            changed += &line;
            changed += end;
        }
        changed
    })
}

/// The text without what `put` brought, where it still stands; what it replaced is as in `before` again.
pub(super) fn take_out(text: &str, variables: &[(&str, String)], before: Option<&str>) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| {
        let ours = format!("{name}={value}");
        let earlier = before.and_then(|before| sets(before, name).pop().map(ToOwned::to_owned));
        let lines = text.split_inclusive('\n').filter_map(|line| {
            let content = line.trim_end_matches(['\r', '\n']);
            if content != ours {
                return Some(line.to_owned());
            }
            earlier.as_ref().map(|earlier| format!("{earlier}{}", &line[content.len()..]))
        });
        lines.collect()
    })
}

/// The lines that set a variable.
fn sets<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let sets = |line: &&str| {
        line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().filter(sets).collect()
}
