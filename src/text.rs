//! Text of strangers (a server, an agent, a share) for a terminal, a log or a model: one line, without what commands a
//! terminal or hides what stands there.

use std::fmt::Write;

/// The text with a space in the place of each character that is not to be shown: controls (ESC and its like), line and
/// paragraph separators, marks that turn the direction of writing (Unicode UAX #9), and invisible tags, in which text
/// can be hidden from people and not from models.
pub fn plain(text: &str) -> String {
    text.chars().map(|character| if is_shown(character) { character } else { ' ' }).collect()
}

/// JSON for a terminal: what is not to be shown is escaped, and means the same.
pub fn printable(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            // Between values these are white space, and in texts JSON has none of them.
            '\n' | '\r' | '\t' => shown.push(' '),
            character if is_shown(character) => shown.push(character),
            character => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown
}

fn is_shown(character: char) -> bool {
    let hidden = matches!(
        character,
        '\u{061c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{e0000}'..='\u{e007f}'
    );
    !character.is_control() && !hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_or_turns_the_direction_is_no_text() {
        assert_eq!(plain("a\u{1b}]0;pwned\u{7}b\nc\u{9b}d"), "a ]0;pwned b c d");
        assert_eq!(plain("exe\u{202e}txt\u{2066}\u{200f}\u{e0041}"), "exe txt   ");
        assert_eq!(plain("ses/\u{e4} \u{1f469}\u{200d}\u{1f4bb}"), "ses/\u{e4} \u{1f469}\u{200d}\u{1f4bb}");
    }

    #[test]
    fn json_for_a_terminal_means_what_it_did() {
        let json = "{\"a\":\n\"\u{9b}31m \u{202e}\u{e0041}\u{7f} \u{1f469}\"}";
        let shown = printable(json);
        assert_eq!(shown, "{\"a\": \"\\u009b31m \\u202e\\udb40\\udc41\\u007f \u{1f469}\"}");
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&shown), read(json));
    }

    proptest::proptest! {
        #[test]
        fn each_character_stays_or_becomes_a_space(text: String) {
            let plain = plain(&text);
            proptest::prop_assert_eq!(plain.chars().count(), text.chars().count());
            proptest::prop_assert!(plain.chars().all(is_shown));
        }
    }
}
