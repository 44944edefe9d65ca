//! What was accepted and is not on the server yet: on the disk, the newest version of each item. It survives `kill -9`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use diesel::connection::DefaultLoadingMode;
use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel::upsert::excluded;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use futures_util::future::BoxFuture;
use serde_json::Value;
use serde_json::value::RawValue;

use super::conversations::{Note, Noted};
use super::redaction::{Found, Name, Records};
use super::schema::{findings, given, held, redactions, spool};
use super::sealing;
use crate::model::{Change, Content, Key};
use crate::redact::{Digest, Finding};
use crate::sqlite::{self, BeforeMigration, Hold, StartupError, WriteError, Writer};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/spool");

/// Items in one batch, whatever their size.
const BATCH_ITEMS: i64 = 2000;

/// What an item costs beside its key and content, in bytes.
const ITEM_OVERHEAD: usize = 128;

/// A handle on the spool.
#[derive(Clone)]
pub struct Spool {
    writer: Writer,
}

/// One item that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// What it is stored under.
    pub key: Key,
    /// `None` is a removal.
    pub content: Option<Content>,
    /// The order in which updates were accepted.
    pub seq: i64,
}

/// What goes to the server in one sync.
#[derive(Debug)]
pub struct Batch {
    /// The items whose newest versions are the oldest, in the order in which they first came: what is new to the server
    /// gets its place in the session by that.
    pub items: Vec<Waiting>,
    /// Whether more waits after it.
    pub more: bool,
}

/// How much waits for one session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Items.
    pub items: u64,
    /// What they count for, in bytes.
    pub bytes: u64,
    /// The newest `seq`.
    pub last: i64,
}

impl Spool {
    /// Opens the spool of a directory. Another process cannot open it meanwhile.
    pub fn open(dir: &Path) -> Result<Self, StartupError> {
        sqlite::private_dir(dir)?;
        let lock = sqlite::lock(&dir.join("lock"), Hold::Alone)?;
        let path = dir.join("spool.db");
        let connection = sqlite::open_and_migrate(&path, MIGRATIONS, BeforeMigration::Nothing)?;
        Ok(Self { writer: Writer::start(connection, &path, lock, |_| {})? })
    }

    /// What writes, and reads what it wrote.
    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// What waits, for each session.
    pub async fn amounts(&self) -> Result<Vec<(String, Amount)>, WriteError> {
        self.writer.submit(0, amounts).await
    }

    /// Stores changes, and what is noted of them, in the order of the calls. When the future is done they are on the
    /// disk.
    pub fn put(
        &self,
        session: String,
        changes: Vec<Waiting>,
        notes: Vec<Note>,
        records: Records,
    ) -> BoxFuture<'static, Result<(), WriteError>> {
        let bytes = changes.iter().map(Waiting::bytes).sum();
        self.writer.submit(bytes, move |connection| {
            notes.iter().try_for_each(|note| put_note(connection, &session, note))?;
            put_records(connection, &session, &records)?;
            changes.iter().try_for_each(|change| put(connection, &session, change))
        })
    }

    /// What of a session was not changed for longest: one item at least, then while they are within `max_bytes` and
    /// `max_items`. Tells whether there are more.
    pub async fn next(
        &self,
        session: String,
        max_bytes: usize,
        max_items: usize,
    ) -> Result<Batch, WriteError> {
        self.writer.submit(0, move |connection| next(connection, &session, max_bytes, max_items)).await
    }

    /// Takes items away that the server has, unless they have changed since.
    pub async fn sent(&self, session: String, items: Vec<(Key, i64)>) -> Result<(), WriteError> {
        self.writer
            .submit(0, move |connection| {
                items.iter().try_for_each(|(key, seq)| {
                    let item = spool::table
                        .filter(spool::session_id.eq(&session))
                        .filter(spool::key.eq(key.as_str()))
                        .filter(spool::seq.eq(seq));
                    diesel::delete(item).execute(connection).map(|_| ())
                })
            })
            .await
    }

    /// Takes all of a session away: it is not shared any more. In the order of the calls, like `put`: what is put later
    /// stays.
    pub fn discard(&self, session: String) -> BoxFuture<'static, Result<(), WriteError>> {
        self.writer.erase(move |connection| {
            sealing::forget(connection, &session)?;
            diesel::delete(given::table.filter(given::session_id.eq(&session))).execute(connection)?;
            diesel::delete(redactions::table.filter(redactions::session_id.eq(&session)))
                .execute(connection)?;
            diesel::delete(held::table.filter(held::session_id.eq(&session))).execute(connection)?;
            diesel::delete(findings::table.filter(findings::session_id.eq(&session))).execute(connection)?;
            diesel::delete(spool::table.filter(spool::session_id.eq(&session)))
                .execute(connection)
                .map(|_| ())
        })
    }

    /// What was noted of the items of all sessions.
    pub async fn noted(&self) -> Result<Vec<(String, Key, Noted)>, WriteError> {
        type Row = (String, String, bool, Option<i64>);
        let rows = self.writer.submit(0, |connection| given::table.load::<Row>(connection));
        let noted = |(session, key, settled, hash): Row| (session, Key::from(key), Noted { settled, hash });
        Ok(rows.await?.into_iter().map(noted).collect())
    }

    /// What redaction found in the sessions.
    pub async fn redacted(&self) -> Result<Vec<(String, Redacted)>, WriteError> {
        self.writer.submit(0, redacted).await
    }

    /// Ends the writer when it has written what was put.
    pub fn close(&self) {
        self.writer.close();
    }
}

/// What redaction found in a session, and how it called that.
#[derive(Debug, Default)]
pub struct Redacted {
    pub(super) names: Vec<Name>,
    pub(super) found: Vec<(Key, Found)>,
    /// Parts whose ends waited, sealed.
    pub(super) held: Vec<(Key, Vec<u8>)>,
}

impl Waiting {
    /// What an item counts for, in bytes.
    pub fn bytes(&self) -> usize {
        self.key.as_str().len()
            + self.content.as_ref().map_or(0, |content| content.get().len())
            + ITEM_OVERHEAD
    }

    /// The item as it goes over the wire: `{type, data}`.
    pub fn wire(&self) -> (String, Content) {
        let kind = self.key.kind();
        if let Some(content) = &self.content {
            return (kind.to_owned(), content.clone());
        }
        (format!("{kind}.removed"), content_of(&self.key.removal()))
    }
}

/// What changes do to the spool. A list of models becomes an item for each, for lists are merged on the server and the
/// newest list alone would lose the others.
pub fn waiting(changes: Vec<Change>, mut next_seq: impl FnMut() -> i64) -> Vec<Waiting> {
    let mut items = Vec::with_capacity(changes.len());
    for change in changes {
        match change {
            Change::Put(key, content) => items.push(Waiting { key, content: Some(content), seq: next_seq() }),
            Change::Remove(key) => items.push(Waiting { key, content: None, seq: next_seq() }),
            Change::MergeModels(models) => {
                // A list, as `Change` has checked it.
                let models: Vec<&RawValue> = serde_json::from_str(models.get()).unwrap_or_default();
                for model in models {
                    let key = model_key(model);
                    items.push(Waiting { key, content: Some(list_of(model)), seq: next_seq() });
                }
            }
        }
    }
    items
}

/// What a model waits under. Its content stays raw, for text that is not valid Unicode (half of a surrogate pair) is to
/// arrive as it is.
fn model_key(model: &RawValue) -> Key {
    #[derive(Default, serde::Deserialize)]
    struct Names<'a> {
        #[serde(borrow, rename = "providerID")]
        provider: Cow<'a, str>,
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let Names { provider, id } = serde_json::from_str(model.get()).unwrap_or_default();
    let name = |name: Cow<str>| name.replace('/', "%2F");
    Key::from(format!("model/{}/{}", name(provider), name(id)))
}

fn list_of(model: &RawValue) -> Content {
    RawValue::from_string(format!("[{}]", model.get())).unwrap_or_else(|_| RawValue::NULL.to_owned()).into()
}

fn content_of(value: &Value) -> Content {
    // A value always has a text.
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()).into()
}

fn put_note(connection: &mut SqliteConnection, session: &str, (key, noted): &Note) -> QueryResult<()> {
    match noted {
        Some(Noted { settled, hash }) => {
            let row = (
                given::session_id.eq(session),
                given::key.eq(key.as_str()),
                given::settled.eq(settled),
                given::hash.eq(hash),
            );
            diesel::replace_into(given::table).values(row).execute(connection)
        }
        None => diesel::delete(given::table.find((session, key.as_str()))).execute(connection),
    }
    .map(|_| ())
}

fn put_records(
    connection: &mut SqliteConnection,
    session: &str,
    Records { names, found, held }: &Records,
) -> QueryResult<()> {
    for Name { digest, kind, number } in names {
        let row = (
            redactions::session_id.eq(session),
            redactions::digest.eq(&digest[..]),
            redactions::kind.eq(kind),
            redactions::number.eq(i64::try_from(*number).unwrap_or(i64::MAX)),
        );
        diesel::insert_or_ignore_into(redactions::table).values(row).execute(connection)?;
    }
    for (key, sealed) in held {
        match sealed {
            Some(sealed) => {
                let row = (held::session_id.eq(session), held::key.eq(key.as_str()), held::sealed.eq(sealed));
                diesel::replace_into(held::table).values(row).execute(connection)?;
            }
            None => {
                diesel::delete(held::table.find((session, key.as_str()))).execute(connection)?;
            }
        }
    }
    for (key, found) in found {
        let of_item = findings::table.filter(findings::session_id.eq(session));
        diesel::delete(of_item.filter(findings::key.eq(key.as_str()))).execute(connection)?;
        if let Some(message) = key.message_id().filter(|_| found.is_empty()) {
            let (from, to) = (format!("part/{message}/"), format!("part/{message}0"));
            let parts = of_item.filter(findings::key.ge(from)).filter(findings::key.lt(to));
            diesel::delete(parts).execute(connection)?;
        }
        for Found { finding, tool, file } in found {
            let row = (
                findings::session_id.eq(session),
                findings::key.eq(key.as_str()),
                findings::place.eq(&finding.place),
                findings::kind.eq(&finding.kind),
                findings::number.eq(i64::try_from(finding.number).unwrap_or(i64::MAX)),
                findings::times.eq(i64::try_from(finding.count).unwrap_or(i64::MAX)),
                findings::sure.eq(finding.sure),
                findings::tool.eq(tool),
                findings::file.eq(file),
            );
            diesel::replace_into(findings::table).values(row).execute(connection)?;
        }
    }
    Ok(())
}

fn redacted(connection: &mut SqliteConnection) -> QueryResult<Vec<(String, Redacted)>> {
    type NameRow = (String, Vec<u8>, String, i64);
    type FoundRow = (String, String, String, String, i64, i64, bool, Option<String>, Option<String>);
    let mut sessions = HashMap::<String, Redacted>::new();
    for row in redactions::table.load_iter::<NameRow, DefaultLoadingMode>(connection)? {
        let (session, digest, kind, number) = row?;
        let Ok(digest) = Digest::try_from(&digest[..]) else { continue };
        let name = Name { digest, kind, number: u64::try_from(number).unwrap_or(0) };
        sessions.entry(session).or_default().names.push(name);
    }
    for row in findings::table.load_iter::<FoundRow, DefaultLoadingMode>(connection)? {
        let (session, key, place, kind, number, times, sure, tool, file) = row?;
        let (number, count) = (u64::try_from(number).unwrap_or(0), usize::try_from(times).unwrap_or(0));
        let found = Found { finding: Finding { kind, number, place, count, sure }, tool, file };
        sessions.entry(session).or_default().found.push((Key::from(key), found));
    }
    for row in held::table.load_iter::<(String, String, Vec<u8>), DefaultLoadingMode>(connection)? {
        let (session, key, sealed) = row?;
        sessions.entry(session).or_default().held.push((Key::from(key), sealed));
    }
    Ok(sessions.into_iter().collect())
}

fn put(connection: &mut SqliteConnection, session: &str, item: &Waiting) -> QueryResult<()> {
    if let (Some(message), None) = (item.key.message_id(), &item.content) {
        // Its parts go with it, but for those that were accepted later.
        let (from, to) = (format!("part/{message}/"), format!("part/{message}0"));
        let parts = spool::table
            .filter(spool::session_id.eq(session))
            .filter(spool::key.ge(from))
            .filter(spool::key.lt(to))
            .filter(spool::seq.lt(item.seq));
        diesel::delete(parts).execute(connection)?;
    }
    if item.key.as_str() == Key::MODEL && item.content.is_none() {
        // The models wait one by one.
        let models = spool::table
            .filter(spool::session_id.eq(session))
            .filter(spool::key.ge("model/"))
            .filter(spool::key.lt("model0"))
            .filter(spool::seq.lt(item.seq));
        diesel::delete(models).execute(connection)?;
    }
    let upsert = diesel::insert_into(spool::table)
        .values((
            spool::session_id.eq(session),
            spool::key.eq(item.key.as_str()),
            spool::content.eq(item.content.as_ref().map(|content| content.get())),
            spool::seq.eq(item.seq),
            spool::bytes.eq(i64::try_from(item.bytes()).unwrap_or(i64::MAX)),
        ))
        .on_conflict((spool::session_id, spool::key))
        .do_update()
        .set((
            spool::content.eq(excluded(spool::content)),
            spool::seq.eq(excluded(spool::seq)),
            spool::bytes.eq(excluded(spool::bytes)),
        ));
    // Jobs need not come in the order in which the changes were accepted.
    diesel::query_dsl::methods::FilterDsl::filter(upsert, excluded(spool::seq).gt(spool::seq))
        .execute(connection)?;
    Ok(())
}

fn next(
    connection: &mut SqliteConnection,
    session: &str,
    max_bytes: usize,
    max_items: usize,
) -> QueryResult<Batch> {
    let limit = i64::try_from(max_items).unwrap_or(BATCH_ITEMS).min(BATCH_ITEMS);
    let rows = spool::table
        .filter(spool::session_id.eq(session))
        .order(spool::seq)
        .limit(limit + 1)
        .select((spool::id, spool::key, spool::content, spool::seq))
        .load_iter::<(i64, String, Option<String>, i64), DefaultLoadingMode>(connection)?;
    let (mut items, mut more, mut bytes) = (Vec::new(), false, 0);
    for (row, nth) in rows.zip(0..) {
        let (id, key, content, seq) = row?;
        let content = content.map(RawValue::from_string).transpose();
        let content =
            content.map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?;
        let item = Waiting { key: Key::from(key), content: content.map(Content::from), seq };
        bytes += item.bytes();
        if nth == limit || (bytes > max_bytes && nth > 0) {
            more = true;
            break;
        }
        items.push((id, item));
    }
    // A row keeps its id while newer versions replace the content.
    items.sort_by_key(|(id, _)| *id);
    Ok(Batch { items: items.into_iter().map(|(_, item)| item).collect(), more })
}

fn amounts(connection: &mut SqliteConnection) -> QueryResult<Vec<(String, Amount)>> {
    type Row = (String, i64, Option<i64>, Option<i64>);
    // Diesel's sum of a BigInt is a Numeric, which SQLite does not have.
    let bytes = sql::<Nullable<BigInt>>("sum(bytes)");
    let rows: Vec<Row> = spool::table
        .group_by(spool::session_id)
        .select((spool::session_id, count_star(), bytes, diesel::dsl::max(spool::seq)))
        .load(connection)?;
    let amount = |(session, items, bytes, last): Row| {
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        let amount =
            Amount { items: unsigned(items), bytes: unsigned(bytes.unwrap_or(0)), last: last.unwrap_or(0) };
        (session, amount)
    };
    Ok(rows.into_iter().map(amount).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(items: &[(&str, &str)]) -> Vec<Change> {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        items.iter().map(|(kind, data)| Change::from_item(kind, &raw(data), "x").unwrap()).collect()
    }

    async fn put_all(spool: &Spool, items: &[(&str, &str)], seq: &mut i64) {
        let items = waiting(changes(items), || {
            *seq += 1;
            *seq
        });
        spool.put("s".into(), items, Vec::new(), Records::default()).await.unwrap();
    }

    #[actix_web::test]
    async fn queue_deduplication() {
        let dir = tempfile::TempDir::new().unwrap();
        let spool = Spool::open(&dir.path().join("local")).unwrap();
        let mut seq = 0;
        for version in 0..100 {
            let data = format!(r#"{{"messageID":"m","id":"p{}","text":"{version}"}}"#, version % 5);
            put_all(&spool, &[("part", &data)], &mut seq).await;
        }
        let batch = spool.next("s".into(), usize::MAX, 1000).await.unwrap().items;
        let texts: Vec<_> =
            batch.iter().map(|item| item.content.as_ref().unwrap().get().to_owned()).collect();
        assert_eq!(texts.len(), 5);
        assert!(
            texts.iter().zip(95..).all(|(text, version)| text.contains(&format!("\"{version}\""))),
            "{texts:?}"
        );

        // What changes while a batch is under way is not taken away with it.
        put_all(&spool, &[("part", r#"{"messageID":"m","id":"p0","text":"newer"}"#)], &mut seq).await;
        spool
            .sent("s".into(), batch.iter().map(|item| (item.key.clone(), item.seq)).collect())
            .await
            .unwrap();
        let left = spool.next("s".into(), usize::MAX, 1000).await.unwrap().items;
        assert_eq!(left.len(), 1);
        assert!(left[0].content.as_ref().unwrap().get().contains("newer"));
        spool.close();

        // Another process finds it again.
        let spool = Spool::open(&dir.path().join("local")).unwrap();
        let amounts = spool.amounts().await.unwrap();
        assert_eq!((amounts.len(), amounts[0].1.items), (1, 1));
        assert_eq!(amounts[0].1.bytes, left[0].bytes() as u64);
    }

    #[actix_web::test]
    async fn models_wait_one_by_one_and_removals_take_parts_with_them() {
        let dir = tempfile::TempDir::new().unwrap();
        let spool = Spool::open(&dir.path().join("local")).unwrap();
        let mut seq = 0;
        put_all(
            &spool,
            &[
                (
                    "model",
                    r#"[{"providerID":"p","id":"a/b"},{"providerID":"p","id":"c","headers":{"key":"x"}}]"#,
                ),
                ("model", r#"[{"providerID":"p","id":"a/b","name":"newer"}]"#),
                ("part", r#"{"messageID":"m","id":"p1"}"#),
                ("message.removed", r#"{"id":"m"}"#),
                ("part", r#"{"messageID":"m","id":"p/2"}"#),
                ("part.removed", r#"{"messageID":"m","id":"p/2"}"#),
                ("model", r#"[{"providerID":"p","id":"gone"}]"#),
                ("model.removed", "{}"),
                ("model", r#"[{"providerID":"p","id":"d"}]"#),
                ("todo", r#"{"id":7}"#),
                ("todo.removed", r#"{"id":7}"#),
                ("messages.removed", r#"{"sessionID":"s"}"#),
            ],
            &mut seq,
        )
        .await;
        let sent: Vec<_> =
            spool.next("s".into(), usize::MAX, 1000).await.unwrap().items.iter().map(Waiting::wire).collect();
        let sent: Vec<_> = sent.iter().map(|(kind, data)| (kind.as_str(), data.get())).collect();
        assert_eq!(
            sent,
            [
                ("message.removed", r#"{"id":"m"}"#),
                ("part.removed", r#"{"id":"p/2","messageID":"m"}"#),
                ("model.removed", "{}"),
                ("model", r#"[{"providerID":"p","id":"d"}]"#),
                ("todo.removed", r#"{"id":"7"}"#),
                ("messages.removed", r#"{"sessionID":"s"}"#),
            ]
        );
    }

    #[actix_web::test]
    async fn a_job_that_comes_late_does_not_put_older_over_newer() {
        let dir = tempfile::TempDir::new().unwrap();
        let spool = Spool::open(&dir.path().join("local")).unwrap();
        let newer = r#"{"messageID":"m","id":"p","text":"newer"}"#;
        put_all(&spool, &[("part", newer)], &mut 7).await;
        put_all(&spool, &[("part", r#"{"messageID":"m","id":"p","text":"older"}"#)], &mut 3).await;
        put_all(&spool, &[("message.removed", r#"{"id":"m"}"#)], &mut 5).await;
        let items = spool.next("s".into(), usize::MAX, 1000).await.unwrap().items;
        let contents: Vec<_> = items.iter().filter_map(|item| item.content.as_ref()).collect();
        assert_eq!(contents.iter().map(|content| content.get()).collect::<Vec<_>>(), [newer]);
    }

    #[test]
    fn a_model_with_half_a_surrogate_pair_waits_as_it_is() {
        let list = r#"[{"id":"m","providerID":"p","name":"cut \ud83d"},{"id":"n","providerID":"p"}]"#;
        let items = waiting(changes(&[("model", list)]), || 1);
        let contents: Vec<_> = items.iter().filter_map(|item| item.content.as_ref()).collect();
        assert_eq!(contents.len(), 2);
        assert_eq!(contents[0].get(), r#"[{"id":"m","providerID":"p","name":"cut \ud83d"}]"#);
        assert_ne!(items[0].key, items[1].key);
    }
}
