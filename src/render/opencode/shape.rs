//! What `opencode import` demands of a session, a message and a part, as a table, and how a value is made to fit it.
//! One field that does not fit has the whole session refused. Ids are not in the table: they are put to it last.

use Need::{May, Must};
use Shape::{Any, Count, Each, Flag, List, Number, Object, OneOf, Tagged, Text, Time};
use serde_json::{Map, Value, json};

use crate::model::milliseconds;

/// The largest whole number of a JavaScript program.
const MAX_COUNT: u64 = (1 << 53) - 1;

/// What a value is.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text,
    /// Any number.
    Number,
    /// A whole one that is not negative.
    Count,
    /// A count of milliseconds since 1970.
    Time,
    Flag,
    Any,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An array of values of a shape.
    List(&'static Shape),
    /// An object with values of a shape under any names.
    Each(&'static Shape),
    Object(&'static [Field]),
    /// An object, of which the text in a field says which one.
    Tagged(&'static str, &'static [(&'static str, &'static [Field])]),
}

/// Whether a field has to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Must,
    May,
}

pub(super) type Field = (&'static str, Need, Shape);

const CACHE: Shape = Object(&[("read", Must, Number), ("write", Must, Number)]);

const TOKENS: Shape = Object(&[
    ("total", May, Number),
    ("input", Must, Number),
    ("output", Must, Number),
    ("reasoning", Must, Number),
    ("cache", Must, CACHE),
]);

const MODEL: Shape = Object(&[("providerID", Must, Text), ("modelID", Must, Text), ("variant", May, Text)]);

const FILE_DIFF: Shape = Object(&[
    ("file", May, Text),
    ("patch", May, Text),
    ("additions", Must, Number),
    ("deletions", Must, Number),
    ("status", May, OneOf(&["added", "deleted", "modified"])),
]);

const CREATED: Shape = Object(&[("created", Must, Time)]);
const START_AND_END: Shape = Object(&[("start", Must, Time), ("end", May, Time)]);

/// A session.
pub(super) const INFO: Shape = Object(&[
    ("slug", Must, Text),
    // These two the program that imports says anew.
    ("projectID", Must, Text),
    ("directory", Must, Text),
    ("path", May, Text),
    ("title", Must, Text),
    ("version", Must, Text),
    (
        "summary",
        May,
        Object(&[
            ("additions", Must, Number),
            ("deletions", Must, Number),
            ("files", Must, Number),
            ("diffs", May, List(&FILE_DIFF)),
        ]),
    ),
    ("cost", May, Number),
    ("tokens", May, TOKENS),
    ("agent", May, Text),
    ("model", May, Object(&[("providerID", Must, Text), ("id", Must, Text), ("variant", May, Text)])),
    ("metadata", May, Each(&Any)),
    (
        "time",
        Must,
        Object(&[
            ("created", Must, Time),
            ("updated", Must, Time),
            ("compacting", May, Time),
            ("archived", May, Time),
        ]),
    ),
]);

/// What an undo took back.
pub(super) const REVERT: Shape =
    Object(&[("messageID", Must, Text), ("partID", May, Text), ("snapshot", May, Text), ("diff", May, Text)]);

/// A message.
pub(super) const MESSAGE: Shape = Tagged("role", &[("user", USER), ("assistant", ASSISTANT)]);

const USER: &[Field] = &[
    ("time", Must, CREATED),
    (
        "format",
        May,
        Tagged(
            "type",
            &[("text", &[]), ("json_schema", &[("schema", Must, Each(&Any)), ("retryCount", May, Count)])],
        ),
    ),
    ("summary", May, Object(&[("title", May, Text), ("body", May, Text), ("diffs", Must, List(&FILE_DIFF))])),
    ("agent", Must, Text),
    ("model", Must, MODEL),
    ("system", May, Text),
    ("tools", May, Each(&Flag)),
];

const ASSISTANT: &[Field] = &[
    ("time", Must, Object(&[("created", Must, Time), ("completed", May, Time)])),
    ("error", May, ERROR),
    ("modelID", Must, Text),
    ("providerID", Must, Text),
    ("mode", Must, Text),
    ("agent", Must, Text),
    ("path", Must, Object(&[("cwd", Must, Text), ("root", Must, Text)])),
    ("summary", May, Flag),
    ("cost", Must, Number),
    ("tokens", Must, TOKENS),
    ("structured", May, Any),
    ("variant", May, Text),
    ("finish", May, Text),
];

/// Why an answer failed.
pub(super) const ERROR: Shape = Tagged(
    "name",
    &[
        ("UnknownError", &[("data", Must, Object(&[("message", Must, Text), ("ref", May, Text)]))]),
        (
            "ProviderAuthError",
            &[("data", Must, Object(&[("providerID", Must, Text), ("message", Must, Text)]))],
        ),
        ("MessageOutputLengthError", &[("data", Must, Object(&[]))]),
        ("MessageAbortedError", &[("data", Must, MESSAGE_ALONE)]),
        (
            "StructuredOutputError",
            &[("data", Must, Object(&[("message", Must, Text), ("retries", Must, Count)]))],
        ),
        (
            "ContextOverflowError",
            &[("data", Must, Object(&[("message", Must, Text), ("responseBody", May, Text)]))],
        ),
        ("ContentFilterError", &[("data", Must, MESSAGE_ALONE)]),
        ("APIError", API_ERROR),
    ],
);

const MESSAGE_ALONE: Shape = Object(&[("message", Must, Text)]);

/// Why an answer was tried again.
pub(super) const RETRY_ERROR: Shape = Tagged("name", &[("APIError", API_ERROR)]);

const API_ERROR: &[Field] = &[(
    "data",
    Must,
    Object(&[
        ("message", Must, Text),
        ("statusCode", May, Count),
        ("isRetryable", Must, Flag),
        ("responseHeaders", May, Each(&Text)),
        ("responseBody", May, Text),
        ("metadata", May, Each(&Text)),
    ]),
)];

/// A part.
pub(super) const PART: Shape = Tagged(
    "type",
    &[
        (
            "text",
            &[
                ("text", Must, Text),
                ("synthetic", May, Flag),
                ("ignored", May, Flag),
                ("time", May, START_AND_END),
                ("metadata", May, Each(&Any)),
            ],
        ),
        ("reasoning", &[("text", Must, Text), ("metadata", May, Each(&Any)), ("time", Must, START_AND_END)]),
        ("file", FILE),
        (
            "tool",
            &[
                ("callID", Must, Text),
                ("tool", Must, Text),
                ("state", Must, STATE),
                ("metadata", May, Each(&Any)),
            ],
        ),
        (
            "subtask",
            &[
                ("prompt", Must, Text),
                ("description", Must, Text),
                ("agent", Must, Text),
                ("model", May, Object(&[("providerID", Must, Text), ("modelID", Must, Text)])),
                ("command", May, Text),
            ],
        ),
        ("step-start", &[("snapshot", May, Text)]),
        (
            "step-finish",
            &[
                ("reason", Must, Text),
                ("snapshot", May, Text),
                ("cost", Must, Number),
                ("tokens", Must, TOKENS),
            ],
        ),
        ("snapshot", &[("snapshot", Must, Text)]),
        ("patch", &[("hash", Must, Text), ("files", Must, List(&Text))]),
        (
            "agent",
            &[
                ("name", Must, Text),
                (
                    "source",
                    May,
                    Object(&[("value", Must, Text), ("start", Must, Count), ("end", Must, Count)]),
                ),
            ],
        ),
        ("retry", &[("attempt", Must, Count), ("error", Must, RETRY_ERROR), ("time", Must, CREATED)]),
        ("compaction", &[("auto", Must, Flag), ("overflow", May, Flag), ("tail_start_id", May, Text)]),
    ],
);

const FILE: &[Field] =
    &[("mime", Must, Text), ("filename", May, Text), ("url", Must, Text), ("source", May, SOURCE)];

const SOURCE_TEXT: Field =
    ("text", Must, Object(&[("value", Must, Text), ("start", Must, Number), ("end", Must, Number)]));
const POSITION: Shape = Object(&[("line", Must, Count), ("character", Must, Count)]);

/// Where a file that was named comes from.
const SOURCE: Shape = Tagged(
    "type",
    &[
        ("file", &[SOURCE_TEXT, ("path", Must, Text)]),
        (
            "symbol",
            &[
                SOURCE_TEXT,
                ("path", Must, Text),
                ("range", Must, Object(&[("start", Must, POSITION), ("end", Must, POSITION)])),
                ("name", Must, Text),
                ("kind", Must, Count),
            ],
        ),
        ("resource", &[SOURCE_TEXT, ("clientName", Must, Text), ("uri", Must, Text)]),
    ],
);

/// How far a call is.
const STATE: Shape = Tagged(
    "status",
    &[
        ("pending", &[("input", Must, Each(&Any)), ("raw", Must, Text)]),
        (
            "running",
            &[
                ("input", Must, Each(&Any)),
                ("title", May, Text),
                ("metadata", May, Each(&Any)),
                ("time", Must, Object(&[("start", Must, Time)])),
            ],
        ),
        (
            "completed",
            &[
                ("input", Must, Each(&Any)),
                ("output", Must, Text),
                ("title", Must, Text),
                ("metadata", Must, Each(&Any)),
                (
                    "time",
                    Must,
                    Object(&[("start", Must, Time), ("end", Must, Time), ("compacted", May, Time)]),
                ),
                ("attachments", May, List(&Tagged("type", &[("file", FILE)]))),
            ],
        ),
        (
            "error",
            &[
                ("input", Must, Each(&Any)),
                ("error", Must, Text),
                ("metadata", May, Each(&Any)),
                ("time", Must, Object(&[("start", Must, Time), ("end", Must, Time)])),
            ],
        ),
    ],
);

impl Shape {
    /// What of a value fits; `None` for what does not. A field that has to be there and does not fit is empty; a time
    /// is that of the one before it, or `at`. Fields that are not in the table stay: a newer `OpenCode` may know them.
    pub(super) fn fit(self, value: Value, at: u64) -> Option<Value> {
        match (self, value) {
            (Any, value)
            | (Text, value @ Value::String(_))
            | (Number, value @ Value::Number(_))
            | (Flag, value @ Value::Bool(_)) => Some(value),
            (_, Value::Null) => None,
            (Text, other) => Some(Value::String(other.to_string())),
            (Count | Time, Value::Number(number)) => whole(number.as_u64(), number.as_f64()),
            (Time, Value::String(text)) => whole(None, milliseconds(&text)),
            (OneOf(texts), Value::String(text)) => {
                texts.contains(&text.as_str()).then_some(Value::String(text))
            }
            (List(of), Value::Array(values)) => {
                Some(values.into_iter().filter_map(|value| of.fit(value, at)).collect())
            }
            (Each(of), Value::Object(fields)) => {
                let fields = fields.into_iter();
                Some(fields.filter_map(|(name, value)| Some((name, of.fit(value, at)?))).collect())
            }
            (Object(fields), Value::Object(object)) => Some(fitted(fields, object, at)),
            (Tagged(tag, kinds), Value::Object(object)) => {
                let kind = object.get(tag)?.as_str()?;
                let (_, fields) = kinds.iter().find(|(name, _)| *name == kind)?;
                Some(fitted(fields, object, at))
            }
            _ => None,
        }
    }

    fn empty(self, at: u64) -> Value {
        match self {
            Text => json!(""),
            Number | Count => json!(0),
            Time => json!(at),
            Flag => json!(false),
            Any => Value::Null,
            OneOf(texts) => json!(texts.first()),
            List(_) => json!([]),
            Each(_) => json!({}),
            Object(fields) => fitted(fields, Map::new(), at),
            Tagged(tag, kinds) => kinds.first().map_or(Value::Null, |(name, fields)| {
                fitted(fields, Map::from_iter([(tag.to_owned(), json!(name))]), at)
            }),
        }
    }
}

fn fitted(fields: &[Field], mut object: Map<String, Value>, mut at: u64) -> Value {
    for (name, need, shape) in fields {
        let value = object.get_mut(*name).map(Value::take).unwrap_or_default();
        let value = shape.fit(value, at).or_else(|| (*need == Must).then(|| shape.empty(at)));
        if let Some(value) = value.filter(|value| *need == Must || !value.is_null()) {
            if let (Time, Some(time)) = (shape, value.as_u64()) {
                at = time;
            }
            object.insert((*name).to_owned(), value);
        } else {
            object.remove(*name);
        }
    }
    Value::Object(object)
}

/// The nearest whole number that is not negative.
fn whole(number: Option<u64>, or_else: Option<f64>) -> Option<Value> {
    let rounded = || format!("{:.0}", or_else?).parse().ok();
    number.or_else(rounded).map(|number| json!(number.min(MAX_COUNT)))
}
