//! Files and commands whose output is full of secrets: what was read or run says so, and each value goes.

/// What such an output looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Values stand behind `=` or `:`
    Pairs,
    /// Values stand behind `=`; what stands behind `:` tells how a thing is made
    Assignments,
}

/// Fields of a tool's input that name a file.
pub(super) const PATHS: [&str; 11] = [
    "filePath",
    "file_path",
    "filepath",
    "path",
    "file",
    "filename",
    "fileName",
    "absolute_path",
    "relative_path",
    "target_file",
    "uri",
];

/// Fields of a tool's input that say what was run.
pub(super) const COMMANDS: [&str; 5] = ["command", "cmd", "script", "commandLine", "command_line"];

/// What a file holds, by its name.
pub(super) fn of_path(path: &str) -> Option<Source> {
    const CODE: [&str; 27] = [
        "rs", "ts", "tsx", "js", "jsx", "mjs", "cjs", "mts", "cts", "map", "go", "py", "java", "kt", "rb",
        "c", "h", "cc", "cpp", "cs", "php", "swift", "md", "html", "css", "vue", "svelte",
    ];
    const MODELS: [&str; 5] = ["example", "sample", "template", "dist", "tmpl"];
    const NAMES: [&str; 12] = [
        ".envrc",
        ".netrc",
        "_netrc",
        ".npmrc",
        ".pypirc",
        ".pgpass",
        ".git-credentials",
        ".dockercfg",
        ".s3cfg",
        ".boto",
        ".htpasswd",
        "secrets.env",
    ];
    let path = path.trim_matches(|c: char| matches!(c, '"' | '\'' | '`' | '(' | ')' | ','));
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let lower = name.to_ascii_lowercase();
    let folder = |folder: &str| path.contains(&format!("{folder}/{name}"));
    let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
    if CODE.contains(&extension) || MODELS.contains(&extension) {
        return None;
    }
    let secret = lower.starts_with(".env.")
        || extension == "env"
        || NAMES.contains(&&*lower)
        || lower.starts_with("credentials")
        || extension == "tfvars"
        || lower.ends_with(".tfvars.json")
        || extension == "pem"
        || lower.contains("kubeconfig")
        || ["secrets.yml", "secrets.yaml", "secrets.json", "secrets.toml"].contains(&&*lower)
        || (lower == "config" && folder(".kube"))
        || (lower == "config.json" && folder(".docker"))
        || (lower == "hosts.yml" && folder("gh"));
    secret.then_some(Source::Pairs)
}

/// What a command prints, by its words: what shows the environment, and whatever names a secret file.
pub(super) fn of_command(command: &str) -> Option<Source> {
    command.split(['\n', ';', '|', '&', '(', ')', '`']).find_map(of_simple_command)
}

fn of_simple_command(command: &str) -> Option<Source> {
    let wrapper =
        |word: &&str| matches!(*word, "sudo" | "command" | "exec" | "then" | "do" | "time" | "$" | "{");
    let words: Vec<_> = command.split_whitespace().skip_while(wrapper).collect();
    let (program, arguments) = words.split_first()?;
    let program = program.rsplit('/').next().unwrap_or(program);
    let all_options = || arguments.iter().all(|word| word.starts_with(['-', '>', '<', '2']));
    let has = |word: &str| arguments.contains(&word);
    match program {
        // `env NAME=value program` runs a program.
        "env" | "export" | "set" | "declare" | "typeset" if all_options() => Some(Source::Pairs),
        "printenv" => Some(Source::Pairs),
        "docker" | "podman" if has("inspect") => Some(Source::Assignments),
        "kubectl" | "oc" if arguments.iter().any(|word| word.starts_with("secret")) && !has("create") => {
            Some(Source::Pairs)
        }
        "heroku" if arguments.iter().any(|word| word.starts_with("config")) => Some(Source::Pairs),
        _ => arguments.iter().find_map(|word| of_path(word.trim_start_matches(['<', '>', '@']))),
    }
}

/// Calls with the name, the begin and the end of each value.
pub(super) fn values(text: &[u8], source: Source, mut found: impl FnMut(&[u8], usize, usize)) {
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let mut rest = 0;
        while let Some((name, start, end)) = next_value(line, rest, source) {
            let value = &line[start..end];
            let nothing = matches!(
                value,
                b"" | b"=" | b"true" | b"false" | b"null" | b"{" | b"[" | b"|" | b">" | b"{}" | b"[]"
            );
            if !nothing {
                found(name, at + start, at + end);
            }
            rest = end.max(rest + 1);
        }
        at += line.len();
    }
}

/// The next name with a value in a line: `NAME=value`, `"name": "value"`, `password value`.
fn next_value(line: &[u8], from: usize, source: Source) -> Option<(&[u8], usize, usize)> {
    let mut at = from;
    loop {
        let rest = line.get(at..)?;
        let sign = at + rest.iter().position(|byte| matches!(byte, b'=' | b':'))?;
        at = sign + 1;
        let Some((name, quote)) = name_before(&line[from..sign]) else { continue };
        if line[sign] == b':' && source == Source::Assignments {
            continue;
        }
        let behind = &line[at..];
        let spaces = behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'>')).count();
        let start = at + spaces;
        let value = &line[start..];
        let (start, length) = match value {
            [open @ (b'"' | b'\''), inside @ ..] => (start + 1, quoted(inside, *open)),
            // The name and the value stand in quotes together.
            _ if quote.is_some() && line[sign] == b'=' => (start, quoted(value, quote.unwrap_or(b'"'))),
            // Within JSON on one line.
            _ if quote.is_some() => (
                start,
                value.iter().position(|byte| matches!(byte, b',' | b'}' | b'\n')).unwrap_or(value.len()),
            ),
            _ => (start, value.len()),
        };
        let value = line[start..start + length].trim_ascii_end();
        let value = value.strip_suffix(b",").or_else(|| value.strip_suffix(b";")).unwrap_or(value);
        if line[start..].starts_with(b"{") || line[start..].starts_with(b"[") {
            // What is in it has names of its own.
            if let Some(inner) = next_value(line, start + 1, source) {
                return Some(inner);
            }
        }
        return Some((name, start, start + value.len()));
    }
}

fn quoted(inside: &[u8], quote: u8) -> usize {
    let mut escaped = false;
    inside
        .iter()
        .position(|byte| {
            let ends = *byte == quote && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })
        .unwrap_or_else(|| inside.trim_ascii_end().len())
}

/// The name that ends a text, and the quote before it. A line's number is none.
fn name_before(text: &[u8]) -> Option<(&[u8], Option<u8>)> {
    let text = text.trim_ascii_end();
    let closed = text.strip_suffix(b"\"").or_else(|| text.strip_suffix(b"'"));
    let text = closed.unwrap_or(text);
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let length = text.iter().rev().take(100).take_while(is_name).count();
    let (before, name) = text.split_at(text.len() - length);
    let number = name.iter().skip_while(|byte| **byte == b'L').all(u8::is_ascii_digit);
    let quote = before.last().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    (!number).then_some((name, quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secret_files() {
        for path in [
            ".env",
            "/app/.env.local",
            "prod.env",
            "~/.aws/credentials",
            "credentials.json",
            "a.tfvars",
            "C:\\x\\.npmrc",
            "/root/.kube/config",
            "my-kubeconfig.yaml",
            "server.pem",
        ] {
            assert_eq!(of_path(path), Some(Source::Pairs), "{path}");
        }
        for path in [
            ".env.example",
            "src/env.rs",
            "credentials.rs",
            "kubeconfig.go",
            "config",
            "README.md",
            "environment",
        ] {
            assert_eq!(of_path(path), None, "{path}");
        }
    }

    #[test]
    fn words_tell_commands_that_show_secrets() {
        for command in [
            "env",
            "env | sort",
            "cd /app && cat .env",
            "sudo printenv HOME",
            "export -p",
            "set",
            "grep -n KEY ./.env.local",
            "kubectl get secret db -o yaml",
            "source <(cat x); env",
            "cat ~/.aws/credentials",
        ] {
            assert_eq!(of_command(command), Some(Source::Pairs), "{command}");
        }
        assert_eq!(of_command("docker inspect web"), Some(Source::Assignments));
        for command in
            ["env FOO=1 make", "set -- a b", "export FOO=bar", "cat src/env.rs", "ls", "cp .env.example x"]
        {
            assert_eq!(of_command(command), None, "{command}");
        }
    }

    #[test]
    fn values_go_and_names_stay() {
        let found = |text: &str, source| {
            let mut found = Vec::new();
            values(text.as_bytes(), source, |name, start, end| {
                found.push(format!("{}={}", String::from_utf8_lossy(name), &text[start..end]));
            });
            found
        };
        let pairs = |text: &str| found(text, Source::Pairs);
        assert_eq!(pairs("A=1\n# B = two words \nexport C='x y'\n"), ["A=1", "B=two words", "C=x y"]);
        assert_eq!(pairs("00041| A=b\n  12: C: d\nL3: E=f\n"), ["A=b", "C=d", "E=f"]);
        assert_eq!(
            pairs(r#"{"a": "b\"c", "d": 17, "e": {"f": "g"}, "h": true}"#),
            [r#"a=b\"c"#, "d=17", "f=g"]
        );
        assert_eq!(
            pairs("//registry.npmjs.org/:_authToken=abc\nurl: http://x?a=b\n"),
            ["_authToken=abc", "url=http://x?a=b"]
        );
        assert_eq!(pairs("+A=\n no pairs here\ndata:\n  k: dg==\n"), ["k=dg=="]);
        let inspected = "\"Id\": \"sha256:0\",\n \"Env\": [\n  \"PASSWORD=a b\",\n";
        assert_eq!(found(inspected, Source::Assignments), ["PASSWORD=a b"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_values_within_it(text in "[a-c=:\"'{}\\[\\], \\\\\n]{0,60}") {
            for source in [Source::Pairs, Source::Assignments] {
                values(text.as_bytes(), source, |_, start, end| assert!(start < end && end <= text.len()));
            }
        }
    }
}
