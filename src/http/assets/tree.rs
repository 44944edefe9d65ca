//! The page's files as they are served, read from a folder. Of the standard library alone: the build script uses this
//! file too.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// All style sheets that `index.html` names, as one file: a browser paints nothing before it has them.
pub(super) const STYLES: &str = "page.css";

/// The module that is the page.
const ENTRY: &str = "app.js";

/// A file, by its path below the folder.
pub(super) struct File {
    pub(super) path: String,
    pub(super) data: Vec<u8>,
}

/// The files of a folder, in the order of their paths.
///
/// # Errors
/// When one cannot be read.
pub(super) fn read(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for (path, place) in list(root)? {
        files.push(File { path, data: fs::read(place)? });
    }
    let styles = styles(&files);
    files.push(File { path: STYLES.into(), data: styles });
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The paths of a folder's files: as they are served, and where they are.
///
/// # Errors
/// When a folder cannot be read.
pub(super) fn list(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let (mut files, mut folders) = (Vec::new(), vec![(String::new(), root.to_owned())]);
    while let Some((above, folder)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{above}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push((format!("{path}/"), entry.path()));
            } else if path.rsplit_once('.').is_none_or(|(_, extension)| extension != "json") {
                files.push((path, entry.path()));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The style sheets of a page, in its order.
fn styles(files: &[File]) -> Vec<u8> {
    let page = text(files, "index.html");
    let sheets =
        page.lines().filter(|line| is_style(line)).filter_map(|line| between(line, "../assets/", "\""));
    sheets.flat_map(|path| [text(files, path).as_bytes(), b"\n"].concat()).collect()
}

/// Whether a line of a page names a style sheet.
pub(super) fn is_style(line: &str) -> bool {
    line.starts_with("<link rel=\"stylesheet\"")
}

/// The page's module, those that it imports, and those that these import: not what is imported later, when it is
/// needed. What is imported by more than one stands there once, the nearest to the first before others.
pub(super) fn modules(files: &[File]) -> Vec<String> {
    let (mut known, mut found, mut next) = (HashSet::from([ENTRY.to_owned()]), vec![ENTRY.to_owned()], 0);
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        for imported in imports(text(files, &path)).filter_map(|name| resolve(&path, name)) {
            if files.iter().any(|file| file.path == imported) && known.insert(imported.clone()) {
                found.push(imported);
            }
        }
    }
    found
}

/// What a module imports: the names in its lines that begin, or end, an import or an export of something imported.
fn imports(module: &str) -> impl Iterator<Item = &str> {
    let lines = module
        .lines()
        .filter(|line| ["import ", "export ", "} from "].iter().any(|word| line.starts_with(word)));
    lines.filter_map(|line| between(line, "from '", "'").or_else(|| between(line, "import '", "'")))
}

/// The path that a module means by a relative name.
fn resolve(module: &str, name: &str) -> Option<String> {
    let mut path: Vec<_> = module.split('/').collect();
    path.pop();
    for step in name.starts_with('.').then_some(name)?.split('/') {
        match step {
            "." => {}
            ".." => drop(path.pop()?),
            step => path.push(step),
        }
    }
    Some(path.join("/"))
}

fn text<'a>(files: &'a [File], path: &str) -> &'a str {
    let file = files.iter().find(|file| file.path == path);
    file.and_then(|file| std::str::from_utf8(&file.data).ok()).unwrap_or_default()
}

fn between<'a>(text: &'a str, before: &str, behind: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(behind)?.0)
}
