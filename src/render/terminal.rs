//! What a terminal would show of a program's output: the text, without what commands the terminal.

use std::iter::Peekable;
use std::str::Chars;

/// The text of an output. Escape sequences are dropped (colours, cursor movements, titles, links), a carriage return
/// starts its line anew, a backspace takes a character back, and other control characters but newline and tab are left
/// out.
pub(super) fn plain(output: &str) -> String {
    let mut text = String::with_capacity(output.len());
    // Where the line that is being written starts.
    let mut line = 0;
    let mut rest = output.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => skip_sequence(&mut rest),
            // The one-character forms of "ESC [" and of the strings that a terminator ends.
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\n' => {
                text.push('\n');
                line = text.len();
            }
            // Before the end of a line it is a part of that end; after it the line is written over.
            '\r' if matches!(rest.peek(), Some('\n' | '\r') | None) => {}
            '\r' => text.truncate(line),
            '\u{8}' if text.len() > line => {
                text.pop();
            }
            '\t' => text.push('\t'),
            _ if character.is_control() => {}
            _ => text.push(character),
        }
    }
    text
}

/// Skips what follows an escape character (ECMA-48, 5.3 to 5.6).
fn skip_sequence(rest: &mut Peekable<Chars>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_control_sequence(rest);
        }
        Some('P' | 'X' | ']' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        // Intermediate characters, then a final one.
        Some(' '..='~') => {
            while rest.next_if(|next| matches!(next, ' '..='/')).is_some() {}
            rest.next_if(|next| matches!(next, '0'..='~'));
        }
        _ => {}
    }
}

/// Skips parameters and the final character of a control sequence. Any other character is not a part of it.
fn skip_control_sequence(rest: &mut Peekable<Chars>) {
    while rest.next_if(|next| matches!(next, ' '..='?')).is_some() {}
    rest.next_if(|next| matches!(next, '@'..='~'));
}

/// Skips a command string (a title, a link) to its terminator. One that is not terminated ends with its line, so that a
/// broken one takes no more of the output along.
fn skip_string(rest: &mut Peekable<Chars>) {
    while let Some(&next) = rest.peek() {
        match next {
            '\n' => return,
            '\u{7}' | '\u{9c}' => {
                rest.next();
                return;
            }
            '\u{1b}' => {
                rest.next();
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {
                rest.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page reads terminals by the same vectors.
    #[test]
    fn outputs_are_read_as_a_terminal_shows_them() {
        let vectors = include_str!("../../tests/fixtures/terminal.json");
        let vectors: Vec<(String, String)> = serde_json::from_str(vectors).unwrap();
        for (output, shown) in vectors {
            assert_eq!(plain(&output), shown, "{output:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_commands_a_terminal_is_left(output in "[\u{1b}\u{9b}\u{9d}\\[\\]m0-9;\r\n\u{8}\u{7}a é]{0,80}") {
            let text = plain(&output);
            proptest::prop_assert!(text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
            proptest::prop_assert_eq!(text.matches('\n').count(), output.matches('\n').count());
            proptest::prop_assert_eq!(&plain(&text), &text);
        }
    }
}
