//! A tool's call read by its meaning, whichever agent made it: what it was about, what it changed, how it went. Names
//! and keys are in one table, `viewer/load/tools-table.js`; the page reads calls in the same way
//! (`viewer/load/tools.js`), and a table of cases holds both to it.

mod input;
mod outcome;
mod patch;
mod table;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use input::{Input, field, line, texts, words};
use outcome::{Outcome, outcome};
use table::table;

/// What a tool does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// Runs a command
    Run,
    /// Reads files
    Read,
    /// Changes files
    Edit,
    /// Writes files whole
    Write,
    /// Searches in files, or for files
    Search,
    /// Lists files
    List,
    /// Gets something from the network
    Fetch,
    /// Says what there is to do
    Todo,
    /// Has another agent do something
    Task,
    /// Asks the user
    Question,
    /// Proposes a plan
    Plan,
}

/// A call.
#[derive(Debug)]
pub struct Call<'a> {
    /// The tool's usual name, or its own when it is not known
    pub tool: Cow<'a, str>,
    /// The MCP server that it belongs to
    pub server: Option<&'a str>,
    /// What it does, when that is known
    pub meaning: Option<Meaning>,
    /// What the call was about, in a line
    pub about: Option<String>,
    /// The files that it was about
    pub paths: Vec<Cow<'a, str>>,
    /// Where it searched
    pub within: Vec<&'a str>,
    /// What its input says by its meaning
    pub said: Said<'a>,
    /// What its input says beside that
    pub rest: Vec<(&'a str, &'a Value)>,
    /// The exit code of a command
    pub exit: Option<i64>,
    /// Whether it failed
    pub failed: bool,
    /// What came out
    pub output: Cow<'a, Value>,
}

/// What the input of a call says.
#[derive(Debug, PartialEq)]
pub enum Said<'a> {
    /// Not what its meaning needs, or nothing that is known
    Other,
    /// Where to look, which `about` says
    Look,
    /// A command
    Command(Cow<'a, str>),
    /// Changes of files, one at least
    Changes(Vec<Change<'a>>),
    /// What there is to do
    Todos(Vec<Todo<'a>>),
    /// What another agent is to do, and which agent
    #[allow(missing_docs)]
    Task { prompt: Option<&'a str>, agent: Option<&'a str> },
    /// Questions, one at least
    Questions(Vec<Question<'a>>),
    /// A plan, as Markdown
    Plan(&'a str),
    /// An address, or what is looked for
    #[allow(missing_docs)]
    Fetch { url: Option<&'a str>, query: Option<String> },
}

/// A change of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// The file's name, which may be empty
    pub file: Cow<'a, str>,
    /// What changed
    pub how: How<'a>,
}

/// What changed in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum How<'a> {
    /// A unified diff
    Patch(Cow<'a, str>),
    /// Texts that took the place of others, `(before, after)`
    Edits(Vec<(&'a str, &'a str)>),
    /// All that the file holds
    Content(&'a str),
}

/// An entry of a todo list.
#[derive(Debug, PartialEq)]
pub struct Todo<'a> {
    /// What is to be done
    pub content: Cow<'a, str>,
    /// `completed`, `in_progress`, `pending`, `cancelled`, or a word of the agent's own
    pub status: &'a str,
}

/// A question to the user.
#[derive(Debug, PartialEq)]
pub struct Question<'a> {
    /// The question
    pub question: &'a str,
    /// What may be chosen
    pub options: Vec<&'a str>,
    /// What the user said
    pub answers: Vec<Cow<'a, str>>,
}

/// The input of a tool's part; when it is the text of a JSON object, as models write it, that object.
pub fn input(part: &Value) -> Cow<'_, Value> {
    let input = &part["state"]["input"];
    let json = input.as_str().filter(|text| text.trim_start().starts_with('{'));
    let object = json.and_then(|json| serde_json::from_str(json).ok());
    object.map_or(Cow::Borrowed(input), Cow::Owned)
}

impl<'a> Call<'a> {
    /// What the tool is called before people: of one that is not known its own name, which may be empty.
    pub fn label(&self) -> &str {
        match self.server {
            Some(_) => &self.tool,
            None => table::label(&self.tool).unwrap_or(&self.tool),
        }
    }

    /// Reads a tool's part, whose [`input`] is given beside it.
    pub fn of(part: &'a Value, input: &'a Value) -> Self {
        let (state, name) = (&part["state"], Name::of(&part["tool"]));
        let mut fields = Input::of(input);
        let mut read = match name.meaning {
            Some(meaning) => Read::by(meaning, &mut fields, &state["metadata"]),
            None => Read::default(),
        };
        let is_run = name.meaning == Some(Meaning::Run);
        // A shell that is given a patch and nothing else edits.
        let is_patch = is_run && matches!(read.said, Said::Changes(_));
        let (tool, meaning) = if is_patch {
            (Cow::Borrowed(table().patcher.as_str()), Some(Meaning::Edit))
        } else {
            (name.tool, name.meaning)
        };
        if read.about.is_none() {
            read.about = state["title"].as_str().and_then(line).map(ToOwned::to_owned);
        }
        if read.about.is_none() && meaning.is_none() {
            read.about = fields.words(&table().fields.unknown).and_then(line).map(ToOwned::to_owned);
        }
        let Outcome { exit, failed, output } = outcome(state, is_run || tool == table().patcher);
        let rest = if read.said == Said::Other { Vec::new() } else { fields.rest() };
        let Read { about, paths, within, said } = read;
        Self { tool, server: name.server, meaning, about, paths, within, said, rest, exit, failed, output }
    }
}

/// What a name says.
struct Name<'a> {
    tool: Cow<'a, str>,
    server: Option<&'a str>,
    meaning: Option<Meaning>,
}

impl<'a> Name<'a> {
    fn of(name: &'a Value) -> Self {
        let name = match name {
            Value::String(name) => name.as_str(),
            Value::Null => "",
            other => return Self { tool: Cow::Owned(other.to_string()), server: None, meaning: None },
        };
        if let Some((tool, meaning)) = table::tool(name) {
            return Self { tool: Cow::Borrowed(tool), server: None, meaning };
        }
        let (server, tool) = of_server(name).map_or((None, name), |(server, tool)| (Some(server), tool));
        let meaning = server.and(table::tool(tool)).and_then(|(_, meaning)| meaning);
        Self { tool: Cow::Borrowed(tool), server, meaning }
    }
}

/// `mcp__server__tool`, `server__tool`, `mcp_server_tool`, and `server_tool` of servers that are known.
fn of_server(name: &str) -> Option<(&str, &str)> {
    let behind = |prefix: &str| {
        let head = name.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..]).filter(|rest| !rest.is_empty())
    };
    let is_whole = |(server, tool): &(&str, &str)| !server.is_empty() && !tool.is_empty();
    let both = behind("mcp__").unwrap_or(name).rsplit_once("__");
    let gemini = || behind("mcp_")?.split_once('_');
    let known = || {
        let mut servers = table().servers.iter();
        servers.find_map(|server| behind(&format!("{server}_")).map(|tool| (&name[..server.len()], tool)))
    };
    both.filter(is_whole).or_else(|| gemini().filter(is_whole)).or_else(known)
}

/// What an input says.
struct Read<'a> {
    about: Option<String>,
    paths: Vec<Cow<'a, str>>,
    within: Vec<&'a str>,
    said: Said<'a>,
}

impl Default for Read<'_> {
    fn default() -> Self {
        Self { about: None, paths: Vec::new(), within: Vec::new(), said: Said::Other }
    }
}

impl<'a> Read<'a> {
    fn by(meaning: Meaning, input: &mut Input<'a>, metadata: &'a Value) -> Self {
        match meaning {
            Meaning::Run => Self::run(input),
            Meaning::Read => {
                let paths = input.texts(&table().fields.path);
                let said = if paths.is_empty() { Said::Other } else { Said::Look };
                Self::of_files(paths.into_iter().map(Cow::Borrowed).collect(), said)
            }
            Meaning::List => {
                let paths = input.texts(&table().fields.path);
                Self::of_files(paths.into_iter().map(Cow::Borrowed).collect(), Said::Look)
            }
            Meaning::Search => Self::search(input),
            Meaning::Edit | Meaning::Write => Self::edit(input, metadata),
            Meaning::Fetch => Self::fetch(input),
            Meaning::Todo => Self::todo(input, metadata),
            Meaning::Task => Self::task(input),
            Meaning::Question => Self::question(input, metadata),
            Meaning::Plan => {
                let Some(plan) = input.words(&table().fields.plan) else { return Self::default() };
                let first = line(plan).unwrap_or_default();
                let heading = first.trim_start_matches('#');
                let first = if heading.len() < first.len() { heading.trim_start() } else { first };
                Self { about: Some(first.to_owned()), said: Said::Plan(plan), ..Self::default() }
            }
        }
    }

    /// A call with a line about it.
    fn about(text: Option<&str>, said: Said<'a>) -> Self {
        Self { about: text.and_then(line).map(ToOwned::to_owned), said, ..Self::default() }
    }

    fn of_files(paths: Vec<Cow<'a, str>>, said: Said<'a>) -> Self {
        let about = paths.join(", ");
        Self { paths, ..Self::about(Some(&about), said) }
    }

    fn run(input: &mut Input<'a>) -> Self {
        let given = input.find(&table().fields.command, |value| Some((value.is_array(), texts(value)?)));
        let Some((is_list, given)) = given else { return Self::default() };
        let command = match given[..] {
            [program, patch] if is_list && program == table().patcher => {
                return Self::edited(patched(patch, None), Vec::new());
            }
            [command] if !is_list => Cow::Borrowed(command),
            _ => command_of(&given),
        };
        let changes = patch::in_command(&command).map(|(patch, directory)| patched(patch, directory));
        if let Some(changes) = changes.filter(|changes| !changes.is_empty()) {
            return Self::edited(changes, Vec::new());
        }
        Self { about: line(&command).map(ToOwned::to_owned), said: Said::Command(command), ..Self::default() }
    }

    fn search(input: &mut Input<'a>) -> Self {
        let pattern = input.words(&table().fields.pattern);
        let paths = input.texts(&table().fields.path);
        let mut within = Vec::new();
        for place in paths.into_iter().take(1).chain(input.all(&table().fields.include)) {
            if !within.contains(&place) {
                within.push(place);
            }
        }
        let said = if pattern.is_some() { Said::Look } else { Said::Other };
        Self { within, ..Self::about(pattern, said) }
    }

    fn edit(input: &mut Input<'a>, metadata: &'a Value) -> Self {
        let paths = input.texts(&table().fields.path);
        let file = paths.first().copied().unwrap_or_default();
        // All are read, so that what the input says is known; the first counts.
        let sources = [
            recorded(metadata, file),
            patch_of(input, file),
            edits_of(input, file).into_iter().collect(),
            written(input, file).into_iter().collect(),
        ];
        let changes = sources.into_iter().find(|changes| !changes.is_empty()).unwrap_or_default();
        Self::edited(changes, paths)
    }

    /// A call that changes files.
    fn edited(changes: Vec<Change<'a>>, named: Vec<&'a str>) -> Self {
        let mut seen = std::collections::HashSet::new();
        let files = changes.iter().map(|change| &change.file);
        let files: Vec<_> = files.filter(|file| !file.is_empty() && seen.insert(*file)).cloned().collect();
        let paths = if files.is_empty() { named.into_iter().map(Cow::Borrowed).collect() } else { files };
        Self::of_files(paths, if changes.is_empty() { Said::Other } else { Said::Changes(changes) })
    }

    fn fetch(input: &mut Input<'a>) -> Self {
        let url = input.words(&table().fields.url);
        let query = Some(input.texts(&table().fields.query).join(", ")).filter(|query| !query.is_empty());
        let about = url.or(query.as_deref()).and_then(line).map(ToOwned::to_owned);
        let said = if about.is_some() { Said::Fetch { url, query } } else { Said::Other };
        Self { about, said, ..Self::default() }
    }

    fn todo(input: &mut Input<'a>, metadata: &'a Value) -> Self {
        let given = input.list(&table().fields.todos);
        let todos = metadata["todos"].as_array().or(given);
        let said = todos.map_or(Said::Other, |todos| Said::Todos(todos.iter().map(todo_of).collect()));
        Self { said, ..Self::default() }
    }

    fn task(input: &mut Input<'a>) -> Self {
        let fields = &table().fields;
        let description = input.words(&fields.description);
        let agent = input.words(&fields.agent);
        let prompt = input.words(&fields.prompt);
        let about = description.or(prompt);
        Self::about(about, if about.is_some() { Said::Task { prompt, agent } } else { Said::Other })
    }

    fn question(input: &mut Input<'a>, metadata: &'a Value) -> Self {
        let fields = &table().fields;
        let answer = |at: usize| answers(&metadata["answers"][at]);
        let questions: Option<Vec<_>> = match input.list(&fields.questions) {
            Some(questions) => {
                let questions = questions.iter().enumerate();
                questions
                    .map(|(at, question)| {
                        let options = field(question, &fields.options, Value::as_array);
                        let question = field(question, &fields.question, words)?;
                        Some(Question { question, options: labels(options), answers: answer(at) })
                    })
                    .collect()
            }
            None => input.words(&fields.question).map(|question| {
                let options = labels(input.list(&fields.options));
                vec![Question { question, options, answers: answer(0) }]
            }),
        };
        match questions.filter(|questions| !questions.is_empty()) {
            Some(questions) => Self::about(Some(questions[0].question), Said::Questions(questions)),
            None => Self::default(),
        }
    }
}

/// The changes that the agent recorded.
fn recorded<'a>(metadata: &'a Value, file: &'a str) -> Vec<Change<'a>> {
    let patch_of = |fields: &'a Value| words(&fields["patch"]).or_else(|| words(&fields["diff"]));
    let change = |file, patch| Change { file: Cow::Borrowed(file), how: How::Patch(Cow::Borrowed(patch)) };
    let files = metadata["files"].as_array().into_iter().flatten();
    let changes: Vec<_> = files
        .filter_map(|fields| {
            let file = field(fields, &table().fields.file, words).unwrap_or_default();
            Some(change(file, patch_of(fields)?))
        })
        .collect();
    if !changes.is_empty() {
        return changes;
    }
    let patch = words(&metadata["diff"]).or_else(|| words(&metadata["filediff"]["patch"]));
    patch.map(|patch| change(file, patch)).into_iter().collect()
}

fn patch_of<'a>(input: &mut Input<'a>, file: &'a str) -> Vec<Change<'a>> {
    let Some(patch) = input.whole.or_else(|| input.words(&table().fields.patch)) else { return Vec::new() };
    let changes = patched(patch, None);
    let is_diff = |line: &str| ["@@", "--- ", "diff "].iter().any(|head| line.starts_with(head));
    if changes.is_empty() && patch.lines().any(is_diff) {
        return vec![Change { file: Cow::Borrowed(file), how: How::Patch(Cow::Borrowed(patch)) }];
    }
    changes
}

/// What a patch of Codex changes; its files are named from a directory.
fn patched<'a>(patch: &str, directory: Option<&str>) -> Vec<Change<'a>> {
    let changes = patch::changes(patch).into_iter();
    changes
        .map(|(file, patch)| {
            let file = match directory {
                Some(directory) if !file.starts_with('/') => format!("{directory}/{file}"),
                _ => file,
            };
            Change { file: Cow::Owned(file), how: How::Patch(Cow::Owned(patch)) }
        })
        .collect()
}

/// Old and new texts, as one change.
fn edits_of<'a>(input: &mut Input<'a>, file: &'a str) -> Option<Change<'a>> {
    let fields = &table().fields;
    let both = |before: Option<&'a str>, after: Option<&'a str>| {
        (before.is_some() || after.is_some()).then(|| (before.unwrap_or_default(), after.unwrap_or_default()))
    };
    let listed = input.list(&fields.edits).map_or(&[][..], Vec::as_slice).iter();
    let listed: Option<Vec<_>> = listed
        .map(|edit| {
            both(field(edit, &fields.before, Value::as_str), field(edit, &fields.after, Value::as_str))
        })
        .collect();
    let mut edits = listed?;
    let single = both(input.find(&fields.before, Value::as_str), input.find(&fields.after, Value::as_str));
    edits.extend(single.filter(|single| !edits.contains(single)));
    edits.retain(|(before, after)| before != after);
    (!edits.is_empty()).then_some(Change { file: Cow::Borrowed(file), how: How::Edits(edits) })
}

fn written<'a>(input: &mut Input<'a>, file: &'a str) -> Option<Change<'a>> {
    let content = input.find(&table().fields.content, Value::as_str)?;
    Some(Change { file: Cow::Borrowed(file), how: How::Content(content) })
}

fn todo_of(todo: &Value) -> Todo<'_> {
    let fields = &table().fields;
    let content = field(todo, &fields.entry, words);
    let content = content.map_or_else(|| Cow::Owned(todo.to_string()), Cow::Borrowed);
    let is_done = field(todo, &fields.done, Value::as_bool) == Some(true);
    let status = match field(todo, &fields.status, words) {
        Some(status) => table::status(status).unwrap_or(status),
        None if is_done => "completed",
        None => "pending",
    };
    Todo { content, status }
}

fn labels(options: Option<&Vec<Value>>) -> Vec<&str> {
    let options = options.into_iter().flatten();
    options
        .filter_map(|option| words(option).or_else(|| field(option, &table().fields.option, words)))
        .collect()
}

fn answers(answer: &Value) -> Vec<Cow<'_, str>> {
    let answers = answer.as_array().map_or(std::slice::from_ref(answer), Vec::as_slice).iter();
    answers
        .filter_map(|answer| match answer {
            Value::Null => None,
            Value::String(answer) if answer.is_empty() => None,
            Value::String(answer) => Some(Cow::Borrowed(answer.as_str())),
            other => Some(Cow::Owned(other.to_string())),
        })
        .collect()
}

/// The words of a command as a shell would be given them; of a shell that is given a script, the script.
fn command_of<'a>(given: &[&'a str]) -> Cow<'a, str> {
    let shells = &table().shells;
    if let [shell, flag, script] = given {
        let name = shell.rsplit('/').next().unwrap_or(shell);
        if shells.names.iter().any(|shell| shell == name) && shells.flags.iter().any(|known| known == flag) {
            return Cow::Borrowed(script);
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    let quoted = given.iter().map(|word| {
        if word.chars().all(is_plain) {
            (*word).to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    Cow::Owned(quoted.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        part: Value,
        read: Value,
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("../../../tests/fixtures/tools.json")).unwrap()
    }

    fn change(Change { file, how }: &Change) -> Value {
        match how {
            How::Patch(patch) => json!({"file": file, "patch": patch}),
            How::Content(content) => json!({"file": file, "content": content}),
            How::Edits(edits) => {
                let edits = edits.iter().map(|(before, after)| json!({"before": before, "after": after}));
                json!({"file": file, "edits": edits.collect::<Vec<_>>()})
            }
        }
    }

    /// A call as the table of cases writes it.
    fn written(call: &Call, input: &Value) -> Value {
        let fits = call.said != Said::Other;
        let meaning = call.meaning.map(|meaning| format!("{meaning:?}").to_lowercase());
        let rest: Map<_, _> =
            call.rest.iter().map(|(key, value)| ((*key).to_owned(), (*value).clone())).collect();
        let mut read = json!({
            "tool": call.tool, "server": call.server, "meaning": meaning, "fits": fits, "about": call.about,
            "exit": call.exit, "failed": call.failed, "output": call.output,
            "rest": if fits { json!(rest) } else { input.clone() },
        });
        let said = match &call.said {
            Said::Command(command) => json!({"command": command}),
            Said::Changes(changes) => json!({"changes": changes.iter().map(change).collect::<Vec<_>>()}),
            Said::Todos(todos) => {
                let todos = todos
                    .iter()
                    .map(|Todo { content, status }| json!({"content": content, "status": status}));
                json!({"todos": todos.collect::<Vec<_>>()})
            }
            Said::Task { prompt, agent } => json!({"prompt": prompt, "agent": agent}),
            Said::Questions(questions) => {
                let questions = questions.iter().map(|Question { question, options, answers }| {
                    json!({"question": question, "options": options, "answers": answers})
                });
                json!({"questions": questions.collect::<Vec<_>>()})
            }
            Said::Plan(plan) => json!({"plan": plan}),
            Said::Fetch { url, query } => json!({"url": url, "query": query}),
            Said::Look | Said::Other => json!({}),
        };
        let fields = read.as_object_mut().unwrap();
        fields.extend(said.as_object().unwrap().clone());
        match call.meaning {
            Some(Meaning::Read | Meaning::List | Meaning::Edit | Meaning::Write) => {
                fields.insert("paths".into(), json!(call.paths));
            }
            Some(Meaning::Search) => {
                fields.insert("within".into(), json!(call.within));
            }
            _ => {}
        }
        fields.retain(|_, value| !value.is_null());
        read
    }

    #[test]
    fn calls_are_read_as_the_page_reads_them() {
        for Case { name, part, read } in cases() {
            let input = input(&part);
            assert_eq!(written(&Call::of(&part, &input), &input), read, "{name}");
        }
    }

    #[test]
    fn any_value_in_any_place_is_a_call() {
        let values = [
            json!(null),
            json!(7),
            json!(""),
            json!("odd"),
            json!(true),
            json!([]),
            json!([null]),
            json!({}),
            json!([{}]),
            json!(["a", 7]),
            json!("{\"a\":"),
            json!("{}"),
            json!("\u{1f600}__\u{1f600}"),
        ];
        for Case { part, .. } in cases() {
            for value in &values {
                let mut odd = vec![value.clone()];
                for name in ["/tool", "/state"] {
                    odd.push(with(&part, name, value));
                }
                for inner in ["/state", "/state/input"] {
                    for name in part.pointer(inner).and_then(Value::as_object).into_iter().flat_map(Map::keys)
                    {
                        odd.push(with(&part, &format!("{inner}/{name}"), value));
                    }
                }
                for part in odd {
                    let input = input(&part);
                    let call = Call::of(&part, &input);
                    assert!(call.said != Said::Changes(Vec::new()), "{part}");
                }
            }
        }
    }

    fn with(part: &Value, pointer: &str, value: &Value) -> Value {
        let mut part = part.clone();
        if let Some(place) = part.pointer_mut(pointer) {
            *place = value.clone();
        }
        part
    }
}
