//! Values that are known to be secret: sought exactly, in the ways in which they are written, whole and in pieces.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::checks::{entropy, is_randomish};
use super::needles::Needles;

/// Characters of the shortest value that is sought: what is shorter stands everywhere.
const MIN_VALUE: usize = 8;

/// Characters in a row of a value that give it away. Outputs are cut, at either end.
const PIECE: usize = 12;

/// Characters of the shortest value of which pieces are sought.
const MIN_CUT: usize = 14;

/// Pieces sought, of all values together: the values after that are sought whole.
const MAX_PIECES: usize = 100_000;

/// A value that is known to be secret, and what a placeholder calls it.
#[derive(Clone, PartialEq, Eq)]
pub struct Known {
    kind: String,
    value: String,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Known {
    /// A variable's value, as of an environment or a `.env` file: `None` when nothing says that it is secret, neither
    /// its name nor its look.
    pub fn variable(name: &str, value: &str) -> Option<Self> {
        let secret = value.chars().count() >= MIN_VALUE
            && (sounds_secret(name) && is_no_word(value) || !is_everyday(name) && looks_secret(value));
        secret.then(|| Self { kind: kind_of_variable(name), value: value.to_owned() })
    }

    /// A value that somebody says is secret, by its name. `None` when it is too short to be sought.
    pub fn told(name: &str, value: &str) -> Option<Self> {
        let secret = value.chars().count() >= MIN_VALUE;
        secret.then(|| Self { kind: kind_of_variable(name), value: value.to_owned() })
    }

    /// The value.
    #[cfg(test)]
    pub(super) fn value(&self) -> &str {
        &self.value
    }

    /// What is secret by what it is: a token, a link's key. `None` when it is too short to be sought.
    pub fn secret(kind: &str, value: &str) -> Option<Self> {
        (value.chars().count() >= MIN_VALUE).then(|| Self { kind: plain_kind(kind), value: value.to_owned() })
    }
}

/// `DATABASE_URL` as `env-database-url`.
pub(super) fn kind_of_variable(name: &str) -> String {
    plain_kind(&format!("env-{name}"))
}

/// A name as a placeholder may have it: of `[a-z0-9-]{1,40}`.
fn plain_kind(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let plain: String = plain.take(super::MAX_KIND).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "secret".into() } else { plain.into() }
}

/// Whether the name of a field or a variable says that its value is secret.
pub(super) fn sounds_secret(name: &str) -> bool {
    const WORDS: [&str; 17] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "api_key",
        "api-key",
        "access_key",
        "accesskey",
        "private_key",
        "privatekey",
        "credential",
        "authorization",
        "cookie",
        "_dsn",
        "_pass",
    ];
    let lower = name.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
        || ["_key", "_pat", "_pwd", "_auth"].iter().any(|end| lower.ends_with(end))
        || ["database_url", "connection_string"].iter().any(|end| lower.ends_with(end))
}

/// Variables of every shell, whose values look odd and are none's secret.
fn is_everyday(name: &str) -> bool {
    const NAMES: [&str; 24] = [
        "TERM",
        "HOME",
        "PWD",
        "OLDPWD",
        "SHELL",
        "USER",
        "LOGNAME",
        "PATH",
        "HOSTNAME",
        "HOST",
        "EDITOR",
        "PAGER",
        "DISPLAY",
        "COLORTERM",
        "TZ",
        "SHLVL",
        "LANG",
        "LANGUAGE",
        "LS_COLORS",
        "MAIL",
        "WINDOWID",
        "PS1",
        "LESSOPEN",
        "MACHTYPE",
    ];
    const BEGINS: [&str; 12] = [
        "LC_",
        "XDG_",
        "SSH_",
        "DBUS_",
        "TERM_",
        "VTE_",
        "KITTY_",
        "CARGO_",
        "RUST",
        "npm_config_",
        "TMUX",
        "ITERM_",
    ];
    NAMES.contains(&name) || BEGINS.iter().any(|begin| name.starts_with(begin))
}

/// Not `true`, a number below 8 digits, a path or an address without a password.
fn is_no_word(value: &str) -> bool {
    let address = value.contains("://") && !value.contains('@');
    let path = value.starts_with(['/', '~']) || value.starts_with("./");
    let word = value.chars().all(char::is_alphabetic) && value.len() < 12;
    let host = value.contains('.')
        && value.split('.').all(|label| !label.is_empty() && !is_randomish(label.as_bytes()));
    !address && !path && !word && !host && entropy(value.as_bytes()) > 2.0
}

fn looks_secret(value: &str) -> bool {
    let with_password = value.split_once("://").is_some_and(|(_, rest)| {
        rest.split_once('@').is_some_and(|(user, _)| user.contains(':') && !user.contains('/'))
    });
    with_password
        || (is_no_word(value)
            && !value.contains(['/', ':'])
            && value.len() >= PIECE
            && value.chars().filter(|c| c.is_whitespace()).count() < 4
            && value.split(' ').any(|word| is_randomish(word.as_bytes()) || is_serial(word)))
}

/// Groups of large letters and digits: a licence.
fn is_serial(word: &str) -> bool {
    let groups = word.split('-').filter(|group| {
        group.len() > 3 && group.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    });
    groups.count() > 1 && word.bytes().any(|byte| byte.is_ascii_digit())
}

/// Known values, ready to be sought. Building takes some milliseconds for a hundred of them: once for a set.
pub struct KnownValues {
    values: Vec<Known>,
    /// All writings, and which value each is of
    whole: Needles<MIN_VALUE>,
    whole_of: Vec<usize>,
    /// All pieces, and of which value and which of its bytes each begins at
    pieces: Needles<PIECE>,
    piece_of: Vec<(usize, usize)>,
}

impl fmt::Debug for KnownValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} known values", self.values.len())
    }
}

/// A place where a known value stands.
pub(super) struct Match<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: &'a str,
    pub(super) value: &'a str,
}

impl KnownValues {
    /// Each value once; the first says what it is called.
    pub fn new(values: impl IntoIterator<Item = Known>) -> Self {
        let mut seen = HashSet::new();
        let values: Vec<_> = values.into_iter().filter(|known| seen.insert(known.value.clone())).collect();
        let (mut writings, mut whole_of) = (Vec::new(), Vec::new());
        let (mut pieces, mut piece_of) = (Vec::new(), Vec::new());
        for (nth, known) in values.iter().enumerate() {
            for writing in writings_of(&known.value) {
                writings.push(writing);
                whole_of.push(nth);
            }
            if known.value.chars().count() >= MIN_CUT && pieces.len() < MAX_PIECES {
                for (at, piece) in pieces_of(&known.value) {
                    pieces.push(piece);
                    piece_of.push((nth, at));
                }
            }
        }
        Self { whole: Needles::new(&writings), whole_of, pieces: Needles::new(&pieces), piece_of, values }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Where values stand in a text, in their order within whole ones and within pieces.
    pub(super) fn matches<'a>(&'a self, text: &[u8]) -> Vec<Match<'a>> {
        let mut matches = Vec::new();
        let found = |start, end, nth: usize| {
            let Known { kind, value } = &self.values[nth];
            Match { start, end, kind, value }
        };
        let mut from = 0;
        while let Some((start, end, nth)) = self.whole.find(text, from) {
            matches.push(found(start, end, self.whole_of[nth]));
            from = end;
        }
        from = 0;
        while let Some((start, end, nth)) = self.pieces.find(text, from) {
            let (nth, at) = self.piece_of[nth];
            let value = self.values[nth].value.as_bytes();
            let same = |(a, b): &(&u8, &u8)| a == b;
            let (before, behind) = (&text[from..start], &text[end..]);
            let left = before.iter().rev().zip(value[..at].iter().rev()).take_while(same).count();
            let rest = &value[at + (end - start)..];
            let right = behind.iter().zip(rest).take_while(same).count();
            matches.push(found(start - left, end + right, nth));
            from = end + right;
        }
        matches
    }

    /// Where the end of a text begins that is the begin of a value of several words: the text's length when there is
    /// none.
    pub(super) fn begun_at_end(&self, text: &str) -> usize {
        let words =
            self.values.iter().map(|known| &*known.value).filter(|value| value.contains(char::is_whitespace));
        let begun = words.filter_map(|value| {
            let lengths =
                value.char_indices().map(|(at, _)| at).skip(1).filter(|length| *length <= text.len());
            lengths.filter(|length| text.as_bytes().ends_with(&value.as_bytes()[..*length])).max()
        });
        text.len() - begun.max().unwrap_or(0)
    }
}

/// A value as it is, in JSON, percent-encoded, and in base64 at each of three offsets, without the characters that it
/// shares with its neighbours.
fn writings_of(value: &str) -> Vec<String> {
    let mut writings = vec![value.to_owned()];
    let mut add = |writing: String| {
        if writing.len() >= MIN_VALUE && !writings.contains(&writing) {
            writings.push(writing);
        }
    };
    let json = serde_json::Value::from(value).to_string();
    add(json[1..json.len() - 1].to_owned());
    let mut percent = String::new();
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' => {
                percent.push(char::from(byte));
            }
            _ => write!(percent, "%{byte:02X}").unwrap_or_default(),
        }
    }
    add(percent);
    for offset in 0..3 {
        let bytes = [&[0; 2][..offset], value.as_bytes()].concat();
        let shared = [0, 2, 3][offset];
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            let end = encoded.len() - usize::from(bytes.len() % 3 != 0);
            add(encoded[shared..end].to_owned());
        }
    }
    writings
}

/// The pieces of what is secret of a value: of an address the password, of a token what stands behind its prefix.
fn pieces_of(value: &str) -> impl Iterator<Item = (usize, &str)> {
    let secret = secret_part(value);
    let places: Vec<_> =
        value.char_indices().map(|(at, _)| at).filter(|at| secret.contains(at)).chain([secret.end]).collect();
    let cuts: Vec<_> = places.windows(PIECE + 1).map(|cut| (cut[0], &value[cut[0]..cut[PIECE]])).collect();
    cuts.into_iter()
}

fn secret_part(value: &str) -> std::ops::Range<usize> {
    let password = value.find("://").and_then(|scheme| {
        let user = scheme + 3;
        let end = user + value[user..].find('@')?;
        let colon = user + value[user..end].find(':')?;
        Some(colon + 1..end)
    });
    if let Some(password) = password {
        return password;
    }
    if value.starts_with("eyJ") {
        return value.rfind('.').map_or(0, |dot| dot + 1)..value.len();
    }
    // `-----BEGIN …-----` and what follows it is the same in many.
    if let Some(head) = value.strip_prefix("-----BEGIN ").and_then(|rest| rest.find("-----\n")) {
        return (11 + head + 70).min(value.len())..value.len();
    }
    let prefix = value.bytes().take(16).rposition_of(|byte| byte == b'_' || byte == b'-');
    let is_prefix = |end: &usize| {
        value[..*end].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            && !value[..*end].bytes().any(|byte| byte.is_ascii_uppercase())
            && value.len() - end > 2 * PIECE
    };
    prefix.filter(is_prefix).map_or(0, |end| end + 1)..value.len()
}

trait LastPosition: Iterator<Item = u8> + Sized {
    fn rposition_of(self, is: impl Fn(u8) -> bool) -> Option<usize> {
        self.enumerate().filter(|(_, byte)| is(*byte)).last().map(|(at, _)| at)
    }
}

impl<I: Iterator<Item = u8>> LastPosition for I {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_counts_by_its_name_or_its_look() {
        for (name, value) in [
            ("DB_PASSWORD", "correct-horse"),
            ("PIN_CODE_SECRET", "3103246967"),
            ("LICENSE", "Q7R2-AHFK-5717"),
            ("DATABASE_URL", "postgres://app:hunter22@db/app"),
            ("X", "a7Gh29fKq1Lm"),
            ("NPM_TOKEN", "npm_a1b2c3d4"),
        ] {
            assert!(Known::variable(name, value).is_some(), "{name}");
        }
        for (name, value) in [
            ("TERM", "xterm-256color"),
            ("PATH", "/usr/bin:/bin"),
            ("API_KEY", "true"),
            ("TOKEN_URL", "https://example.org"),
            ("SECRET_FILE", "/run/secrets/a"),
            ("MAX_TOKENS", "4096"),
            ("LANG", "en_US.UTF-8"),
            ("PASSWORD", "short"),
            ("GREETING", "hello there world"),
            ("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 22"),
            ("TOKEN_HOST", "api.example.org"),
        ] {
            assert!(Known::variable(name, value).is_none(), "{name}");
        }
        assert_eq!(Known::secret("Relay: token", "0123456789").unwrap().kind, "relay--token");
        assert!(!format!("{:?}", Known::secret("a", "0123456789")).contains("0123"));
    }

    #[test]
    fn pieces_are_of_what_is_secret() {
        let known = |value: &str| KnownValues::new([Known::secret("k", value).unwrap()]);
        let found = |known: &KnownValues, text: &str| {
            known
                .matches(text.as_bytes())
                .iter()
                .map(|found| text[found.start..found.end].to_owned())
                .collect::<Vec<_>>()
        };
        let url = known("postgres://app:70AYS6mud244gzv0@db.internal:5432/app");
        assert_eq!(found(&url, "see postgres://app:other@db.internal:5432"), [""; 0]);
        assert_eq!(found(&url, "…://app:70AYS6mud244gzv0@db.int, cut"), ["://app:70AYS6mud244gzv0@db.int"]);
        let words = known("three words D70HDU");
        assert_eq!(words.begun_at_end("see three wor"), 4);
        assert_eq!(words.begun_at_end("nothing"), 7);
    }
}
