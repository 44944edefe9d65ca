//! The rooms of the crate and the direction of the arrows between them, read from its `use` lines and paths.

use std::fs;
use std::path::Path;

/// What a room must never name.
const FORBIDDEN: [(&str, &[&str]); 8] = [
    (
        "protocol",
        &[
            "crate::model",
            "crate::store",
            "crate::share",
            "crate::http",
            "crate::serve",
            "crate::client",
            "crate::relay",
            "actix",
            "diesel",
        ],
    ),
    (
        "model",
        &[
            "crate::store",
            "crate::share",
            "crate::http",
            "crate::serve",
            "crate::client",
            "crate::relay",
            "actix",
            "diesel",
        ],
    ),
    ("store", &["crate::share", "crate::http", "crate::serve", "crate::client", "crate::relay", "actix"]),
    ("share", &["crate::http", "crate::serve", "crate::client", "crate::relay", "diesel", "actix_web"]),
    ("http", &["crate::serve", "crate::client", "crate::relay", "diesel"]),
    ("client", &["crate::store", "crate::share", "crate::http", "crate::serve", "crate::relay"]),
    ("relay", &["crate::store", "crate::share", "crate::http", "crate::serve"]),
    ("config.rs", &["crate::"]),
];

#[test]
fn no_arrow_points_the_other_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (room, forbidden) in FORBIDDEN {
        for (name, text) in sources(&src.join(room)) {
            seen += 1;
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                for word in forbidden {
                    let named =
                        line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).any(|path| {
                            path == *word
                                || path.starts_with(&format!("{word}::"))
                                || (word.ends_with("::") && path.starts_with(word))
                        });
                    assert!(!named, "{name} names {word}: {line}");
                }
            }
        }
    }
    assert!(seen > 20, "the rooms were found");
}

#[test]
fn the_deprecated_websocket_crate_stays_in_one_module() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let users: Vec<_> = sources(&src)
        .into_iter()
        .filter(|(_, text)| text.contains("actix_web_actors::"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(users.len(), 1, "{users:?}");
    assert!(users[0].ends_with("http/poll.rs"));
}

/// All Rust files under a path, with their texts.
fn sources(path: &Path) -> Vec<(String, String)> {
    if path.is_file() {
        return vec![(path.display().to_string(), fs::read_to_string(path).expect("text"))];
    }
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries
        .flat_map(|entry| sources(&entry.expect("an entry").path()))
        .filter(|(name, _)| Path::new(name).extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
