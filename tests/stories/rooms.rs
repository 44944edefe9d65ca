//! The rooms of the crate and the direction of the arrows between them, read from its `use` lines and paths.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::TestServer;

/// What a room must never name.
const FORBIDDEN: [(&str, &[&str]); 17] = [
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
            "crate::error",
            "crate::config",
            "crate::metrics",
            "actix",
            "actix_web",
            "clap",
            "utoipa",
            "prometheus_client",
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
            "crate::error",
            "crate::config",
            "crate::metrics",
            "actix",
            "actix_web",
            "clap",
            "utoipa",
            "prometheus_client",
            "diesel",
        ],
    ),
    (
        "import",
        &[
            "crate::protocol",
            "crate::store",
            "crate::share",
            "crate::http",
            "crate::serve",
            "crate::client",
            "crate::relay",
            "crate::acp",
            "crate::error",
            "crate::config",
            "crate::metrics",
            "actix",
            "actix_web",
            "clap",
            "diesel",
        ],
    ),
    ("sqlite", &["crate::", "actix"]),
    (
        "render",
        &[
            "crate::store",
            "crate::share",
            "crate::http",
            "crate::protocol",
            "crate::error",
            "crate::config",
            "actix",
            "diesel",
        ],
    ),
    (
        "redact",
        &[
            "crate::protocol",
            "crate::store",
            "crate::share",
            "crate::http",
            "crate::serve",
            "crate::client",
            "crate::relay",
            "crate::render",
            "crate::error",
            "crate::config",
            "crate::metrics",
            "actix",
            "actix_web",
            "clap",
            "prometheus_client",
            "diesel",
        ],
    ),
    ("store", &["crate::share", "crate::http", "crate::serve", "crate::client", "crate::relay", "actix"]),
    ("share", &["crate::http", "crate::serve", "crate::client", "crate::relay", "diesel", "actix_web"]),
    ("http", &["crate::serve", "crate::client", "crate::relay", "diesel"]),
    ("client", &["crate::store", "crate::share", "crate::http", "crate::serve", "crate::relay"]),
    (
        "sources",
        &["crate::store", "crate::share", "crate::http", "crate::serve", "crate::relay", "crate::protocol"],
    ),
    ("relay", &["crate::store", "crate::share", "crate::http", "crate::serve", "crate::acp"]),
    (
        "acp",
        &[
            "crate::protocol",
            "crate::store",
            "crate::share",
            "crate::http",
            "crate::serve",
            "crate::client",
            "crate::sources",
            "crate::error",
            "crate::config",
        ],
    ),
    ("daemon", &["crate::"]),
    ("memory.rs", &["crate::", "actix"]),
    ("text.rs", &["crate::", "actix"]),
    (
        "config",
        &[
            "crate::store",
            "crate::share",
            "crate::http",
            "crate::serve",
            "crate::client",
            "crate::relay",
            "crate::error",
        ],
    ),
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
    assert!(!users.is_empty() && users.iter().all(|user| user.contains("/http/viewer/")), "{users:?}");
}

/// `src/store/schema.rs` says of each table what the migrations make of it: names, types, and what may be NULL.
#[test]
fn the_schema_is_what_the_migrations_make() {
    let server = TestServer::start(&[]);
    let sql = "SELECT m.name, c.name, c.type, c.\"notnull\" FROM sqlite_schema m, pragma_table_info(m.name) c \
               WHERE m.type = 'table' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY m.name, c.cid";
    let output =
        Command::new("sqlite3").arg(server.data_dir().join("share.db")).arg(sql).output().expect("sqlite3");
    let made: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| {
            let [table, column, kind, not_null] = line.split('|').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let kind = match kind {
                "INTEGER" | "BIGINT" => "BigInt",
                "TEXT" => "Text",
                "BLOB" => "Binary",
                other => panic!("{other}"),
            };
            let kind = if not_null == "1" { kind.to_owned() } else { format!("Nullable<{kind}>") };
            format!("{table}.{column} {kind}")
        })
        .collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/schema.rs");
    let source = fs::read_to_string(source).expect("text");
    let (mut said, mut table) = (Vec::new(), "");
    for line in source.lines().map(str::trim) {
        if let Some((column, kind)) = line.split_once(" -> ").filter(|_| line.ends_with(',')) {
            said.push(format!("{table}.{column} {}", kind.trim_end_matches(',')));
        } else if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with(") {")) {
            table = name;
        }
    }
    said.sort_by_key(|line| line.split('.').next().map(ToOwned::to_owned));
    assert_eq!(said, made);
    assert!(said.len() > 10);
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
