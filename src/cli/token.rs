//! `brutus-share token`: who may create shares, where not everybody may.

use std::error::Error;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::admin::print_json;
use super::data::ServerData;
use super::person::age;
use crate::clock::now_ms;
use crate::config::{Rate, duration};
use crate::model::Secret;
use crate::store::NewToken;

/// `token`
#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(flatten)]
    data: ServerData,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token and print it: it is kept nowhere, and cannot be printed again
    Add {
        /// What to call it: whose it is
        name: String,
        /// Shares that may be created with it: N/s, N/m or N/h [default: the server's own]
        #[arg(long, value_name = "RATE")]
        create_limit: Option<Rate>,
        /// Shares of it that there may be at once [default: no limit]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
        max_shares: Option<i64>,
        /// How long it holds [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires_in: Option<Duration>,
    },
    /// List tokens, without the tokens themselves
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token: nothing more is created with it, and its shares stay
    Revoke {
        /// Its name
        name: String,
    },
}

/// Runs a command.
pub(super) fn run(token: &Token) -> Result<(), Box<dyn Error>> {
    let mut operator = token.data.open()?;
    let now = now_ms();
    match &token.command {
        Command::Add { name, create_limit, max_shares, expires_in } => {
            if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
                return Err("a token's name has 1 to 64 bytes, all of them to be read".into());
            }
            let text = Secret::create_token()?;
            operator.add_token(&NewToken {
                name: name.clone(),
                hash: text.hash(),
                create_limit: create_limit.map(|rate| rate.to_string()),
                max_shares: *max_shares,
                at: now,
                expires_at: expires_in
                    .map(|time| now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))),
            })?;
            say!("{}", text.expose());
        }
        Command::List { json } => {
            let tokens = operator.tokens()?;
            if *json {
                let tokens: Vec<_> = tokens
                    .iter()
                    .map(|(token, shares)| {
                        json!({
                            "name": token.name, "shares": shares, "maxShares": token.max_shares,
                            "createLimit": token.create_limit, "createdAt": token.created_at,
                            "expiresAt": token.expires_at, "revokedAt": token.revoked_at,
                        })
                    })
                    .collect();
                return print_json(&tokens);
            }
            let width = tokens.iter().map(|(token, _)| token.name.len()).max().unwrap_or(0).max(4);
            say!("{:width$}  {:8}  {:>9}  {:>13}  CREATE LIMIT", "NAME", "STATE", "CREATED", "SHARES");
            for (token, shares) in &tokens {
                let state = match (token.revoked_at, token.expires_at) {
                    (Some(_), _) => "revoked",
                    (None, Some(end)) if end <= now => "expired",
                    _ => "holds",
                };
                let shares = match token.max_shares {
                    Some(max) => format!("{shares} of {max}"),
                    None => shares.to_string(),
                };
                say!(
                    "{:width$}  {state:8}  {:>9}  {shares:>13}  {}",
                    token.name,
                    age(token.created_at),
                    token.create_limit.as_deref().unwrap_or("-")
                );
            }
        }
        Command::Revoke { name } => {
            operator.revoke_token(name, now)?;
            say!("{name} creates no more shares");
        }
    }
    Ok(())
}
