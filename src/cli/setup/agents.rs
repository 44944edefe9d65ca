//! The agents: where each keeps its configuration, and what setup wants in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use etcetera::BaseStrategy;
use serde_json::{Value, json};

use super::content::{Content, MARK, NAME};

/// An agent that can be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Agent {
    Claude,
    Codex,
    Gemini,
    Qwen,
    Pi,
    #[value(name = "opencode")]
    OpenCode,
    Brutus,
}

/// What is written into configurations.
pub(super) struct Plan {
    /// The program that agents start.
    pub(super) program: Program,
    /// The share server, for agents that speak to it themselves.
    pub(super) server: String,
}

/// This program, as agents start it.
pub(super) struct Program(String);

/// A file that setup wants something in.
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) content: Content,
}

/// Where agents keep their configuration.
pub(super) struct Homes {
    home: PathBuf,
    config: PathBuf,
}

impl Program {
    /// A program by its path, if that can be written into every configuration.
    pub(super) fn new(path: &Path) -> Result<Self, String> {
        let is_plain = |text: &&str| !text.contains(['\'', '"', '`', '$', '\\', '!', ':', '*']);
        let plain = path.to_str().filter(is_plain).filter(|text| !text.contains(char::is_control));
        let refused = || format!("{}: this path cannot stand in a command: move the program", path.display());
        plain.map(|path| Self(path.to_owned())).ok_or_else(refused)
    }

    /// As a shell's word.
    fn word(&self) -> String {
        let is_safe = self.0.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c));
        if is_safe { self.0.clone() } else { format!("'{}'", self.0) }
    }
}

impl Homes {
    /// Those of the user.
    pub(super) fn of_user() -> Result<Self, etcetera::HomeDirError> {
        let config = etcetera::choose_base_strategy()?.config_dir();
        Ok(Self { home: etcetera::home_dir()?, config })
    }

    /// What a variable names, else a path in the home directory.
    fn dir(&self, variable: &str, default: &str) -> PathBuf {
        let set = std::env::var_os(variable).filter(|dir| !dir.is_empty());
        set.map_or_else(|| self.home.join(default), PathBuf::from)
    }
}

impl Agent {
    /// Its name on the command line.
    pub(super) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What its user does now.
    pub(super) fn use_it(self) -> &'static str {
        match self {
            Self::Claude => {
                "In a new session of Claude Code, /share gives a link and /unshare takes it away; or ask for it."
            }
            Self::Codex => {
                "In a new session of Codex, $share gives a link and $unshare takes it away (/prompts:share in \
                 older versions); or ask for it. Codex wants to know before it calls the tool."
            }
            Self::Gemini => {
                "In a new session of Gemini CLI, /share gives a link and /unshare takes it away; or ask for it. It \
                 wants to know before it calls the tool."
            }
            Self::Qwen => {
                "In a new session of Qwen Code, /share gives a link and /unshare takes it away; or ask for it. It \
                 wants to know before it calls the tool."
            }
            Self::Pi => {
                "In a new session of pi, /share-live gives a link and /unshare-live takes it away (/share is pi's own)."
            }
            Self::OpenCode => "In a new session of OpenCode, /share gives a link and /unshare takes it away.",
            Self::Brutus => {
                "BRUTUS has no configuration to write: it reports to the relay by itself. Where the relay listens \
                 stands in `relay.json` in its local directory, and what its requests need in `token` beside it; \
                 docs/CLIENTS.md says how."
            }
        }
    }

    /// What setup wants in its files.
    pub(super) fn targets(self, homes: &Homes, plan: &Plan) -> Vec<Target> {
        let Plan { program, server } = plan;
        match self {
            Self::Claude => claude(homes, program),
            Self::Codex => codex(&homes.dir("CODEX_HOME", ".codex"), program),
            Self::Gemini => gemini(&homes.dir("GEMINI_CLI_HOME", "").join(".gemini"), program),
            Self::Qwen => qwen(&homes.dir("QWEN_HOME", ".qwen"), program),
            Self::Pi => pi(&homes.dir("PI_CODING_AGENT_DIR", ".pi/agent"), program),
            Self::OpenCode => vec![opencode(&homes.config.join("opencode"), server)],
            Self::Brutus => Vec::new(),
        }
    }
}

/// The MCP server as a user-wide one; hooks that say which session works; commands that run this program themselves:
/// it is the user who typed them, so nobody is asked again, no model can run them, and the session is the one in which
/// they were typed.
fn claude(homes: &Homes, program: &Program) -> Vec<Target> {
    let dir = homes.dir("CLAUDE_CONFIG_DIR", ".claude");
    // Beside the directory where that is the usual one, in it where it is another; in old installations under an older
    // name, which goes first.
    let older = dir.join(".config.json");
    let is_moved = std::env::var_os("CLAUDE_CONFIG_DIR").is_some_and(|dir| !dir.is_empty());
    let main = match is_moved {
        _ if older.exists() => older,
        true => dir.join(".claude.json"),
        false => homes.home.join(".claude.json"),
    };
    let server = json!({"type": "stdio", "command": program.0, "args": ["mcp"], "env": {}});
    let hook = json!([{"hooks": [{
        "type": "command",
        "command": format!("{} hook claude", program.word()),
        "timeout": 5,
    }]}]);
    let events = ["SessionStart", "UserPromptSubmit", "Notification", "Stop", "SessionEnd"];
    let hooks: Value = events.iter().map(|event| ((*event).to_owned(), hook.clone())).collect();
    let commands = dir.join("commands");
    vec![
        json_file(main, json!({"mcpServers": {NAME: server}})),
        json_file(dir.join("settings.json"), json!({"hooks": hooks})),
        whole(commands.join("share.md"), include_str!("texts/claude-share.md"), program),
        whole(commands.join("unshare.md"), include_str!("texts/claude-unshare.md"), program),
    ]
}

/// Skills, and prompts for the versions that had these in their place.
fn codex(dir: &Path, program: &Program) -> Vec<Target> {
    let server = json!({"command": program.0, "args": ["mcp"]});
    let (share, unshare) = (include_str!("texts/share.md"), include_str!("texts/unshare.md"));
    vec![
        Target {
            path: dir.join("config.toml"),
            content: Content::Toml(json!({"mcp_servers": {NAME: server}})),
        },
        whole(dir.join("skills/share/SKILL.md"), share, program),
        whole(dir.join("skills/unshare/SKILL.md"), unshare, program),
        whole(dir.join("prompts/share.md"), share, program),
        whole(dir.join("prompts/unshare.md"), unshare, program),
    ]
}

fn gemini(dir: &Path, program: &Program) -> Vec<Target> {
    vec![
        json_file(dir.join("settings.json"), mcp_servers(program)),
        whole(dir.join("commands/share.toml"), include_str!("texts/share.toml"), program),
        whole(dir.join("commands/unshare.toml"), include_str!("texts/unshare.toml"), program),
    ]
}

fn qwen(dir: &Path, program: &Program) -> Vec<Target> {
    vec![
        json_file(dir.join("settings.json"), mcp_servers(program)),
        whole(dir.join("commands/share.md"), include_str!("texts/share.md"), program),
        whole(dir.join("commands/unshare.md"), include_str!("texts/unshare.md"), program),
    ]
}

/// pi has no MCP, but commands that are programs.
fn pi(dir: &Path, program: &Program) -> Vec<Target> {
    vec![whole(dir.join("extensions/brutus-share.ts"), include_str!("texts/pi.ts"), program)]
}

/// OpenCode shares by itself: it only has to know where.
fn opencode(dir: &Path, server: &str) -> Target {
    let with_comments = dir.join("opencode.jsonc");
    let path = if with_comments.exists() { with_comments } else { dir.join("opencode.json") };
    json_file(path, json!({"enterprise": {"url": server}}))
}

fn mcp_servers(program: &Program) -> Value {
    json!({"mcpServers": {NAME: {"command": program.0, "args": ["mcp"]}}})
}

fn json_file(path: PathBuf, wanted: Value) -> Target {
    Target { path, content: Content::Json(wanted) }
}

/// A file of ours from its template.
fn whole(path: PathBuf, template: &str, program: &Program) -> Target {
    let quoted = Value::from(program.0.as_str()).to_string();
    let text =
        template.replace("{MARK}", MARK).replace("{WORD}", &program.word()).replace("{STRING}", &quoted);
    debug_assert!(text.contains(MARK) && path.extension() != Some(OsStr::new("json")));
    Target { path, content: Content::Whole(text) }
}
