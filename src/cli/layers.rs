//! Flags over environment over a file over defaults.
//!
//! The file's values take the place of the built-in defaults, so that they go through the same parsers as flags do and
//! clap puts flags and environment over them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, Error};
use serde_json::{Map, Value};

/// Parses the command line, with the file that it names as a layer. Ends the process on wrong use, as clap does.
pub(super) fn matches<C: CommandFactory>(args: Vec<OsString>) -> ArgMatches {
    let command = C::command();
    let matches = command.clone().get_matches_from(&args);
    let Some((name, file)) = config_file(&matches) else { return matches };
    match with_file(command.clone(), &name, &file) {
        Ok(layered) => layered
            .try_get_matches_from(args)
            .unwrap_or_else(|error| fail(command, &format!("{}: {}", file.display(), plain(&error)))),
        Err(reason) => fail(command, &format!("{}: {reason}", file.display())),
    }
}

fn config_file(matches: &ArgMatches) -> Option<(String, PathBuf)> {
    let (name, matches) = matches.subcommand()?;
    let file = matches.try_get_one::<PathBuf>("config").ok()??;
    Some((name.to_owned(), file.clone()))
}

/// The command with a file's values as the defaults of its options.
fn with_file(command: Command, name: &str, file: &Path) -> Result<Command, String> {
    let values = read(file)?;
    let subcommand = command.find_subcommand(name).ok_or("no such command")?;
    let known: Vec<String> = subcommand
        .get_arguments()
        .filter(|arg| arg.get_long().is_some() && arg.get_id() != "config")
        .map(|arg| arg.get_id().to_string())
        .collect();
    let mut defaults = Vec::new();
    for (key, value) in values {
        if !known.contains(&key) {
            let distance = |name: &String| strsim::damerau_levenshtein(name, &key);
            let nearest = known.iter().min_by_key(|name| distance(name)).map_or("", String::as_str);
            return Err(format!("unknown key `{key}`: did you mean `{nearest}`?"));
        }
        let value = match value {
            Value::String(text) => text,
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            _ => return Err(format!("`{key}` must be a text, a number or true/false")),
        };
        defaults.push((key, value));
    }
    Ok(command.mut_subcommand(name, |mut subcommand| {
        for (key, value) in defaults {
            subcommand = subcommand.mut_arg(key, |arg| arg.default_value(value));
        }
        subcommand
    }))
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

fn fail(mut command: Command, message: &str) -> ! {
    command.error(ErrorKind::ValueValidation, message).exit()
}
