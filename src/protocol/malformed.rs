//! Why a request or an item cannot be read.

/// What came is not what is expected here. The message says what was wrong and what is expected, and never repeats what
/// was sent: a mistyped secret would be in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl Malformed {
    /// What was wrong, and what is expected.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
