//! How often a share's lock may be tried: over all processes that serve the store, for all addresses together.

/// Tries that may fail within [`WINDOW_MS`].
const MAX_TRIES: i64 = 100;

/// For how long tries are counted, from the first on, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Tries that are counted: since when, in milliseconds since 1970, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tries {
    pub(super) since: i64,
    pub(super) count: i64,
}

impl Tries {
    /// One more at a time, with what is counted already; or when the next may come.
    pub(super) fn one_more(counted: Option<Self>, at: i64) -> Result<Self, i64> {
        match counted {
            // The clocks of two machines may differ by a little, and not for long by much.
            Some(Self { since, count }) if (at - since).abs() < WINDOW_MS => {
                if count < MAX_TRIES {
                    Ok(Self { since, count: count + 1 })
                } else {
                    Err(since + WINDOW_MS)
                }
            }
            _ => Ok(Self { since: at, count: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_fail_within_a_minute_and_then_it_begins_anew() {
        let mut counted = None;
        for n in 0..MAX_TRIES {
            counted = Some(Tries::one_more(counted, 1_000_000 + n).expect("allowed"));
        }
        assert_eq!(Tries::one_more(counted, 1_059_999), Err(1_060_000));
        let anew = Tries { since: 1_060_000, count: 1 };
        assert_eq!(Tries::one_more(counted, 1_060_000), Ok(anew));
        // A clock that was far ahead keeps nobody out for long.
        let ahead = Some(Tries { since: 9_000_000, count: MAX_TRIES });
        assert_eq!(Tries::one_more(ahead, 1_060_000), Ok(anew));
    }
}
