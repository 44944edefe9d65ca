//! The rooms of the crate and the direction of the arrows between them, read from its `use` lines and paths.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::TestServer;

/// Libraries that pure rooms know nothing of.
const LIBRARIES: &[&str] =
    &["actix", "actix_web", "awc", "clap", "diesel", "prometheus_client", "tokio", "utoipa"];

/// What a room may use of this crate, and the libraries that it never names.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    ("protocol", &[], LIBRARIES),
    ("model", &["protocol"], LIBRARIES),
    ("import", &["model"], LIBRARIES),
    ("render", &["model", "clock"], LIBRARIES),
    ("redact", &["model", "clock"], LIBRARIES),
    ("sqlite", &[], &["actix"]),
    ("store", &["clock", "config", "metrics", "model", "redact", "sqlite", "trust"], &["actix", "actix_web"]),
    ("discovery", &["config", "sqlite", "text"], &["actix", "actix_web", "awc", "diesel"]),
    ("bus", &["config", "metrics", "store", "trust"], &["actix", "actix_web", "diesel"]),
    (
        "share",
        &["bus", "clock", "config", "error", "memory", "metrics", "model", "protocol", "store"],
        &["actix_web", "awc", "diesel"],
    ),
    (
        "access",
        &["clock", "error", "model", "protocol", "share", "store"],
        &["actix", "actix_web", "awc", "clap", "diesel"],
    ),
    (
        "http",
        &[
            "access",
            "clock",
            "config",
            "discovery",
            "error",
            "memory",
            "metrics",
            "model",
            "protocol",
            "redact",
            "render",
            "share",
            "store",
        ],
        &["awc", "diesel"],
    ),
    (
        "serve",
        &[
            "access",
            "bus",
            "config",
            "daemon",
            "discovery",
            "error",
            "http",
            "memory",
            "metrics",
            "redact",
            "share",
            "sqlite",
            "store",
        ],
        &[],
    ),
    (
        "client",
        &["clock", "config", "discovery", "import", "model", "protocol", "redact", "sqlite", "text", "trust"],
        &[],
    ),
    ("sources", &["client", "clock", "import", "model"], &[]),
    (
        "relay",
        &[
            "client", "config", "daemon", "error", "import", "model", "protocol", "redact", "sources",
            "sqlite", "text",
        ],
        &["diesel"],
    ),
    ("acp", &["clock", "import", "relay", "text"], &["diesel"]),
    ("config", &["daemon", "model", "redact"], &["actix", "actix_web", "diesel"]),
    ("daemon", &[], &["diesel"]),
    ("memory.rs", &[], &["actix"]),
    ("text.rs", &[], LIBRARIES),
    ("trust.rs", &[], &["actix", "diesel"]),
];

#[test]
fn no_arrow_points_the_other_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, uses, never) in ROOMS {
        let sources = sources(&src.join(room));
        assert!(!sources.is_empty(), "there is no {room}");
        for (name, text) in sources {
            let code = text.lines().filter(|line| !line.trim_start().starts_with(['/', '#']));
            for line in code {
                let mut paths = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let is_right = paths.all(|path| match path.split("::").collect::<Vec<_>>()[..] {
                    ["crate", "" | "self", ..] => false,
                    ["crate", other, ..] => other == *room || uses.contains(&other) || !is_room(&src, other),
                    [library, ..] => !never.contains(&library),
                    [] => true,
                });
                assert!(is_right, "{name} names what {room} knows nothing of: {line}");
            }
        }
    }
}

/// Whether this crate has such a room: macros stand at its root too.
fn is_room(src: &Path, name: &str) -> bool {
    src.join(name).is_dir() || src.join(format!("{name}.rs")).is_file()
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
