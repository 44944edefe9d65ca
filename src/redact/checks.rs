//! What a value that a rule found must be beside, for words, code and examples not to be taken for secrets.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Base64 as people write it: with padding or without, and cut anywhere.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// A demand on a value, or on what stands before its keyword.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Check {
    /// Bits a byte, by Shannon
    Entropy(f64),
    /// A digit
    Digit,
    /// Small and large letters and digits
    Mixed,
    /// Nothing that stands for a value
    NotPlaceholder,
    /// The same, but made-up digits and letters in their order may stand in it
    NotStandIn,
    /// No documentation's example
    NotExample,
    /// No expression of a program
    NotCode,
    /// A word that nobody would say
    Randomish,
    /// A checksum of GitHub or npm, or at least three bits a byte
    Crc62,
    /// The head of a JSON Web Token
    Jwt,
    /// Base64 of `name:password`
    B64Colon,
    /// Discord's id, in base64
    Snowflake,
    /// What a variable would hold
    EnvValue,
    /// The keyword ends the name of a variable
    Variable,
    /// The keyword ends a name of two words
    Compound,
    /// The keyword's name begins its line
    Line,
    /// The keyword's name is a parameter of an address
    Query,
    /// The keyword begins a word
    Option,
    /// The keyword stands in no line of base64
    Alone,
    /// Where a sign has spaces beside it, a word that nobody would say: it may be a program's constant
    Spaced,
    /// A sign or a space stands before it, or it is longer than what names are made of
    Joined,
    /// Letters and digits or signs, as of a password
    Password,
}

/// Where a value and its keyword stand.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) text: &'a [u8],
    /// Where the keyword begins
    pub(super) keyword: usize,
    pub(super) value: &'a [u8],
}

impl Check {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "digit" => Self::Digit,
            "mixed" => Self::Mixed,
            "notplaceholder" => Self::NotPlaceholder,
            "notstandin" => Self::NotStandIn,
            "notexample" => Self::NotExample,
            "notcode" => Self::NotCode,
            "randomish" => Self::Randomish,
            "crc62" => Self::Crc62,
            "jwt" => Self::Jwt,
            "b64colon" => Self::B64Colon,
            "snowflake" => Self::Snowflake,
            "envval" => Self::EnvValue,
            "variable" => Self::Variable,
            "compound" => Self::Compound,
            "line" => Self::Line,
            "query" => Self::Query,
            "alone" => Self::Alone,
            "option" => Self::Option,
            "spaced" => Self::Spaced,
            "joined" => Self::Joined,
            "password" => Self::Password,
            _ => Self::Entropy(name.strip_prefix("entropy:")?.parse().ok()?),
        })
    }

    /// Whether it says something of the place alone, whatever the value is.
    pub(super) fn is_of_place(self) -> bool {
        matches!(
            self,
            Self::Variable | Self::Compound | Self::Line | Self::Query | Self::Option | Self::Alone
        )
    }

    pub(super) fn passes(self, Place { text, keyword, value }: Place) -> bool {
        match self {
            Self::Entropy(bits) => entropy(value) >= bits,
            Self::Digit => value.iter().any(u8::is_ascii_digit),
            Self::Mixed => {
                let has = |is: fn(&u8) -> bool| value.iter().any(is);
                has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
            }
            Self::NotPlaceholder => !stands_for_a_value(value) && !has_run(value),
            Self::NotStandIn => !stands_for_a_value(value),
            Self::NotExample => !contains(value, b"EXAMPLE"),
            Self::NotCode => !is_code(value),
            Self::Randomish => is_randomish(value),
            Self::Crc62 => crc62(value) || entropy(value) >= 3.0,
            Self::Jwt => {
                let head = value.split(|byte| *byte == b'.').next().unwrap_or_default();
                decoded(head).is_some_and(|head| contains(&head, br#""alg""#))
            }
            Self::B64Colon => decoded(value).is_some_and(|pair| {
                pair.contains(&b':') && pair.iter().all(|byte| (b' '..0x7f).contains(byte))
            }),
            Self::Snowflake => {
                let id = value.split(|byte| *byte == b'.').next().unwrap_or_default();
                decoded(id).is_some_and(|id| id.len() >= 15 && id.iter().all(u8::is_ascii_digit))
            }
            Self::EnvValue => !is_plain_value(value),
            Self::Variable => is_variable(text, keyword),
            Self::Compound => is_compound(&text[..keyword]),
            Self::Line => begins_line(&text[..keyword]),
            Self::Query => is_parameter(&text[..keyword]),
            Self::Alone => {
                !matches!(text[..keyword], [.., before, b'+' | b'/'] if before.is_ascii_alphanumeric())
            }
            Self::Option => !text[..keyword].last().is_some_and(u8::is_ascii_alphanumeric),
            Self::Spaced => !has_spaces(&text[keyword..]) || is_randomish(value),
            Self::Joined => value.len() >= 24 || !is_joined(&text[keyword..], value),
            Self::Password => {
                value.iter().any(u8::is_ascii_alphabetic)
                    && value.iter().any(|byte| byte.is_ascii_digit() || b"!@#$%^&*?".contains(byte))
            }
        }
    }
}

/// Bits a byte, by Shannon.
pub(super) fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    #[allow(clippy::cast_precision_loss)] // Values are short.
    let total = value.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let part = f64::from(*count) / total;
            -part * part.log2()
        })
        .sum()
}

/// Base64 of either alphabet, with padding or without.
pub(super) fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    // One character alone says less than a byte.
    let whole = if text.len() % 4 == 1 { &text[..text.len() - 1] } else { text };
    if url_safe { URL_SAFE.decode(whole).ok() } else { STANDARD.decode(whole).ok() }
}

/// Whether the last six characters of a token of GitHub's or npm's are the CRC-32 of the thirty before, in base 62.
pub(super) fn crc62(token: &[u8]) -> bool {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some((_, body)) = token.split_at_checked(4).filter(|(_, body)| body.len() == 36) else {
        return false;
    };
    let (random, checksum) = body.split_at(30);
    let mut rest = crc32(random);
    checksum.iter().rev().all(|digit| {
        let expected = DIGITS[(rest % 62) as usize];
        rest /= 62;
        *digit == expected
    })
}

/// The CRC-32 of zip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// Words of examples, anywhere in a value.
const EXAMPLES: [&[u8]; 17] = [
    b"your",
    b"example",
    b"changeme",
    b"change-me",
    b"change_me",
    b"placeholder",
    b"xxxx",
    b"dummy",
    b"redacted",
    b"insert",
    b"replace",
    b"mytoken",
    b"****",
    b"....",
    b"<",
    b"{{",
    b"${",
];

/// What documents write in the place of a value.
const STAND_INS: [&[u8]; 16] = [
    b"pass",
    b"password",
    b"passwd",
    b"pwd",
    b"secret",
    b"token",
    b"key",
    b"user",
    b"none",
    b"null",
    b"undefined",
    b"true",
    b"false",
    b"test",
    b"invalid",
    b"hunter2",
];

/// What is typed where anything would do.
const RUNS: [&[u8]; 2] = [b"1234567", b"abcdef"];

fn has_run(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    RUNS.iter().any(|run| contains(&lower, run))
}

fn stands_for_a_value(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    STAND_INS.contains(&&*lower)
        || EXAMPLES.iter().any(|word| contains(&lower, word))
        || matches!(value, [b'$' | b'%' | b'[', ..] | [.., b'%'])
        || value.iter().all(|byte| *byte == value[0])
}

/// Whether a value is an expression: a name, a call, a path, an address without a password.
fn is_code(value: &[u8]) -> bool {
    const SIGNS: [&[u8]; 12] = [
        b"(",
        b"::",
        b"->",
        b"process.env",
        b"environ",
        b"self.",
        b"this.",
        b"://",
        b"=>",
        b"[\"",
        b"a-z",
        b"A-Z",
    ];
    let is_path = value.starts_with(b"/") && value[1..].contains(&b'/') && words(value)
        || value.starts_with(b"./")
        || value.starts_with(b"--")
        || value.starts_with(b"~/");
    SIGNS.iter().any(|sign| contains(value, sign)) || is_path || is_name(value) || is_versioned_name(value)
}

/// A long name of a type with its version: `V1LocalObjectReference`.
fn is_versioned_name(value: &[u8]) -> bool {
    let mut digits = value.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit());
    let (first, others) = (digits.next(), digits.count());
    first.is_some_and(|(at, _)| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'[' | b']' | b'.');
        let behind = value.get(at + 1).is_some_and(u8::is_ascii_uppercase);
        others == 0
            && behind
            && value.len() >= 16
            && value.iter().all(plain)
            && case_changes(value) * 4 <= value.len()
    })
}

/// A name of a program: letters, `_` and single dots, with digits only at its end.
fn is_name(value: &[u8]) -> bool {
    let stem = value.strip_suffix(b";").or_else(|| value.strip_suffix(b",")).unwrap_or(value);
    let digits = stem.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let stem = &stem[..stem.len() - digits];
    digits <= 2
        && stem
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'-' | b'[' | b']'))
        && (digits == 0 || stem.len() > 8)
        && case_changes(stem) < 7
}

/// Whether a path's pieces are words.
fn words(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').all(|piece| !is_randomish(piece))
}

/// From small to large letters, and from two large ones to a small one.
fn case_changes(word: &[u8]) -> usize {
    word.windows(2).filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count()
}

/// Whether a value has a word that nobody would say: digits in the midst of letters, or signs between both.
pub(super) fn is_randomish(value: &[u8]) -> bool {
    let turns = |word: &[u8]| {
        word.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count()
    };
    let odd_word = value.split(|byte| !byte.is_ascii_alphanumeric()).any(|word| {
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        match word.len() {
            0..4 => false,
            4..8 => turns(word) > 2 || turns(word) == 2 && digits > 1 && !word.is_empty() && word.len() > 5,
            8..12 => turns(word) > 1,
            12..20 => turns(word) > 1 || case_changes(word) > 4,
            _ => turns(word) > 0 || case_changes(word) > 5,
        }
    });
    let signs = value.iter().filter(|byte| b"!@#$%^&*+~?".contains(byte)).count();
    let mixed = value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic);
    odd_word || (signs > 0 && mixed && value.len() >= 8)
}

/// A switch, a number, a path or words: no secret, whatever the variable's name is.
fn is_plain_value(value: &[u8]) -> bool {
    let number = value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b',' | b';'));
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let path = matches!(value, [b'/' | b'.' | b'~', ..]) && words(value);
    let word = value.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_uppercase());
    (number && digits < 8) || is_literal(value) || path || word || entropy(value) < 2.3
}

/// A number as programs write it: `0x8004101f`, `-128i32`.
fn is_literal(value: &[u8]) -> bool {
    let value = value.strip_suffix(b",").or_else(|| value.strip_suffix(b";")).unwrap_or(value);
    let value = value.strip_prefix(b"-").unwrap_or(value);
    if let Some(digits) = value.strip_prefix(b"0x") {
        return digits.len() <= 17 && digits.iter().all(|digit| digit.is_ascii_hexdigit() || *digit == b'_');
    }
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kinds: [&[u8]; 14] = [
        b"u8", b"u16", b"u32", b"u64", b"u128", b"usize", b"i8", b"i16", b"i32", b"i64", b"i128", b"isize",
        b"UL", b"L",
    ];
    digits > 0 && kinds.contains(&&value[digits..])
}

/// Whether a value near the begin of a text is one name with what stands before it: of a pod, of a branch.
fn is_joined(text: &[u8], value: &[u8]) -> bool {
    let head = &text[..text.len().min(128)];
    memchr::memmem::find(head, value).is_none_or(|at| matches!(head[..at], [.., b'-' | b'_']))
}

/// Whether the first `=` of a text has a space beside it.
fn has_spaces(text: &[u8]) -> bool {
    let sign = memchr::memchr(b'=', text).unwrap_or_default();
    [sign.wrapping_sub(1), sign + 1].iter().any(|at| text.get(*at).is_some_and(u8::is_ascii_whitespace))
}

fn is_variable(text: &[u8], keyword: usize) -> bool {
    let before = &text[keyword.saturating_sub(64)..keyword];
    let name = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'_');
    let name = &before[before.len() - name.count()..];
    let begin = keyword - name.len();
    // `KEY` alone says nothing: `API_KEY`, `APIKEY`, `AUTHKEY` do.
    let is_key = text[keyword..].starts_with(b"KEY");
    if is_key && ![&b"_"[..], b"API", b"AUTH", b"ACCESS"].iter().any(|word| name.ends_with(word)) {
        return false;
    }
    match begin.checked_sub(1).map(|at| text[at]) {
        None => true,
        Some(byte) if byte.is_ascii_alphanumeric() => super::scan::ends_escape(text, begin),
        Some(byte) => !matches!(byte, b'$' | b'.' | b'{' | b'%' | b'_'),
    }
}

fn is_compound(before: &[u8]) -> bool {
    let tail = before[before.len().saturating_sub(10)..].to_ascii_lowercase();
    // `Sec-WebSocket-Key` keeps nothing secret.
    !tail.ends_with(b"websocket-")
        && [&b"_"[..], b"-", b"api", b"access", b"auth", b"client", b"private", b"secret"]
            .iter()
            .any(|word| tail.ends_with(word))
}

fn begins_line(before: &[u8]) -> bool {
    let window = &before[before.len().saturating_sub(72)..];
    let name =
        window.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte)).count();
    let mut rest = &window[..window.len() - name];
    if rest.ends_with(b"\\") {
        // The name's first letter is of an escape: `\n`.
        return name > 0 && before[before.len() - name] == b'n';
    }
    let mut prefix = 0;
    while let [head @ .., byte] = rest {
        match byte {
            b'\n' => return true,
            b' ' | b'\t' | b'\r' | b'>' | b'+' | b'|' | b'\'' | b'"' | b':' | b'-' | b'0'..=b'9'
                if prefix < 24 =>
            {
                prefix += 1;
                rest = head;
            }
            b'n' if head.ends_with(b"\\") => return true,
            _ => return false,
        }
    }
    window.len() == before.len()
}

fn is_parameter(before: &[u8]) -> bool {
    let window = &before[before.len().saturating_sub(24)..];
    let name =
        window.iter().rev().take_while(|byte| byte.is_ascii_alphabetic() || b"_-".contains(byte)).count();
    matches!(window[..window.len() - name], [.., b'?' | b'&'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_tell_real_tokens() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let token = ["gh", "p_UQ4b1", "LHHyBLM", "S6Ckuy8", "3s7XffZ", "PIKF20z", "4iO"].concat();
        assert!(crc62(token.as_bytes()));
        assert!(!crc62(token.replace("4iO", "4iP").as_bytes()) && !crc62(b"ghp_"));
    }

    #[test]
    fn words_and_code_are_not_random() {
        for word in [
            "password",
            "xterm-256color",
            "getPassword",
            "en_US.UTF-8",
            "bpe-2024",
            "my-password-field",
            "v1.2.3",
        ] {
            assert!(!is_randomish(word.as_bytes()), "{word}");
        }
        for random in
            ["zwctp857!", "j3ClEE_gQ9z3Kk85", "D70HDU", "9b2eafc40845d90e0553bea96435a8e7", "Q7R2-AHFK"]
        {
            assert!(is_randomish(random.as_bytes()), "{random}");
        }
        for code in [
            "process.env.API_KEY",
            "getPassword(user)",
            "config.token",
            "Option::None",
            "list[V1LocalObjectReference]",
            "https://example.org/a",
        ] {
            assert!(is_code(code.as_bytes()), "{code}");
        }
        for stand_in in ["your-api-key-here", "changeme", "<token>", "${SECRET}", "xxxxxxxxxxxx"] {
            assert!(stands_for_a_value(stand_in.as_bytes()), "{stand_in}");
        }
        assert!(has_run(b"sk-1234567890") && !has_run(b"sk-9b2eafc408"));
        for number in ["0x8004101f,", "-128i32", "22583u16", "17L"] {
            assert!(is_literal(number.as_bytes()), "{number}");
        }
        assert!(!is_literal(b"0x9b2eafc40845d90e0553bea9") && !is_literal(b"9b2eafc4") && !is_literal(b"u8"));
    }

    #[test]
    fn the_place_of_a_keyword_is_looked_at() {
        let variable = |text: &str, keyword: &str| is_variable(text.as_bytes(), text.find(keyword).unwrap());
        assert!(variable("export DB_PASSWORD=x", "PASSWORD") && variable(r"a\nAPI_KEY=x", "KEY"));
        assert!(!variable("$DB_PASSWORD=x", "PASSWORD") && !variable("MONKEY=x", "KEY"));
        assert!(
            begins_line(b"00007|   openaiApi") && begins_line(b"env:\n  db_") && !begins_line(b"let the ")
        );
        assert!(is_parameter(b"/v1?page=1&access_") && !is_parameter(b"the access_"));
        assert!(
            has_spaces(b"KEY = x") && has_spaces(b"KEY= x") && !has_spaces(b"KEY=x") && !has_spaces(b"KEY")
        );
        assert!(!is_compound(b"Sec-WebSocket-") && is_compound(b"X-Api-"));
        assert!(
            is_joined(b"auth-6d4cf56db6-x7k2p", b"6d4cf56db6-x7k2p") && !is_joined(b"key: 6d4cf", b"6d4cf")
        );
        assert!(is_compound(b"api_") && is_compound(b"clientSecret") && !is_compound(b"mon"));
    }
}
