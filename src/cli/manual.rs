//! `brutus-share manual`: what a package ships beside the program.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// `manual DIR`
#[derive(Debug, Args)]
pub(super) struct Manual {
    /// A directory, made when there is none
    dir: PathBuf,
}

/// Writes a man page for each command, and completions for the shells in use.
pub(super) fn write(manual: &Manual) -> Result<(), Box<dyn Error>> {
    let pages = manual.dir.join("man1");
    fs::create_dir_all(&pages)?;
    let mut command = Cli::command();
    clap_mangen::generate_to(command.clone(), &pages)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "brutus-share", &manual.dir)?;
    }
    Ok(())
}
