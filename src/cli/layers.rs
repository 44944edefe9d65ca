//! Flags over environment over a file over defaults.
//!
//! The file's values take the place of the built-in defaults, so that they go through the same parsers as flags do and
//! clap puts flags and environment over them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, Error};
use serde_json::{Map, Value};

/// Parses the command line, with the file that it names as a layer.
///
/// # Errors
/// On wrong use, and on a request for help: what clap has to say.
pub(super) fn matches<C: CommandFactory>(args: &[OsString]) -> Result<ArgMatches, Error> {
    layered::<C>(args).map(|(matches, _)| matches)
}

/// The matches, and what the file says of them.
fn layered<C: CommandFactory>(args: &[OsString]) -> Result<(ArgMatches, Vec<String>), Error> {
    let command = with_old_names(C::command());
    let matches = command.clone().try_get_matches_from(args)?;
    let Some((name, file)) = config_file(&matches) else { return Ok((matches, Vec::new())) };
    let refused = |reason: &str| {
        command.clone().error(ErrorKind::ValueValidation, format!("{}: {reason}", file.display()))
    };
    let (layered, keys) = with_file(command.clone(), &name, &file).map_err(|reason| refused(&reason))?;
    let matches = layered.try_get_matches_from(args).map_err(|error| refused(&plain(&error)))?;
    Ok((matches, keys))
}

/// The variable that both daemons read for their address: who set it for one had the other listen there too.
const OLD_LISTEN: &str = "BRUTUS_SHARE_LISTEN";

/// Warns of that name where it is set.
pub(super) fn warn_of_old_names() {
    if std::env::var_os(OLD_LISTEN).is_some() {
        tracing::warn!(
            "{OLD_LISTEN} is read by serve and by relay: name one with BRUTUS_SHARE_SERVE_LISTEN or \
             BRUTUS_SHARE_RELAY_LISTEN"
        );
    }
}

/// The command, which takes that name too where the daemon's own is not set.
fn with_old_names(command: Command) -> Command {
    if std::env::var_os(OLD_LISTEN).is_none() {
        return command;
    }
    ["serve", "relay"].into_iter().fold(command, |command, daemon| {
        command.mut_subcommand(daemon, |daemon| {
            daemon.mut_arg("listen", |listen| {
                let own = listen.get_env().and_then(std::env::var_os);
                if own.is_some() { listen } else { listen.env(OLD_LISTEN) }
            })
        })
    })
}

/// An option of a daemon as it holds.
pub(super) struct Setting {
    /// Its name, as it stands in a file.
    pub(super) name: String,
    /// Its value, when it has one.
    pub(super) value: Option<String>,
    /// Where that comes from.
    pub(super) source: &'static str,
}

/// Every option of the subcommand that a command line names.
///
/// # Errors
/// As `matches`.
pub(super) fn settings<C: CommandFactory>(args: &[OsString]) -> Result<Vec<Setting>, Error> {
    let (matches, keys) = layered::<C>(args)?;
    let Some((name, matches)) = matches.subcommand() else { return Ok(Vec::new()) };
    let mut command = C::command();
    command.build();
    let Some(subcommand) = command.find_subcommand(name) else { return Ok(Vec::new()) };
    let setting = |name: String| {
        let values = matches.get_raw(&name).into_iter().flatten();
        let source = match matches.value_source(&name) {
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            Some(_) if keys.contains(&name) => "file",
            _ => "default",
        };
        Setting { value: values.map(|value| value.to_string_lossy().into_owned()).next(), name, source }
    };
    Ok(options(subcommand).map(setting).collect())
}

/// The options of a daemon that a file may name.
fn options(subcommand: &Command) -> impl Iterator<Item = String> {
    subcommand
        .get_arguments()
        .filter(|arg| arg.get_long().is_some() && !arg.is_hide_set())
        .filter(|arg| arg.get_id() != "config" && arg.get_id() != "help")
        .map(|arg| arg.get_id().to_string())
}

/// The hidden option that takes what a file says in a table, beside its `mode`.
fn table_of(key: &str) -> String {
    format!("{key}_options")
}

fn config_file(matches: &ArgMatches) -> Option<(String, PathBuf)> {
    let (name, matches) = matches.subcommand()?;
    let file = matches.try_get_one::<PathBuf>("config").ok()??;
    Some((name.to_owned(), file.clone()))
}

/// The command with a file's values as the defaults of its options, and which these are.
fn with_file(command: Command, name: &str, file: &Path) -> Result<(Command, Vec<String>), String> {
    let values = read(file)?;
    let subcommand = command.find_subcommand(name).ok_or("no such command")?;
    let known: Vec<String> = options(subcommand).collect();
    let mut defaults = Vec::new();
    for (key, value) in values {
        if !known.contains(&key) {
            let distance = |name: &String| strsim::damerau_levenshtein(name, &key);
            let nearest = known.iter().min_by_key(|name| distance(name)).map_or("", String::as_str);
            return Err(format!("unknown key `{key}`: did you mean `{nearest}`?"));
        }
        let value = match value {
            Value::Object(mut table)
                if subcommand.get_arguments().any(|arg| arg.get_id() == &*table_of(&key)) =>
            {
                if let Some(mode) = table.remove("mode") {
                    let mode = mode.as_str().ok_or_else(|| format!("`{key}.mode` must be a text"))?;
                    defaults.push((key.clone(), mode.to_owned()));
                }
                let table_key = table_of(&key);
                defaults.push((table_key, Value::Object(table).to_string()));
                continue;
            }
            Value::String(text) => text,
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(format!("`{key}` must be a text, a number or true/false")),
        };
        defaults.push((key, value));
    }
    let keys = defaults.iter().map(|(key, _)| key.clone()).collect();
    let layered = command.mut_subcommand(name, |mut subcommand| {
        for (key, value) in defaults {
            subcommand = subcommand.mut_arg(key, |arg| arg.default_value(value));
        }
        subcommand
    });
    Ok((layered, keys))
}

/// A file of options: JSON by its name, TOML otherwise.
fn read(file: &Path) -> Result<Map<String, Value>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    if file.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    }
}

fn plain(error: &Error) -> String {
    let text = error.to_string();
    text.trim_start_matches("error: ").lines().next().unwrap_or_default().to_owned()
}
