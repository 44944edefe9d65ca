//! Hrana over HTTP, version 3, in JSON: as much of it as is spoken here. A stream is a connection to SQLite at the
//! server; a batch is some statements on it, each on conditions; a cursor is a batch whose rows come one by one.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize, Serializer};

/// The specification says no padding, and libraries differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A value of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg<'a> {
    Integer(i64),
    MaybeInteger(Option<i64>),
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Blob(&'a [u8]),
}

impl Serialize for Arg<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(tag = "type", rename_all = "lowercase")]
        enum Typed<'a> {
            Null,
            // As text, for JavaScript's numbers do not hold all of them.
            Integer { value: String },
            Text { value: &'a str },
            Blob { base64: String },
        }
        let typed = match *self {
            Self::Integer(value) | Self::MaybeInteger(Some(value)) => {
                Typed::Integer { value: value.to_string() }
            }
            Self::Text(value) | Self::MaybeText(Some(value)) => Typed::Text { value },
            Self::Blob(bytes) => Typed::Blob { base64: BASE64.encode(bytes) },
            Self::MaybeInteger(None) | Self::MaybeText(None) => Typed::Null,
        };
        typed.serialize(serializer)
    }
}

/// One statement of a batch.
#[derive(Debug, Serialize)]
pub(super) struct Step<'a> {
    stmt: Statement<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
}

#[derive(Debug, Serialize)]
struct Statement<'a> {
    sql: &'a str,
    args: Vec<Arg<'a>>,
}

/// When a statement runs: by what became of earlier ones, which are called by their places.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Condition {
    Ok { step: usize },
    Not { cond: Box<Condition> },
    And { conds: Vec<Condition> },
}

impl<'a> Step<'a> {
    /// One that runs whatever became of others.
    pub(super) fn new(sql: &'a str, args: impl Into<Vec<Arg<'a>>>) -> Self {
        Self { stmt: Statement { sql, args: args.into() }, condition: None }
    }

    fn on(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }
}

/// Statements that run one after the other on one stream.
#[derive(Debug, Serialize)]
pub(super) struct Batch<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Batch<'a> {
    /// One statement, which is a transaction by itself.
    pub(super) fn one(step: Step<'a>) -> Self {
        Self { steps: vec![step] }
    }

    /// A transaction that begins with `begin`: each statement only after the one before was done, and all or none. The
    /// results of the steps stand from the second on.
    pub(super) fn transaction(begin: &'a str, steps: Vec<Step<'a>>) -> Self {
        let all = std::iter::once(Step::new(begin, [])).chain(steps).chain([Step::new("COMMIT", [])]);
        let mut steps: Vec<_> = all
            .enumerate()
            .map(|(nth, step)| match nth.checked_sub(1) {
                Some(before) => step.on(Condition::Ok { step: before }),
                None => step,
            })
            .collect();
        let commit = Condition::Ok { step: steps.len() - 1 };
        let failed = vec![Condition::Ok { step: 0 }, Condition::Not { cond: Box::new(commit) }];
        steps.push(Step::new("ROLLBACK", []).on(Condition::And { conds: failed }));
        Self { steps }
    }

    /// The place of the statement after which all is done: the last one, or that which commits.
    pub(super) fn done_at(&self) -> usize {
        self.steps.len().saturating_sub(2)
    }
}

/// What goes to `/v3/pipeline`.
#[derive(Debug, Serialize)]
pub(super) struct Pipeline<'a> {
    /// What names the stream; a new one without it. It is good for one request, whose answer has the next.
    pub(super) baton: Option<&'a str>,
    pub(super) requests: &'a [Request<'a>],
}

/// What is asked of a stream.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Request<'a> {
    Batch {
        batch: &'a Batch<'a>,
    },
    /// Statements with semicolons between them, up to the first that fails.
    Sequence {
        sql: &'a str,
    },
    /// The stream ends, and a transaction that is open is undone.
    Close,
}

/// What `/v3/pipeline` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) baton: Option<String>,
    pub(super) results: Vec<Answered>,
}

/// What became of a request.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Answered {
    Ok { response: Response },
    Error { error: Error },
}

/// What a request that was done has given; a batch alone has a result.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    pub(super) result: Option<BatchResult>,
}

/// What became of each statement: a result, an error, or neither when it did not run.
#[derive(Debug, Deserialize)]
pub(super) struct BatchResult {
    pub(super) step_results: Vec<Option<StepResult>>,
    pub(super) step_errors: Vec<Option<Error>>,
}

/// What a statement has given.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StepResult {
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) affected_row_count: u64,
}

/// Why something was not done.
#[derive(Debug, Deserialize)]
pub(super) struct Error {
    #[serde(default)]
    pub(super) message: String,
    pub(super) code: Option<String>,
}

/// What goes to `/v3/cursor`.
#[derive(Debug, Serialize)]
pub(super) struct Cursor<'a> {
    pub(super) baton: Option<&'a str>,
    pub(super) batch: &'a Batch<'a>,
}

/// The first line of a cursor's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Opened {
    pub(super) baton: Option<String>,
}

/// A further line.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Entry {
    StepBegin {
        step: usize,
    },
    Row {
        row: Vec<Value>,
    },
    StepEnd,
    /// The statement failed.
    StepError {
        error: Error,
    },
    /// All of it failed.
    Error {
        error: Error,
    },
    /// What later versions say.
    #[serde(other)]
    Other,
}

/// A value of a row.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Value {
    Null,
    Integer { value: String },
    Float {},
    Text { value: String },
    Blob { base64: String },
}

/// What a column of a row is read as.
pub(super) trait Column: Sized {
    fn read(value: Value) -> Option<Self>;
}

impl Column for i64 {
    fn read(value: Value) -> Option<Self> {
        let Value::Integer { value } = value else { return None };
        value.parse().ok()
    }
}

impl Column for String {
    fn read(value: Value) -> Option<Self> {
        let Value::Text { value } = value else { return None };
        Some(value)
    }
}

impl Column for Vec<u8> {
    fn read(value: Value) -> Option<Self> {
        let Value::Blob { base64 } = value else { return None };
        BASE64.decode(base64).ok()
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::read(value).map(Some),
        }
    }
}

/// The columns of a row, one after the other.
pub(super) struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    pub(super) fn of(row: Vec<Value>) -> Self {
        Self(row.into_iter())
    }

    /// The next one.
    pub(super) fn next<T: Column>(&mut self) -> Result<T, Unreadable> {
        self.0.next().and_then(T::read).ok_or(Unreadable)
    }
}

/// The database has something else than what was put there, or another says so.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("a value is of another type than it has to be")]
pub(super) struct Unreadable;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_transaction_is_done_step_by_step_and_undone_when_one_fails() {
        let steps = vec![Step::new("UPDATE a SET b = ?", [Arg::Integer(i64::MIN), Arg::MaybeText(None)])];
        let batch = serde_json::to_value(Batch::transaction("BEGIN IMMEDIATE", steps)).unwrap();
        let ok = |step: usize| json!({"type": "ok", "step": step});
        assert_eq!(
            batch["steps"],
            json!([
                {"stmt": {"sql": "BEGIN IMMEDIATE", "args": []}},
                {
                    "stmt": {
                        "sql": "UPDATE a SET b = ?",
                        "args": [{"type": "integer", "value": "-9223372036854775808"}, {"type": "null"}]
                    },
                    "condition": ok(0)
                },
                {"stmt": {"sql": "COMMIT", "args": []}, "condition": ok(1)},
                {
                    "stmt": {"sql": "ROLLBACK", "args": []},
                    "condition": {"type": "and", "conds": [ok(0), {"type": "not", "cond": ok(2)}]}
                },
            ])
        );
    }

    #[test]
    fn values_are_read_as_what_they_have_to_be_or_not_at_all() {
        let row = json!([
            {"type": "integer", "value": "9007199254740993"},
            {"type": "blob", "base64": "AP8="},
            {"type": "blob", "base64": "AP8"},
            {"type": "null"},
            {"type": "float", "value": 1.5},
        ]);
        let mut row = Columns::of(serde_json::from_value(row).unwrap());
        assert_eq!(row.next::<i64>().unwrap(), 9_007_199_254_740_993);
        assert_eq!(row.next::<Vec<u8>>().unwrap(), [0, 255]);
        assert_eq!(row.next::<Vec<u8>>().unwrap(), [0, 255]);
        assert_eq!(row.next::<Option<String>>().unwrap(), None);
        assert!(row.next::<Option<i64>>().is_err());
        assert!(row.next::<i64>().is_err(), "there is no more");
        let entry = json!({"type": "replication_index", "replication_index": null});
        assert!(matches!(serde_json::from_value(entry).unwrap(), Entry::Other));
    }
}
