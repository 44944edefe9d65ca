//! The owner's home directory as `~`: his name stands in nearly every path.

use memchr::memmem::Finder;

/// A home directory in the ways in which it is written.
#[derive(Debug)]
pub(super) struct Home {
    writings: Vec<(Finder<'static>, &'static str)>,
}

impl Home {
    /// `None` for a directory that is not one's own: `/`, or no whole path.
    pub(super) fn new(directory: &str) -> Option<Self> {
        let directory = directory.trim_end_matches(['/', '\\']);
        let whole = directory.starts_with('/') || directory.get(1..3) == Some(":\\");
        if !whole || directory.len() < 4 {
            return None;
        }
        let mut writings = vec![(directory.to_owned(), "~"), (directory.replace('/', "%2F"), "~")];
        if directory.contains('\\') {
            writings.push((directory.replace('\\', "\\\\"), "~"));
            writings.push((directory.replace('\\', "/"), "~"));
        }
        // As Claude Code names the directories of its transcripts.
        writings.push((format!("/{}-", directory.replace(['/', '\\', ':', '.'], "-")), "/-~-"));
        writings.dedup();
        let writings =
            writings.into_iter().map(|(writing, by)| (Finder::new(&writing).into_owned(), by)).collect();
        Some(Self { writings })
    }

    /// Calls with the begin and the end of each place, and what is to stand there.
    pub(super) fn places(&self, text: &[u8], mut found: impl FnMut(usize, usize, &'static str)) {
        for (writing, by) in &self.writings {
            for start in writing.find_iter(text) {
                let end = start + writing.needle().len();
                let is_path = *by == "~";
                let whole = !text.get(end).is_some_and(|byte| is_name(*byte)) && begins_path(&text[..start]);
                if whole || !is_path {
                    found(start, end, by);
                }
            }
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | 0x80..)
}

/// Whether a path may begin behind a text: not within another, but behind the `a` and `b` of a diff, and an escape.
fn begins_path(before: &[u8]) -> bool {
    match before {
        [rest @ .., b'a' | b'b'] if rest.is_empty() || rest.ends_with(b" ") || rest.ends_with(b"\n") => true,
        [.., b'.' | b'~'] => false,
        [.., byte] if is_name(*byte) => super::scan::ends_escape(before, before.len()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(home: &str, text: &str) -> String {
        let mut places = Vec::new();
        Home::new(home).unwrap().places(text.as_bytes(), |start, end, by| places.push((start, end, by)));
        places.sort_unstable();
        let mut out = String::new();
        let mut done = 0;
        for (start, end, by) in places {
            out += &text[done..start];
            out += by;
            done = end;
        }
        out + &text[done..]
    }

    #[test]
    fn the_owners_name_leaves_the_paths() {
        for (text, expected) in [
            ("cd /home/ada/x && ls /home/ada", "cd ~/x && ls ~"),
            ("--- a/home/ada/x\n+++ b/home/ada/x", "--- a~/x\n+++ b~/x"),
            (
                "file:///home/ada/x /home/adamant /mnt/home/ada /home/ada.bak",
                "file://~/x /home/adamant /mnt/home/ada /home/ada.bak",
            ),
            ("%2Fhome%2Fada%2Fx", "~%2Fx"),
            (r"a\n/home/ada/x", r"a\n~/x"),
            ("~/.claude/projects/-home-ada-x/1.jsonl", "~/.claude/projects/-~-x/1.jsonl"),
        ] {
            assert_eq!(rewritten("/home/ada/", text), expected);
        }
        assert_eq!(
            rewritten(r"C:\Users\ada", r"C:\Users\ada\x C:\\Users\\ada\\x C:/Users/ada"),
            r"~\x ~\\x ~"
        );
        assert!(Home::new("/").is_none() && Home::new("").is_none() && Home::new("home").is_none());
    }
}
