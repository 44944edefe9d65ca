//! The log: on stderr, as text or as JSON.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// The log of this process, whose level can be changed.
pub(super) struct Logging(reload::Handle<EnvFilter, Registry>);

impl Logging {
    /// Starts logging.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub(super) fn start(log: &Log) -> Result<Self, ParseError> {
        let (filter, handle) = reload::Layer::new(Self::filter(log)?);
        let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = match log.log_format {
            LogFormat::Text => fmt::layer().with_writer(stderr).with_ansi(colours).boxed(),
            LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self(handle))
    }

    /// What to log.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub(super) fn filter(log: &Log) -> Result<EnvFilter, ParseError> {
        EnvFilter::try_new(&log.log)
    }

    /// Logs by another filter from now on.
    ///
    /// # Errors
    /// When the log has ended.
    pub(super) fn set(&self, filter: EnvFilter) -> Result<(), String> {
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}
