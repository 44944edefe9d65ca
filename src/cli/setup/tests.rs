use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::agents::{Agent, Target};
use super::content::Content;
use super::journal::Journal;
use super::work::Work;

fn patch() -> Value {
    json!({
        "mcpServers": {"brutus-share": {"command": "/bin/brutus-share", "args": ["mcp"]}},
        "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "/bin/brutus-share hook claude"}]}]},
    })
}

fn toml_patch() -> Value {
    json!({"mcp_servers": {"brutus-share": {"command": "/bin/brutus-share", "args": ["mcp"]}}})
}

/// What stands between two tokens of a document.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        3 => Just(" ".to_owned()),
        3 => Just("\n  ".to_owned()),
        2 => Just("\r\n\t".to_owned()),
        1 => Just("/* { \" */".to_owned()),
        1 => Just(" // it's\n".to_owned()),
    ]
}

/// A value as text, with its comments and odd spaces.
fn document() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("\"mcpServers\"".to_owned()),
        Just("\"hooks\"".to_owned()),
        Just("\"Stop\"".to_owned()),
        Just("\"brutus-share\"".to_owned()),
        Just("\"\\u006dcpServers\"".to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-1.5e300".to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        Just("{}".to_owned()),
        Just("[ ]".to_owned()),
    ];
    let value = leaf.prop_recursive(4, 24, 4, move |inner| {
        let property = (gap(), name.clone(), gap(), inner.clone(), gap());
        let property = property.prop_map(|(a, name, b, value, c)| format!("{a}{name}{b}:{value}{c}"));
        let element = (gap(), inner, gap()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        let comma = prop_oneof![3 => Just(""), 1 => Just(",")];
        let list = |items: Vec<String>, comma: &str, [open, close]: [char; 2]| {
            let comma = if items.is_empty() { "" } else { comma };
            format!("{open}{}{comma}{close}", items.join(","))
        };
        prop_oneof![
            3 => (prop::collection::vec(property, 0..4), comma.clone())
                .prop_map(move |(items, comma)| list(items, comma, ['{', '}'])),
            1 => (prop::collection::vec(element, 0..4), comma)
                .prop_map(move |(items, comma)| list(items, comma, ['[', ']'])),
        ]
    });
    let bom = prop_oneof![4 => Just(""), 1 => Just("\u{feff}")];
    (bom, gap(), value, gap()).prop_map(|(bom, a, value, b)| format!("{bom}{a}{value}{b}"))
}

fn toml_document() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("# it's".to_owned()),
        Just(String::new()),
        Just("[mcp_servers.other]".to_owned()),
        Just("[mcp_servers]".to_owned()),
        Just("[mcp_servers.brutus-share] # ours".to_owned()),
        Just("mcp_servers = { other = { command = 'x' } }".to_owned()),
        Just("mcp_servers.other.command = 'y'".to_owned()),
        Just("[[profiles]]".to_owned()),
        Just("command  =  \"x\"   # odd".to_owned()),
        Just("args = [ 1,\n  2, # two\n]".to_owned()),
        "[a-z]{1,3} = (1|0x_f|\"\\\\u00e9\"|1979-05-27)",
    ];
    (prop::collection::vec(line, 0..10), prop_oneof![Just("\n"), Just("\r\n")], any::<bool>())
        .prop_map(|(lines, end, last)| lines.join(end) + if last { end } else { "" })
}

/// Sets a file up, twice, and takes that back; gives what it was in between.
fn there_and_back(dir: &Path, before: &[u8], content: Content) -> Vec<u8> {
    let path = dir.join("config");
    std::fs::write(&path, before).unwrap();
    let mut work = Work::new(Journal::open(&dir.join("state"), false).unwrap(), Agent::Gemini, false);
    let target = Target { path: path.clone(), content };
    work.put(&target, "");
    let between = std::fs::read(&path).unwrap();
    assert!(!work.put(&target, ""), "twice is once");
    assert_eq!(std::fs::read(&path).unwrap(), between);
    for (path, record) in work.records() {
        work.undo(&path, &record, Some(&target.content));
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    between
}

proptest! {
    #[test]
    fn a_json_document_comes_back_byte_for_byte(text in document()) {
        let dir = tempfile::TempDir::new().unwrap();
        let between = there_and_back(dir.path(), text.as_bytes(), Content::Json(patch()));
        if between != text.as_bytes() {
            // What we want stands in it, and it can be read and taken out again.
            let content = Content::Json(patch());
            prop_assert_eq!(content.put(Some(&between)).unwrap(), between.clone());
            let rest = content.take_out(&between, Some(text.as_bytes()), false).unwrap().unwrap();
            let again = content.take_out(&rest, Some(text.as_bytes()), false).unwrap().unwrap();
            prop_assert_eq!(rest, again);
        }
    }

    #[test]
    fn any_bytes_come_back(bytes: Vec<u8>) {
        let dir = tempfile::TempDir::new().unwrap();
        there_and_back(dir.path(), &bytes, Content::Json(patch()));
        there_and_back(dir.path(), &bytes, Content::Toml(toml_patch()));
        there_and_back(dir.path(), &bytes, Content::Env(vec![("A", "b".into())]));
        there_and_back(dir.path(), &bytes, Content::Whole("ours".into()));
    }

    #[test]
    fn a_toml_document_comes_back_byte_for_byte(text in toml_document()) {
        let dir = tempfile::TempDir::new().unwrap();
        let between = there_and_back(dir.path(), text.as_bytes(), Content::Toml(toml_patch()));
        if between != text.as_bytes() {
            let read: Value = toml::from_str(std::str::from_utf8(&between).unwrap()).unwrap();
            prop_assert_eq!(&read["mcp_servers"]["brutus-share"]["command"], "/bin/brutus-share");
            // Those within a value of ours that is replaced go.
            for comment in text.lines().filter_map(|line| line.find('#').map(|at| &line[at..])) {
                let stays = comment == "# two" || String::from_utf8_lossy(&between).contains(comment);
                prop_assert!(stays, "{comment} is lost");
            }
        }
    }

    #[test]
    fn a_file_of_variables_comes_back(text in "((A|B|AA|#A) ?=[a-z ]{0,3}(\n|\r\n)|\n){0,5}(A=x)?") {
        let content = Content::Env(vec![("A", "new".into())]);
        let put = content.put(Some(text.as_bytes())).unwrap();
        let lines = String::from_utf8(put.clone()).unwrap();
        prop_assert_eq!(lines.lines().filter(|line| *line == "A=new").count(), 1);
        prop_assert_eq!(content.put(Some(&put)).unwrap(), put);
        let dir = tempfile::TempDir::new().unwrap();
        there_and_back(dir.path(), text.as_bytes(), content);
    }
}

#[test]
fn what_a_list_of_hooks_holds_of_others_stays() {
    let hook = |command: &str| json!({"hooks": [{"command": command}]});
    let text = json!({"hooks": {"Stop": [hook("mine"), hook("/old hook claude")]}}).to_string();
    let content = Content::Json(patch());
    let put = content.put(Some(text.as_bytes())).unwrap();
    let read: Value = serde_json::from_slice(&put).unwrap();
    let commands: Vec<_> =
        read["hooks"]["Stop"].as_array().unwrap().iter().map(|hook| &hook["hooks"][0]["command"]).collect();
    assert_eq!(commands, ["mine", "/bin/brutus-share hook claude"]);
    let mut changed = read;
    changed["hooks"]["Stop"][0]["hooks"][0]["command"] = json!("mine too");
    let rest = content.take_out(changed.to_string().as_bytes(), None, false).unwrap().unwrap();
    let rest: Value = serde_json::from_slice(&rest).unwrap();
    assert_eq!(rest, json!({"hooks": {"Stop": [{"hooks": [{"command": "mine too"}]}]}}));
}
