//! A password on its way.

use std::fmt;

use serde::Serialize;

use super::Malformed;

/// Bytes of a password.
const MAX_PASSWORD: usize = 1024;

/// A share's password. Nothing that is printed shows it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Password(String);

impl Password {
    /// A text as a password.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn new(text: impl Into<String>) -> Result<Self, Malformed> {
        let text = text.into();
        if text.is_empty() || text.len() > MAX_PASSWORD {
            return Err(Malformed::new(format!("`password` must have 1 to {MAX_PASSWORD} bytes")));
        }
        Ok(Self(text))
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
