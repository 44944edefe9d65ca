//! The table of tools, which the page has as a module. What stands behind the words that make it one is JSON.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

use super::Meaning;

const MODULE: &str = include_str!("../../../viewer/load/tools-table.js");

/// Names and keys, as `viewer/load/tools-table.js` explains them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    tools: BTreeMap<String, Tool>,
    pub(super) patcher: String,
    pub(super) servers: Vec<String>,
    pub(super) fields: Fields,
    statuses: BTreeMap<String, Vec<String>>,
    pub(super) shells: Shells,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    label: String,
    meaning: Option<Meaning>,
    names: Vec<String>,
}

/// Keys under which something stands.
pub(super) type Keys = Vec<String>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    pub(super) command: Keys,
    pub(super) path: Keys,
    pub(super) before: Keys,
    pub(super) after: Keys,
    pub(super) edits: Keys,
    pub(super) content: Keys,
    pub(super) patch: Keys,
    pub(super) pattern: Keys,
    pub(super) include: Keys,
    pub(super) url: Keys,
    pub(super) query: Keys,
    pub(super) todos: Keys,
    pub(super) entry: Keys,
    pub(super) status: Keys,
    pub(super) done: Keys,
    pub(super) description: Keys,
    pub(super) agent: Keys,
    pub(super) prompt: Keys,
    pub(super) questions: Keys,
    pub(super) question: Keys,
    pub(super) options: Keys,
    pub(super) option: Keys,
    pub(super) plan: Keys,
    pub(super) exit: Keys,
    pub(super) file: Keys,
    pub(super) unknown: Keys,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shells {
    pub(super) names: Vec<String>,
    pub(super) flags: Vec<String>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| read().unwrap_or_default());

/// Tools with their meanings, by all their names.
static TOOLS: LazyLock<HashMap<&str, (&str, Option<Meaning>)>> = LazyLock::new(|| {
    let tools = TABLE.tools.iter();
    tools
        .flat_map(|(tool, Tool { meaning, names, .. })| {
            let names = std::iter::once(tool).chain(names);
            names.map(move |name| (name.as_str(), (tool.as_str(), *meaning)))
        })
        .collect()
});

/// How far an entry of a todo list is, by all words for it.
static STATUSES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let statuses = TABLE.statuses.iter();
    statuses
        .flat_map(|(status, words)| {
            std::iter::once(status).chain(words).map(|word| (word.as_str(), status.as_str()))
        })
        .collect()
});

fn read() -> serde_json::Result<Table> {
    let (_, json) = MODULE.split_once("\nexport default ").unwrap_or_default();
    serde_json::from_str(json)
}

pub(super) fn table() -> &'static Table {
    &TABLE
}

pub(super) fn tool(name: &str) -> Option<(&'static str, Option<Meaning>)> {
    TOOLS.get(name.to_lowercase().as_str()).copied()
}

/// What a tool is called before people.
pub(super) fn label(tool: &str) -> Option<&'static str> {
    TABLE.tools.get(tool).map(|tool| tool.label.as_str())
}

/// The status that a word says.
pub(super) fn status(word: &str) -> Option<&'static str> {
    STATUSES.get(word.to_lowercase().replace([' ', '-'], "_").as_str()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_of_the_page_is_a_table() {
        let Table { tools, servers, .. } = read().unwrap();
        assert!(tools.len() > 10 && !servers.is_empty());
        assert_eq!(tool("Run_Shell_Command"), Some(("bash", Some(Meaning::Run))));
        assert_eq!((label("bash"), label("odd")), (Some("Shell"), None));
        assert_eq!(status("In Progress"), Some("in_progress"));
    }
}
