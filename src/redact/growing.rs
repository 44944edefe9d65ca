//! How much of a text that still grows may be shown: a secret is not to be seen while it is being written.

use super::known::KnownValues;
use super::rules::Rules;
use super::scan::MAX_BLOCK;

/// Bytes of a last word that wait at most.
const MAX_WAITING: usize = 4 << 10;

/// Bytes before the last word in which a keyword makes it wait when nothing comes any more.
const BEFORE: usize = 64;

/// What may be shown of a text that still grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Growing {
    /// All: nothing more will come
    #[default]
    Done,
    /// All but the last word and what is begun of a key
    Grows,
    /// All for which nothing says that a secret is in it: nothing has come for a while
    Pauses,
}

/// Bytes of an unfinished text that may be shown.
pub(super) fn ready(
    text: &str,
    growing: Growing,
    whole_lines: bool,
    rules: &Rules,
    known: &[&KnownValues],
) -> usize {
    if growing == Growing::Done {
        return text.len();
    }
    let ends_word = |c: char| if whole_lines { c == '\n' } else { c.is_whitespace() };
    let word_before = |end: usize| {
        text[..end].rfind(ends_word).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))
    };
    let word = word_before(text.len());
    let phrase = known.iter().map(|values| values.begun_at_end(text)).min().unwrap_or(text.len());
    let waiting = word.min(phrase).max(floor(text, text.len().saturating_sub(MAX_WAITING)));
    let at_rest = growing == Growing::Pauses && open_block(text) == text.len() && phrase == text.len() && {
        let near = &text[floor(text, waiting.saturating_sub(BEFORE))..];
        let run = near
            .bytes()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte))
            .count();
        !whole_lines && !rules.has_keyword(near) && !rules.begins_at_end(near.as_bytes()) && run < 24
    };
    if at_rest {
        return text.len();
    }
    match open_block(&text[..waiting]) {
        // A key may begin within a word, and make one finding with what stands before it there.
        block if block < waiting => word_before(block),
        _ => waiting,
    }
}

/// Where a private key begins that has no end yet, or what may become the head of one.
fn open_block(text: &str) -> usize {
    let window = floor(text, text.len().saturating_sub(MAX_BLOCK + 128));
    let rest = &text[window..];
    // What stands before the last END is closed, or will not be any more.
    let mut ends = rest.rmatch_indices("-----END").map(|(at, _)| at + 8);
    let closed = ends.find_map(|end| rest[end..].find("-----").map(|at| end + at + 5)).unwrap_or(0);
    let begins = rest[closed..].match_indices("-----BEGIN").map(|(at, _)| closed + at);
    let pem = begins.filter(|begin| rest.len() - begin < MAX_BLOCK).find(|begin| {
        let head = &rest[begin + 10..];
        head.find("-----").map_or(head.len() < 70, |end| head[..end].contains("PRIVATE KEY"))
    });
    let putty = rest.rfind("Private-Lines:").filter(|begin| {
        let block = &rest[*begin..];
        let lines = block[14..].split_whitespace().next().and_then(|count| count.parse::<usize>().ok());
        block.len() < MAX_BLOCK && block.matches('\n').count() <= lines.unwrap_or(0)
    });
    window + pem.unwrap_or(rest.len()).min(putty.unwrap_or(rest.len()))
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Level;

    #[test]
    fn the_last_word_waits_and_so_does_an_open_key() {
        let rules = Rules::new(Level::Normal, &[], false).unwrap();
        let shown = |text: &'static str, growing| &text[..ready(text, growing, false, &rules, &[])];
        assert_eq!(shown("one two thr", Growing::Grows), "one two ");
        assert_eq!(shown("one two thr", Growing::Pauses), "one two thr");
        assert_eq!(shown("one two thr", Growing::Done), "one two thr");
        for held in ["the key sk-ant-a", "the password is swordf", "it is s3cr3tTok", "x A"] {
            assert!(shown(held, Growing::Pauses).len() < held.len() || held == "x A", "{held}");
        }
        let key = "see -----BEGIN PRIVATE KEY-----\nMIIE and more\n";
        assert_eq!((shown(key, Growing::Grows), shown(key, Growing::Pauses)), ("see ", "see "));
        assert_eq!(shown("see -----BEGIN RSA PRI", Growing::Grows), "see ");
        let public = "see -----BEGIN PUBLIC KEY-----\nMIIE and more\n";
        assert_eq!(shown(public, Growing::Grows), public);
        let long = "x".repeat(10_000);
        assert_eq!(ready(&long, Growing::Grows, false, &rules, &[]), 10_000 - MAX_WAITING);
        assert_eq!(ready("A=b c\nD=e f", Growing::Grows, true, &rules, &[]), 6);
    }
}
