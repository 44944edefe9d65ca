//! The file in which the relay's unit finds its environment: a relay that is started without the unit reads it too.

use std::path::PathBuf;

use etcetera::BaseStrategy;

use super::NoHome;

/// `brutus-share/relay.env` in the user's configuration directory.
///
/// # Errors
/// When the user has no home directory.
pub fn relay_env_path() -> Result<PathBuf, NoHome> {
    let dirs = etcetera::choose_base_strategy().map_err(|_| NoHome { flag: "HOME" })?;
    Ok(dirs.config_dir().join("brutus-share").join("relay.env"))
}

/// The variables that the file sets; none when there is no file.
pub fn relay_env() -> Vec<(String, String)> {
    let text = relay_env_path().ok().and_then(|path| std::fs::read_to_string(path).ok());
    variables(&text.unwrap_or_default())
}

/// As systemd reads it (systemd.exec(5), `EnvironmentFile`), but for lines that go on in the next.
fn variables(text: &str) -> Vec<(String, String)> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with(['#', ';']));
    let variables = lines.filter_map(|line| line.split_once('='));
    variables.map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()).to_owned())).collect()
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_variables_and_comments_are_not() {
        let text = "# BRUTUS_SHARE_A=1\n; B=2\r\nBRUTUS_SHARE_API_URL=https://share.example/a=b\r\n\n \
                    HTTPS_PROXY = \"http://proxy\" \nNO_PROXY='a,b'\nnothing";
        let expected = [
            ("BRUTUS_SHARE_API_URL", "https://share.example/a=b"),
            ("HTTPS_PROXY", "http://proxy"),
            ("NO_PROXY", "a,b"),
        ];
        let read = variables(text);
        let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(read, expected);
    }
}
