//! Agents' own configuration, written and taken back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{TestServer, program};

const AGENTS: [&str; 7] = ["claude", "codex", "gemini", "qwen", "pi", "opencode", "brutus"];
const SERVER: &str = "https://share.example";

/// What may stand in the environment of whoever runs the stories, and leads out of a home directory.
const ELSEWHERE: [&str; 10] = [
    "BRUTUS_SHARE_API_URL",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "GEMINI_CLI_HOME",
    "PI_CODING_AGENT_DIR",
    "QWEN_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// A home directory, and in it the configuration of all agents.
struct Home(TempDir);

/// All of a directory: each path with its mode, and a file's content or where a link leads.
type Snapshot = BTreeMap<PathBuf, (u32, Vec<u8>)>;

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let home = Self(TempDir::new().expect("a home"));
        for (path, text) in files {
            home.write(path, text);
        }
        home
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).expect("JSON")
    }

    fn setup(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = program();
        for name in ELSEWHERE {
            command.env_remove(name);
        }
        // What the story put there goes before what the machine has.
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").expect("a path"));
        command.arg("setup").args(args).env("HOME", self.0.path()).env("PATH", path);
        let Output { status, stdout, stderr } = command.output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code().expect("a code"), text(stdout), text(stderr))
    }

    /// Sets up or undoes, and nothing goes wrong.
    fn done(&self, args: &[&str]) -> String {
        let (code, said, error) = self.setup(args);
        assert!(code == 0 && error.is_empty(), "{args:?}: {said}{error}");
        said
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::new();
        walk(self.0.path(), &mut snapshot);
        snapshot
    }
}

fn walk(dir: &Path, snapshot: &mut Snapshot) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        let about = path.symlink_metadata().expect("about it");
        let content = if about.is_symlink() {
            fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
        } else if about.is_dir() {
            walk(&path, snapshot);
            Vec::new()
        } else {
            fs::read(&path).expect("read")
        };
        snapshot.insert(path, (about.mode(), content));
    }
}

const CLAUDE: &str =
    "{\n  \"numStartups\": 4,\n  \"mcpServers\": {\n    \"other\": {\"command\": \"x\"}\n  }\n}";
const SETTINGS: &str = "{\n\t// mine\n\t\"hooks\": {\n\t\t\"Stop\": [\n\t\t\t{ \"hooks\": [{ \"type\": \"command\", \
                        \"command\": \"say done\" }] },\n\t\t],\n\t},\n}\n";
const CODEX: &str = "# mine\nmodel = \"gpt-5.5\" # the best\n\n[mcp_servers.other]\ncommand = 'x'\n\n\
                     [projects.\"/a\"]\ntrust_level = \"trusted\"";

fn furnished() -> Home {
    let home = Home::new(&[
        (".claude.json", CLAUDE),
        (".claude/settings.json", SETTINGS),
        (".codex/config.toml", CODEX),
        (".gemini/settings.json", "{\"security\":{\"auth\":{\"selectedType\":\"gemini-api-key\"}}}\n"),
        (".qwen/settings.json", ""),
        (
            ".config/opencode/opencode.jsonc",
            "{\r\n  // mine\r\n  \"enterprise\": { \"url\": \"https://old\" },\r\n}",
        ),
        (".config/brutus-share/relay.env", "# mine\nBRUTUS_SHARE_API_URL=https://old.example\nHTTPS_PROXY=x"),
    ]);
    fs::set_permissions(home.path(".claude.json"), fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::set_permissions(home.path(".codex/config.toml"), fs::Permissions::from_mode(0o640)).expect("a mode");
    home
}

#[test]
fn every_agent_is_set_up_once_and_undone_to_the_byte() {
    for home in [furnished(), Home::new(&[])] {
        let before = home.snapshot();
        for agent in AGENTS {
            home.done(&[agent, "--dry-run", "--server", SERVER]);
            assert!(home.snapshot() == before, "{agent}: a dry run changes nothing");
            home.done(&[agent, "--server", SERVER]);
            let once = home.snapshot();
            assert!(once != before);
            let said = home.done(&[agent, "--server", SERVER]);
            let changes =
                |line: &str| ["changed", "created", "removed"].iter().any(|word| line.starts_with(word));
            assert!(!said.lines().any(changes), "{said}");
            assert!(home.snapshot() == once, "{agent}: twice is once");
            home.done(&[agent, "--undo", "--dry-run"]);
            assert!(home.snapshot() == once, "{agent}: a dry run undoes nothing");
            home.done(&[agent, "--undo"]);
            assert_eq!(home.snapshot(), before, "{agent}");
            home.done(&[agent, "--undo"]);
            assert!(home.snapshot() == before, "{agent}: nothing is left to undo");
        }
        for agent in AGENTS {
            home.done(&[agent, "--server", SERVER]);
        }
        for agent in AGENTS {
            assert!(home.read(".config/brutus-share/relay.env").contains(SERVER), "the others need it still");
            home.done(&[agent, "--undo"]);
        }
        assert_eq!(home.snapshot(), before, "all of them");
    }
}

#[test]
fn what_is_written_is_what_the_agents_read() {
    let home = furnished();
    for agent in AGENTS {
        home.done(&[agent, "--server", SERVER]);
    }
    let program = env!("CARGO_BIN_EXE_brutus-share");
    let server = json!({"type": "stdio", "command": program, "args": ["mcp"], "env": {}});
    let claude = home.json(".claude.json");
    assert_eq!(claude["mcpServers"], json!({"other": {"command": "x"}, "brutus-share": server}));
    assert_eq!(fs::metadata(home.path(".claude.json")).expect("a file").mode() & 0o777, 0o600);
    let settings = home.read(".claude/settings.json");
    assert!(settings.starts_with("{\n\t// mine\n") && settings.contains("say done"), "{settings}");
    assert_eq!(settings.matches(&format!("{program} hook claude")).count(), 5, "{settings}");
    let share = home.read(".claude/commands/share.md");
    assert!(share.contains(&format!("!`{program} share cc_${{CLAUDE_SESSION_ID}}`")), "{share}");

    let codex = home.read(".codex/config.toml");
    assert!(codex.starts_with("# mine\nmodel = \"gpt-5.5\" # the best\n"), "{codex}");
    let codex: Value = toml::from_str(&codex).expect("TOML");
    assert_eq!(codex["mcp_servers"]["brutus-share"], json!({"command": program, "args": ["mcp"]}));
    assert_eq!(codex["mcp_servers"]["other"]["command"], "x");
    assert!(home.read(".codex/skills/share/SKILL.md").contains("share_session"));

    for agent in [".gemini", ".qwen"] {
        let settings = home.json(&format!("{agent}/settings.json"));
        assert_eq!(settings["mcpServers"]["brutus-share"]["args"], json!(["mcp"]));
    }
    let command: Value = toml::from_str(&home.read(".gemini/commands/share.toml")).expect("TOML");
    assert!(command["prompt"].as_str().is_some_and(|prompt| prompt.contains("share_session")));
    assert!(home.read(".pi/agent/extensions/brutus-share.ts").contains(program));
    let opencode = home.read(".config/opencode/opencode.jsonc");
    let expected = "{\r\n  // mine\r\n  \"enterprise\": { \"url\": \"https://share.example\" },\r\n}";
    assert_eq!(opencode, expected);
    assert_eq!(
        home.read(".config/brutus-share/relay.env"),
        "# mine\nBRUTUS_SHARE_API_URL=https://share.example\nHTTPS_PROXY=x"
    );
}

#[test]
fn files_of_odd_shapes_come_back_as_they_were() {
    let shapes = [
        ("CRLF", "{\r\n    \"a\": 1,\r\n    \"mcpServers\": {}\r\n}\r\n"),
        ("BOM", "\u{feff}{\"a\": 1}"),
        ("comments", "// one\n{ /* two */ \"a\": [1, 2,], // three\n}\n// four"),
        ("no newline at the end", "{\n\"a\": 1\n}"),
        ("one line", "{\"mcpServers\":{\"x\":{\"command\":\"y\"}},\"b\":[]}\n"),
        ("ours from before", "{\"mcpServers\": {\"brutus-share\": {\"command\": \"/old\", \"timeout\": 5}}}"),
        ("nothing", ""),
        ("an empty line", "\n"),
        ("numbers", "{\"a\": 1e400, \"b\": 0.10000000000000000000001, \"c\": 12345678901234567890123}"),
        ("twice the same", "{\"mcpServers\": {}, \"mcpServers\": {\"a\": {}}}"),
    ];
    for (name, text) in shapes {
        let home = Home::new(&[(".gemini/settings.json", text)]);
        home.done(&["gemini"]);
        let changed = home.read(".gemini/settings.json");
        let ours = format!("\"command\": \"{}\"", env!("CARGO_BIN_EXE_brutus-share"));
        assert!(changed.contains(&ours), "{name}: {changed}");
        let line_ends = changed.matches('\n').count();
        assert!(name != "CRLF" || changed.matches("\r\n").count() == line_ends, "{changed:?}");
        assert_eq!(text.starts_with('\u{feff}'), changed.starts_with('\u{feff}'), "{name}");
        if let Some(at) = changed.rfind("\"mcpServers\"").filter(|_| name == "twice the same") {
            assert!(changed[at..].contains(&ours), "the last is the one that counts: {changed}");
        }
        assert_eq!(home.read(".gemini/settings.json.before-brutus-share"), text, "{name}");
        home.done(&["gemini", "--undo"]);
        assert_eq!(home.read(".gemini/settings.json"), text, "{name}");
        assert!(!home.path(".gemini/settings.json.before-brutus-share").exists());
    }
}

#[test]
fn claude_code_is_set_up_where_it_looks_first() {
    let home = Home::new(&[(".claude/.config.json", "{}"), (".claude.json", "{}")]);
    let before = home.snapshot();
    home.done(&["claude"]);
    assert!(home.read(".claude/.config.json").contains("mcpServers"));
    assert_eq!(home.read(".claude.json"), "{}");
    home.done(&["claude", "--undo"]);
    assert_eq!(home.snapshot(), before);
}

#[test]
fn a_link_is_followed_and_stays() {
    let home = Home::new(&[("dotfiles/settings.json", "{}\n")]);
    fs::create_dir(home.path(".gemini")).expect("made");
    symlink("../dotfiles/settings.json", home.path(".gemini/settings.json")).expect("a link");
    // One that leads to a file that is not there yet.
    symlink("dotfiles/claude.json", home.path(".claude.json")).expect("a link");
    let before = home.snapshot();
    home.done(&["gemini"]);
    home.done(&["claude"]);
    assert!(home.read("dotfiles/settings.json").contains("brutus-share"));
    assert!(home.read("dotfiles/claude.json").contains("brutus-share"));
    assert!(home.path(".gemini/settings.json").is_symlink() && home.path(".claude.json").is_symlink());
    home.done(&["gemini", "--undo"]);
    home.done(&["claude", "--undo"]);
    assert_eq!(home.snapshot(), before);
}

#[test]
fn of_what_has_changed_since_only_our_entries_go() {
    let home = furnished();
    for agent in AGENTS {
        home.done(&[agent, "--server", SERVER]);
    }
    // As Claude Code writes its file: anew, in its own layout.
    let mut claude = home.json(".claude.json");
    claude["numStartups"] = json!(5);
    home.write(".claude.json", &serde_json::to_string(&claude).expect("JSON"));
    for (path, from, to) in [
        (".claude/settings.json", "say done", "say more"),
        (".codex/config.toml", "the best", "the best of all"),
        (".config/opencode/opencode.jsonc", "// mine", "// mine alone"),
        (".config/brutus-share/relay.env", "HTTPS_PROXY=x", "HTTPS_PROXY=y"),
    ] {
        home.write(path, &home.read(path).replace(from, to));
    }
    fs::remove_file(home.path(".qwen/settings.json")).expect("gone");
    for agent in AGENTS {
        home.done(&[agent, "--undo"]);
    }
    assert_eq!(
        home.json(".claude.json"),
        json!({"numStartups": 5, "mcpServers": {"other": {"command": "x"}}})
    );
    assert_eq!(home.read(".claude/settings.json"), SETTINGS.replace("say done", "say more"));
    assert_eq!(home.read(".codex/config.toml"), CODEX.replace("the best", "the best of all"));
    assert_eq!(
        home.read(".config/opencode/opencode.jsonc"),
        "{\r\n  // mine alone\r\n  \"enterprise\": { \"url\": \"https://old\" },\r\n}"
    );
    assert_eq!(
        home.read(".config/brutus-share/relay.env"),
        "# mine\nBRUTUS_SHARE_API_URL=https://old.example\nHTTPS_PROXY=y"
    );
    assert!(!home.path(".qwen/settings.json").exists(), "who took it away wanted that");
    let left = home.snapshot();
    assert!(!left.keys().any(|path| path.to_string_lossy().contains("before-brutus-share")), "{left:?}");
}

#[test]
fn setup_of_a_file_that_has_changed_keeps_the_change_through_an_undo() {
    let home = Home::new(&[(".gemini/settings.json", "{\n  \"a\": 1\n}\n")]);
    home.done(&["gemini"]);
    let changed = home.read(".gemini/settings.json").replace("\"a\": 1", "\"a\": 2");
    let without = changed.replace("brutus-share", "gone");
    home.write(".gemini/settings.json", &without);
    home.done(&["gemini"]);
    home.done(&["gemini", "--undo"]);
    assert_eq!(home.read(".gemini/settings.json"), without);
}

#[test]
fn what_cannot_be_read_or_is_somebody_elses_is_left_alone() {
    for text in ["{\"a\": 1", "{'a': 1}", "[]", "{\"mcpServers\": []}", "{a: 1}", "{\"a\" 1}", "\u{0}"] {
        let home = Home::new(&[(".gemini/settings.json", text)]);
        let (code, _, error) = home.setup(&["gemini"]);
        assert!(
            code == 1 && error.contains("settings.json") && error.contains("left alone"),
            "{text}: {error}"
        );
        assert_eq!(home.read(".gemini/settings.json"), text);
        home.done(&["gemini", "--undo"]);
        assert_eq!(home.read(".gemini/settings.json"), text);
    }
    let home = Home::new(&[(".codex/config.toml", "a = = 1"), (".claude/commands/share.md", "My own")]);
    fs::write(home.path(".claude.json"), [0xff, 0xfe]).expect("written");
    let (code, _, error) = home.setup(&["codex"]);
    assert!(code == 1 && error.contains("cannot be read"), "{error}");
    let (code, _, error) = home.setup(&["claude"]);
    assert!(code == 1 && error.contains("did not write") && error.contains("UTF-8"), "{error}");
    assert!(home.path(".claude/settings.json").exists(), "the others are done");
    home.done(&["claude", "--undo"]);
    assert_eq!(home.read(".claude/commands/share.md"), "My own");
    assert!(!home.path(".claude/settings.json").exists());

    let (code, _, error) = home.setup(&["claude", "--server", "http://198.51.100.7"]);
    assert!(code == 1 && error.contains("--insecure-http"), "{error}");
    assert_eq!(home.setup(&["emacs"]).0, 2);
}

#[test]
fn entries_of_a_journal_that_is_lost_are_found() {
    let home = furnished();
    home.done(&["claude"]);
    home.done(&["codex"]);
    fs::remove_dir_all(home.path(".local")).expect("gone");
    home.done(&["claude", "--undo"]);
    home.done(&["codex", "--undo"]);
    assert_eq!(home.json(".claude.json")["mcpServers"], json!({"other": {"command": "x"}}));
    assert_eq!(home.read(".claude/settings.json"), SETTINGS);
    assert_eq!(home.read(".codex/config.toml"), format!("{CODEX}\n"));
    assert!(!home.path(".claude/commands/share.md").exists());
}

/// A `systemctl` that knows the relay's unit, and remembers whether it is enabled.
#[test]
fn where_systemd_knows_the_unit_it_is_enabled_until_the_last_agent_is_undone() {
    let home = Home::new(&[]);
    let state = home.path("enabled");
    let script = format!(
        "#!/bin/sh\necho \"$*\" >>'{}'\ncase \"$*\" in *show*) echo loaded;; *is-enabled*) test -e '{state}';; \
         *disable*) rm '{state}';; *enable*) touch '{state}';; esac\n",
        home.path("asked").display(),
        state = state.display(),
    );
    home.write("bin/systemctl", &script);
    fs::set_permissions(home.path("bin/systemctl"), fs::Permissions::from_mode(0o755)).expect("a mode");
    assert!(home.done(&["gemini"]).contains("enabled    brutus-share-relay.socket"));
    assert!(home.read("asked").contains("enable --quiet --now brutus-share-relay.socket"));
    assert!(!home.done(&["qwen", "--server", SERVER]).contains("enabled "));
    assert!(home.read("asked").contains("try-restart brutus-share-relay.service"), "it reads its new server");
    home.done(&["gemini", "--undo"]);
    assert!(state.exists());
    home.done(&["qwen", "--undo", "--dry-run"]);
    assert!(state.exists());
    assert!(home.done(&["qwen", "--undo"]).contains("disabled   brutus-share-relay.socket"));
    assert!(!state.exists());

    // One that its user enabled stays.
    home.write("enabled", "");
    home.done(&["gemini"]);
    home.done(&["gemini", "--undo"]);
    assert!(state.exists());
}

#[test]
fn a_hook_is_silent_quick_and_never_fails() {
    let home = Home::new(&[]);
    let hook = |input: Stdio| {
        let mut command = program();
        let command = command.args(["hook", "claude"]).env("HOME", home.path("")).stdin(input);
        let Output { status, stdout, stderr } = command.output().expect("runs");
        assert!(status.success() && stdout.is_empty() && stderr.is_empty(), "{stderr:?}");
    };
    hook(Stdio::null());
    let (nobody_writes, _writer) = std::io::pipe().expect("a pipe");
    hook(nobody_writes.into());
    let told = home.path("told");
    for text in ["nonsense", "{}", r#"{"session_id": "x", "hook_event_name": "SessionStart"}"#] {
        fs::write(&told, text).expect("written");
        hook(fs::File::open(&told).expect("a file").into());
    }
}

#[actix_web::test]
async fn a_hook_tells_the_relay_how_it_is_with_a_session() {
    use awc::http::Method;

    use crate::harness::relay::TestRelay;

    let server = TestServer::start(&[]);
    let relay = TestRelay::start(&server.url, &[]);
    let messages = json!([{"role": "user", "content": "Hello"}]);
    relay.request(Method::POST, "/v1/sessions/cc_x/messages", &messages).await;
    let told = relay.local_dir().join("told");
    for (event, state) in [
        (json!({"hook_event_name": "UserPromptSubmit", "prompt": "secret"}), "busy"),
        (json!({"hook_event_name": "Notification", "message": "Claude needs your permission"}), "waiting"),
        (json!({"hook_event_name": "Stop", "last_assistant_message": "secret"}), "idle"),
        (json!({"hook_event_name": "Notification", "notification_type": "idle_prompt"}), "idle"),
        (json!({"hook_event_name": "SessionEnd"}), "gone"),
        (json!({"hook_event_name": "SessionStart"}), "idle"),
    ] {
        let mut event = event;
        event["session_id"] = json!("x");
        fs::write(&told, event.to_string()).expect("written");
        let mut hook = program();
        hook.args(["hook", "claude", "--local-dir"]).arg(relay.local_dir());
        hook.stdin(fs::File::open(&told).expect("a file"));
        let output = hook.output().expect("runs");
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty());
        let (_, sessions) = relay.request(Method::GET, "/v1/sessions", &Value::Null).await;
        assert_eq!(sessions[0]["state"], state, "{event}");
    }
}
