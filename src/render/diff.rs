//! Changes of files as unified diffs, in a time that grows no faster than their texts.

use std::borrow::Cow;
use std::fmt::Write;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput};

use crate::model::tools::{Change, How};

/// Lines of two texts up to which it is found out what they have in common. Beyond, all of the one goes and all of the
/// other comes.
const MAX_LINES: usize = 20_000;

/// Lines that are shown around what differs.
const CONTEXT: u32 = 3;

/// A change as a unified diff. Heads of hunks say `?` where nobody knows at which line of its file a text stands.
pub(super) fn unified<'a>(change: &'a Change) -> Cow<'a, str> {
    let mut text = String::new();
    let heads = |text: &mut String| {
        let name = change.file.replace('\n', " ");
        let _ = write!(text, "--- {name}\n+++ {name}\n");
    };
    match &change.how {
        How::Patch(patch) => return Cow::Borrowed(patch),
        How::Content(content) => {
            heads(&mut text);
            let _ = writeln!(text, "@@ -0,0 +1,{} @@", content.split_terminator('\n').count());
            signed(&mut text, '+', content.split_terminator('\n'));
        }
        How::Edits(edits) => {
            heads(&mut text);
            for (before, after) in edits {
                hunks(&mut text, before, after);
            }
        }
    }
    Cow::Owned(text)
}

/// Writes the hunks that lead from one text to another.
fn hunks(text: &mut String, before: &str, after: &str) {
    // Lines without their ends: that the last has none is no difference to a reader.
    let (older, newer) = (before.split_terminator('\n'), after.split_terminator('\n'));
    let (old, new) = (older.clone().count(), newer.clone().count());
    let mut input = InternedInput::default();
    let mut found = Vec::new();
    if old + new <= MAX_LINES {
        input.update_before(older.clone());
        input.update_after(newer.clone());
        // Myers', with git's heuristics, for its time is linear in practice. That of the other (histogram) is quadratic
        // where every second line is the same.
        let mut diff = Diff::compute(Algorithm::Myers, &input);
        diff.postprocess_lines(&input);
        found = grouped(diff.hunks());
    }
    if found.is_empty() {
        let _ = writeln!(text, "@@ -?,{old} +?,{new} @@");
        signed(text, '-', older);
        signed(text, '+', newer);
    }
    for group in found {
        write_group(text, &input, &group);
    }
}

/// Hunks that stand so near to each other that their context is one.
fn grouped(hunks: impl Iterator<Item = Hunk>) -> Vec<Vec<Hunk>> {
    let mut groups: Vec<Vec<Hunk>> = Vec::new();
    for hunk in hunks {
        match groups.last_mut() {
            Some(group)
                if group.last().is_some_and(|last| hunk.before.start <= last.before.end + 2 * CONTEXT) =>
            {
                group.push(hunk);
            }
            _ => groups.push(vec![hunk]),
        }
    }
    groups
}

fn write_group(text: &mut String, input: &InternedInput<&str>, group: &[Hunk]) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let count = |tokens: &[_]| u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let lead = first.before.start.min(CONTEXT);
    let trail = (count(&input.before) - last.before.end).min(CONTEXT);
    let start = first.before.start - lead;
    let old = last.before.end + trail - start;
    let new = last.after.end + trail - (first.after.start - lead);
    let _ = writeln!(text, "@@ -?,{old} +?,{new} @@");
    let lines = |tokens: &[imara_diff::Token], range: std::ops::Range<u32>| {
        let tokens = tokens[range.start as usize..range.end as usize].to_vec();
        tokens.into_iter().map(|token| input.interner[token])
    };
    let mut at = start;
    for Hunk { before, after } in group {
        signed(text, ' ', lines(&input.before, at..before.start));
        signed(text, '-', lines(&input.before, before.clone()));
        signed(text, '+', lines(&input.after, after.clone()));
        at = before.end;
    }
    signed(text, ' ', lines(&input.before, at..at + trail));
}

fn signed<'a>(text: &mut String, sign: char, lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        text.push(sign);
        text.push_str(line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::processor_time;

    fn diff(edits: &[(&str, &str)]) -> String {
        let change = Change { file: "x".into(), how: How::Edits(edits.to_vec()) };
        unified(&change).into_owned()
    }

    #[test]
    fn old_and_new_text_are_a_diff_whose_place_nobody_knows() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n";
        let after = before.replace("b\n", "B\n").replace("k\n", "k\nK\n");
        assert_eq!(
            diff(&[(before, &after), ("gone", ""), ("end", "end\nmore")]),
            "--- x\n+++ x\n@@ -?,5 +?,5 @@\n a\n-b\n+B\n c\n d\n e\n@@ -?,4 +?,5 @@\n i\n j\n k\n+K\n l\n\
             @@ -?,1 +?,0 @@\n-gone\n@@ -?,1 +?,2 @@\n end\n+more\n"
        );
        assert_eq!(diff(&[("a", "a\n")]), "--- x\n+++ x\n@@ -?,1 +?,1 @@\n-a\n+a\n");
    }

    #[test]
    fn a_file_that_is_written_is_all_added() {
        let change = Change { file: "a\n+++ b".into(), how: How::Content("one\ntwo") };
        assert_eq!(unified(&change), "--- a +++ b\n+++ a +++ b\n@@ -0,0 +1,2 @@\n+one\n+two\n");
    }

    #[test]
    fn texts_of_which_much_differs_cost_little() {
        let lines = |word: &str, count: usize| {
            (0..count).map(|at| format!("{word} {at}\n")).collect::<Vec<_>>().concat()
        };
        let begun = processor_time();
        let shuffled = |step: usize| {
            (0..9_000).map(|at| format!("{}\n", at * step % 9_001)).collect::<Vec<_>>().concat()
        };
        for (before, after) in [
            (lines("a", 9_000), lines("b", 9_000)),
            (lines("a", 200_000), lines("b", 200_000)),
            (lines("same\na", 4_500), lines("same\nb", 4_500)),
            (shuffled(1), shuffled(4_001)),
            ("x\ny\n".repeat(4_500), "y\nz\nx\n".repeat(3_000)),
        ] {
            let text = diff(&[(&before, &after)]);
            assert!(text.len() <= before.len() + after.len() + text.lines().count() * 32);
        }
        let took = processor_time().saturating_sub(begun);
        assert!(took < Duration::from_secs(10), "{took:?}");
    }

    proptest::proptest! {
        #[test]
        fn a_diff_holds_both_texts_where_they_differ(before in "[ab\n]{0,40}", after in "[ab\n]{0,40}") {
            let text = diff(&[(&before, &after)]);
            let lines = text.lines().skip(2);
            let balance = |sign| lines.clone().filter(|line| line.starts_with(sign)).count();
            let count = |text: &str| text.split_terminator('\n').count();
            proptest::prop_assert_eq!(count(&before) + balance('+'), count(&after) + balance('-'));
        }
    }
}
