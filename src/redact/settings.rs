//! What the owner says of redaction, as a configuration file has it.

use serde::Deserialize;

use super::{Level, Options, OwnRule};

/// The table `[redact]` of the relay's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How far a finding is to be believed
    pub level: Level,
    /// Whether the values of the owner's environment and credential files are secret
    pub environment: bool,
    /// Files beside `.env*` whose values are secret: patterns, from the session's directory
    pub files: Vec<String>,
    /// Whether the owner's home directory becomes `~`
    pub home: bool,
    /// Whether addresses of mail are secret
    pub emails: bool,
    /// What is let through: values, or their digests
    pub allow: Vec<String>,
    /// Rules of the owner's
    pub rule: Vec<OwnRule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Level::default(),
            environment: true,
            files: Vec::new(),
            home: true,
            emails: false,
            allow: Vec::new(),
            rule: Vec::new(),
        }
    }
}

impl Settings {
    /// What a redactor is built of, for an owner whose home directory this is.
    pub fn options(&self, home: Option<String>) -> Options {
        Options {
            level: self.level,
            home: home.filter(|_| self.home),
            emails: self.emails,
            allow: self.allow.clone(),
            rules: self.rule.clone(),
        }
    }
}
