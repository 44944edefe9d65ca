//! Files in which programs keep what lets them in, read for the values that are secret: `.env` and its like, JSON,
//! `.netrc`, lists of URLs. What a file is follows from what stands in it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::known::Known;

/// Values that are taken out of one file.
const MAX_VALUES: usize = 1000;

/// Objects and lists in each other that are read.
const MAX_DEPTH: usize = 32;

/// The secret values of a file with credentials.
pub fn credentials(text: &str) -> Vec<Known> {
    let mut known = match serde_json::from_str::<Value>(text) {
        Ok(json) if json.is_object() => {
            let mut known = Vec::new();
            of_json("", &json, MAX_DEPTH, &mut known);
            known
        }
        _ => variables(text).into_iter().chain(logins(text)).chain(addresses(text)).collect(),
    };
    known.truncate(MAX_VALUES);
    known
}

/// The secret values of lines that say `NAME=VALUE` or `name: value`, as `.env` files, INI, TOML and YAML do.
pub fn variables(text: &str) -> Vec<Known> {
    let variable = |line: &str| {
        let line = line.trim();
        if line.starts_with(['#', ';', '[']) {
            return None;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once(['=', ':'])?;
        // `//registry.example/:_authToken=…` has its name behind the colon.
        let (name, value) = match value.split_once('=') {
            Some((inner, value)) if inner.starts_with('_') => (inner, value),
            _ => (name, value),
        };
        Known::variable(name.trim().trim_matches(['"', '\'', '-', ' ']), unquoted(value.trim()))
    };
    text.lines().filter_map(variable).take(MAX_VALUES).collect()
}

/// A value without its quotes, or without the comment behind it.
fn unquoted(value: &str) -> &str {
    let value = value.trim_end_matches(',');
    for quote in ['"', '\'', '`'] {
        if let Some(inner) = value.strip_prefix(quote) {
            return inner.find(quote).map_or(inner, |end| &inner[..end]);
        }
    }
    value.find(" #").map_or(value, |end| value[..end].trim_end())
}

/// The passwords of `.netrc`.
fn logins(text: &str) -> Vec<Known> {
    let words: Vec<_> = text.split_whitespace().collect();
    let passwords = words.windows(2).filter(|pair| pair[0] == "password");
    passwords.filter_map(|pair| Known::secret("netrc-password", pair[1])).collect()
}

/// The passwords of URLs that stand alone on their lines, as in `.git-credentials`.
fn addresses(text: &str) -> Vec<Known> {
    let password = |line: &str| {
        let (_, rest) = line.trim().split_once("://")?;
        let (login, _) = rest.split_once('@')?;
        Known::secret("url-password", login.split_once(':')?.1)
    };
    text.lines().filter(|line| !line.contains(['=', ' '])).filter_map(password).collect()
}

fn of_json(name: &str, json: &Value, depth: usize, known: &mut Vec<Known>) {
    if depth == 0 || known.len() >= MAX_VALUES {
        return;
    }
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                of_json(name, value, depth - 1, known);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| of_json(name, value, depth - 1, known)),
        Value::String(value) => {
            // Docker writes `user:password` in base64.
            let login = (name == "auth").then(|| STANDARD.decode(value).ok()).flatten();
            let login = login.and_then(|login| String::from_utf8(login).ok());
            if let Some((_, password)) = login.as_deref().and_then(|login| login.split_once(':')) {
                known.extend(Known::secret("docker-password", password));
                known.extend(Known::secret("docker-auth", value));
            } else {
                known.extend(Known::variable(name, value));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        credentials(text).iter().map(|known| known.value().to_owned()).collect()
    }

    #[test]
    fn files_give_their_secrets_and_nothing_else() {
        let env = "# A comment\nexport DB_PASSWORD='hunter2 hunter2'\nDEBUG=true\nPORT=8090\n\
                   HOME_URL=https://a.example\nAPI_KEY=\"x8Kq02mfPz77\" # here\n";
        assert_eq!(values(env), ["hunter2 hunter2", "x8Kq02mfPz77"]);
        let npmrc = "registry=https://registry.example/\n//registry.example/:_authToken=npm_x8Kq02mfPz77aa\n";
        assert_eq!(values(npmrc), ["npm_x8Kq02mfPz77aa"]);
        let aws =
            "[default]\naws_access_key_id = AKIAQ3EGRB7XMPLK2VJH\naws_secret_access_key = q9/Lm3+Zk81\n";
        assert_eq!(values(aws).last().unwrap(), "q9/Lm3+Zk81");
        let netrc = "machine a.example login ada password tr0ub4dor&3";
        assert_eq!(values(netrc), ["tr0ub4dor&3"]);
        assert_eq!(values("https://ada:tr0ub4dor&3@git.example\n"), ["tr0ub4dor&3"]);
        let hosts = "github.com:\n    user: ada\n    oauth_token: gho_x8Kq02mfPz77x8Kq02mfPz77x8Kq02mfPz77\n";
        assert_eq!(values(hosts), ["gho_x8Kq02mfPz77x8Kq02mfPz77x8Kq02mfPz77"]);
    }

    #[test]
    fn json_gives_its_tokens_and_logins() {
        let agent =
            r#"{"tokens":{"access_token":"x8Kq02mfPz77","account":"ada"},"last_refresh":"2026-01-01"}"#;
        assert_eq!(values(agent), ["x8Kq02mfPz77"]);
        let docker = r#"{"auths":{"r.example":{"auth":"YWRhOnRyMHViNGRvciYz"}}}"#;
        assert_eq!(values(docker), ["tr0ub4dor&3", "YWRhOnRyMHViNGRvciYz"]);
        assert!(values("{\"broken").is_empty() && values("").is_empty());
    }
}
