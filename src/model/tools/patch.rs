//! The patches that Codex writes (`*** Begin Patch`), and the commands that carry one, as unified diffs. Linear. The
//! page reads them in the same way (`viewer/load/apply-patch.js`).

use std::fmt::Write;

use super::table::table;

const ADD: &str = "*** Add File: ";
const DELETE: &str = "*** Delete File: ";
const UPDATE: &str = "*** Update File: ";
const MOVE: &str = "*** Move to: ";

/// A file's name, and what changed in it as a unified diff.
pub(super) type FilePatch = (String, String);

/// The changes of a patch; none when it is not such a patch. Where the lines stand in their file is not known: heads of
/// hunks say `?`.
pub(super) fn changes(text: &str) -> Vec<FilePatch> {
    let mut changes: Vec<FileChange> = Vec::new();
    let mut is_over = true;
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        if line.starts_with("*** Begin Patch") {
            is_over = false;
        } else if line.starts_with("*** End Patch") {
            is_over = true;
        } else if is_over {
        } else if let Some(name) = line.strip_prefix(ADD) {
            changes.push(FileChange::new(None, Some(name)));
        } else if let Some(name) = line.strip_prefix(DELETE) {
            changes.push(FileChange::new(Some(name), None));
        } else if let Some(name) = line.strip_prefix(UPDATE) {
            changes.push(FileChange::new(Some(name), Some(name)));
        } else if let Some(change) = changes.last_mut() {
            if let Some(name) = line.strip_prefix(MOVE) {
                change.newer = Some(name.trim());
            } else if line != "*** End of File" {
                change.add(line);
            }
        }
    }
    changes.into_iter().map(FileChange::unified).collect()
}

struct FileChange<'a> {
    /// The name of the file before, and after.
    older: Option<&'a str>,
    newer: Option<&'a str>,
    hunks: String,
    hunk: Option<Hunk<'a>>,
}

#[derive(Default)]
struct Hunk<'a> {
    about: Vec<&'a str>,
    lines: Vec<&'a str>,
}

impl<'a> FileChange<'a> {
    fn new(older: Option<&'a str>, newer: Option<&'a str>) -> Self {
        Self { older: older.map(str::trim), newer: newer.map(str::trim), hunks: String::new(), hunk: None }
    }

    fn add(&mut self, line: &'a str) {
        let Some(about) = line.strip_prefix("@@") else {
            self.hunk.get_or_insert_default().lines.push(line);
            return;
        };
        // Heads behind each other lead to one place, from the outside inwards.
        if self.hunk.as_ref().is_some_and(|hunk| !hunk.lines.is_empty()) {
            self.flush();
        }
        self.hunk.get_or_insert_default().about.push(about.trim());
    }

    fn flush(&mut self) {
        let Some(Hunk { about, lines }) = self.hunk.take() else { return };
        let but = |sign| lines.iter().filter(|line| !line.starts_with(sign)).count();
        let (old, new) = (but('+'), but('-'));
        let _ = match self.older {
            None => write!(self.hunks, "@@ -0,0 +1,{new} @@"),
            Some(_) => write!(self.hunks, "@@ -?,{old} +?,{new} @@"),
        };
        let about = about.join(" ");
        if !about.trim_end().is_empty() {
            let _ = write!(self.hunks, " {}", about.trim_end());
        }
        self.hunks.push('\n');
        for line in lines {
            self.hunks.push_str(line);
            self.hunks.push('\n');
        }
    }

    fn unified(mut self) -> FilePatch {
        self.flush();
        let name = |name: Option<&'a str>| name.unwrap_or("/dev/null");
        let patch = format!("--- {}\n+++ {}\n{}", name(self.older), name(self.newer), self.hunks);
        (name(self.newer.or(self.older)).to_owned(), patch)
    }
}

/// The patch that a shell's command is, with nothing beside it, and the directory in which it is applied.
pub(super) fn in_command(command: &str) -> Option<(&str, Option<&str>)> {
    let script = command.trim();
    let (directory, script) = match script.strip_prefix("cd ") {
        Some(rest) => {
            let (directory, rest) = rest.split_once(" && ")?;
            let is_plain = |c: char| !c.is_whitespace() && !"'\"&;|".contains(c);
            (!directory.is_empty() && directory.chars().all(is_plain)).then_some((Some(directory), rest))?
        }
        None => (None, script),
    };
    let blanks = [' ', '\t'];
    let (head, body) = script.split_once('\n')?;
    let head = head.strip_prefix(table().patcher.as_str())?.trim_start_matches(blanks).strip_prefix("<<")?;
    let head = head.strip_prefix('-').unwrap_or(head).trim_matches(blanks);
    let quotes = ['\'', '"'];
    let end = head.strip_prefix(quotes).unwrap_or(head);
    let end = end.strip_suffix(quotes).unwrap_or(end);
    if end.is_empty() || !end.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let closing = format!("\n{end}");
    let patch = body.strip_suffix(&closing)?;
    // Words behind the end of the patch are commands of their own, and not to be hidden.
    (!patch.contains(&closing)).then_some((patch, directory))
}
