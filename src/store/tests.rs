//! What all stores hold to, asked of two handles on one, as two processes have them.

use serde_json::value::RawValue;
use tokio::runtime::Runtime;

use super::*;
use crate::model::{Content, Key, Lock, PasswordHash, Row, Secret};

#[path = "../../tests/stories/harness/postgres.rs"]
#[allow(dead_code, unreachable_pub)]
mod harness;

#[path = "../../tests/stories/harness/sqld.rs"]
#[allow(dead_code, unreachable_pub)]
mod sqld;

use harness::{Postgres, psql};
use sqld::Sqld;

const LIMITLESS: fn(Life) -> bool = |_| false;

/// Runs a test on two handles of each store.
fn on_each<F: Future<Output = ()>>(test: impl Fn(Store, Store) -> F) {
    with_operator(|runtime, one, other, _| runtime.block_on(test(one, other)));
}

/// Runs a test on two handles of each store, and on an operator's, which blocks.
fn with_operator(test: impl Fn(&Runtime, Store, Store, &mut Operator)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let data = dir.path().join("data");
    let (postgres, sqld) = (Postgres::start(), Sqld::start());
    let url = postgres.create("share");
    let run = |open: &dyn Fn() -> Store, operator: &dyn Fn() -> Operator| {
        let (one, other) = (open(), open());
        test(&runtime, one.clone(), other.clone(), &mut operator());
        one.close();
        other.close();
    };
    run(&|| Store::open_shared(&data).unwrap(), &|| Operator::open(&data).unwrap());
    run(&|| Store::open_postgres(&url).unwrap(), &|| Operator::open_postgres(&url).unwrap());
    run(&|| Store::open_libsql(&sqld.url()).unwrap(), &|| Operator::open_libsql(&sqld.url()).unwrap());
}

fn row(key: &str, content: Option<&str>, seq: u64) -> Row {
    let content = content.map(|json| Content::from(RawValue::from_string(json.into()).unwrap()));
    Row { key: Key::from(key), content, seq }
}

fn write(num: i64, before: Head, writer: i64, rows: Vec<Row>) -> Write {
    let seq = rows.iter().map(|row| row.seq).max().unwrap_or(before.seq);
    Write { num, before, rows, seq, writer, size: 1, grown: 1, at: 5 }
}

async fn share(store: &Store, token: Option<i64>) -> Result<(ShareId, i64), StoreError> {
    let id = ShareId::random().unwrap();
    let share = NewShare {
        id: id.clone(),
        session_id: "s\0".into(),
        secret_hash: Secret::random().hash(),
        epoch: "e".into(),
        at: 1,
        expires_at: Some(7),
        token,
        lock: Lock::default(),
    };
    store.create(share).await?;
    let num = store.head(&id).await.unwrap().unwrap().num;
    Ok((id, num))
}

fn keys(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.key.as_str()).collect()
}

#[test]
fn of_two_writes_on_one_head_one_takes_effect_and_is_read_by_its_position() {
    on_each(async |one, other| {
        let (id, num) = share(&one, None).await.unwrap();
        let first = other.load(&id, LIMITLESS).await.unwrap().unwrap().head;

        let rows = vec![row("todo/b", Some("1"), 1), row("todo/a", Some("\"\\u0000\\ud800 \u{1f600}\""), 2)];
        one.write(write(num, first, 1, rows)).await.unwrap();
        let late = write(num, first, 2, vec![row("todo/c", Some("3"), 1)]);
        assert_eq!(other.write(late).await, Err(StoreError::Conflict));
        assert_eq!(other.write(write(num, first, 2, Vec::new())).await, Err(StoreError::Conflict));
        let second = Head { seq: 2, writer: 1 };
        let stranger = Head { writer: 2, ..second };
        assert_eq!(other.write(write(num, stranger, 2, Vec::new())).await, Err(StoreError::Conflict));
        one.write(write(num, second, 1, Vec::new())).await.unwrap();
        assert_eq!(other.confirm(vec![num, 99]).await.unwrap(), HashMap::from([(num, second)]));

        let rows = vec![row("todo/c", Some("3"), 3), row("todo/b", None, 4)];
        other.write(write(num, second, 2, rows)).await.unwrap();
        let added = one.since(num, 1).await.unwrap().unwrap();
        assert_eq!((added.head, &*added.epoch), (Head { seq: 4, writer: 2 }, "e"));
        assert_eq!((added.life.updated_at, added.life.synced, added.life.expires_at), (5, true, Some(7)));
        assert_eq!(
            keys(&added.rows),
            ["todo/b", "todo/a", "todo/c"],
            "as they first came, not as they changed"
        );
        assert_eq!(keys(&one.since(num, 3).await.unwrap().unwrap().rows), ["todo/b"]);
        let stored = one.load(&id, LIMITLESS).await.unwrap().unwrap();
        let contents: Vec<_> =
            stored.rows.iter().map(|row| row.content.as_ref().map(|content| content.get())).collect();
        assert_eq!(contents, [None, Some("\"\\u0000\\ud800 \u{1f600}\""), Some("3")], "byte for byte");
        assert_eq!((stored.num, stored.head, stored.deleted), (num, added.head, false));
        assert!(one.load(&id, |_| true).await.unwrap().unwrap().rows.is_empty(), "its time is over");

        one.mark_deleted(num, 6).await.unwrap();
        assert_eq!(other.write(write(num, added.head, 2, Vec::new())).await, Err(StoreError::Gone));
        assert_eq!(other.confirm(vec![num]).await.unwrap(), HashMap::new());
        assert!(other.since(num, 0).await.unwrap().is_none());
    });
}

#[test]
fn what_is_changed_beside_items_moves_the_head_on_and_is_read_with_it() {
    on_each(async |one, other| {
        let (id, num) = share(&one, None).await.unwrap();
        let head = one.load(&id, LIMITLESS).await.unwrap().unwrap().head;
        let lock = Lock { sealed: None, password: Some(PasswordHash("$hash".into())) };
        let amend = |lock, end| Amendment { lock, end };
        assert_eq!(one.amend(num, amend(Some(lock.clone()), None)).await, Ok(1));
        let late = write(num, head, 1, vec![row("todo/a", Some("1"), 1)]);
        assert_eq!(other.write(late).await, Err(StoreError::Conflict));
        assert_eq!(other.head(&id).await.unwrap().unwrap().lock, lock);
        let added = other.since(num, 0).await.unwrap().unwrap();
        assert_eq!((added.head.seq, &added.lock, added.life.expires_at), (1, &lock, Some(7)));
        assert_ne!(added.head.writer, head.writer);

        assert_eq!(other.amend(num, amend(None, Some(End::At(9)))).await, Ok(2));
        let stored = one.load(&id, LIMITLESS).await.unwrap().unwrap();
        assert_eq!((stored.head.seq, &stored.lock, stored.life.expires_at), (2, &lock, Some(9)));
        assert_eq!(other.amend(num, amend(Some(Lock::default()), Some(End::Never))).await, Ok(3));
        let stored = one.load(&id, LIMITLESS).await.unwrap().unwrap();
        assert_eq!((stored.lock, stored.life.expires_at), (Lock::default(), None));

        one.mark_deleted(num, 6).await.unwrap();
        assert_eq!(one.amend(num, amend(Some(lock), None)).await, Err(StoreError::Gone));
        assert_eq!(one.head(&id).await.unwrap().unwrap().lock, Lock::default());
    });
}

#[test]
fn tries_are_counted_over_all_processes_and_taken_back() {
    on_each(async |one, other| {
        let ((_, num), (_, another)) = (share(&one, None).await.unwrap(), share(&one, None).await.unwrap());
        for n in 0..50 {
            assert_eq!(one.count_try(num, 1_000_000 + n).await, Ok(Ok(())));
            assert_eq!(other.count_try(num, 1_000_000 + n).await, Ok(Ok(())));
        }
        assert_eq!(one.count_try(num, 1_000_100).await, Ok(Err(1_060_000)));
        assert_eq!(other.count_try(num, 1_059_999).await, Ok(Err(1_060_000)));
        assert_eq!(other.count_try(another, 1_000_100).await, Ok(Ok(())));
        one.forget_try(num).await.unwrap();
        assert_eq!(other.count_try(num, 1_000_100).await, Ok(Ok(())));
        assert_eq!(one.count_try(num, 1_000_100).await, Ok(Err(1_060_000)));
        assert_eq!(one.count_try(num, 1_060_000).await, Ok(Ok(())), "it begins anew");
    });
}

#[test]
fn writes_that_follow_on_each_other_and_come_at_once_all_take_effect() {
    on_each(async |one, other| {
        let (id, num) = share(&one, None).await.unwrap();
        let (_, strangers) = share(&other, None).await.unwrap();
        let mut head = Head { seq: 0, writer: 0 };
        let mut writes = Vec::new();
        for seq in 1..=200 {
            let key = format!("todo/{}", 300 - seq % 50);
            let next = write(num, head, 1, vec![row(&key, Some(&seq.to_string()), seq)]);
            head = next.after();
            writes.push(one.write(next));
            // In the same groups, and refused.
            let lost = Head { seq: 9, writer: 9 };
            let refused = write(strangers, lost, 1, vec![row("todo/x", Some("1"), 10)]);
            writes.push(one.write(refused));
        }
        let done = futures_util::future::join_all(writes).await;
        let outcomes = [Ok(()), Err(StoreError::Conflict)];
        assert!(done.chunks(2).all(|pair| pair == outcomes), "{done:?}");
        let stored = other.load(&id, LIMITLESS).await.unwrap().unwrap();
        assert_eq!(stored.head, head);
        let first: Vec<String> = (1..=50).map(|seq| format!("todo/{}", 300 - seq % 50)).collect();
        assert_eq!(keys(&stored.rows), first.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(stored.rows.iter().all(|row| row.seq > 150 && row.content.is_some()));
    });
}

#[test]
fn a_deleted_share_is_gone_step_by_step_and_deletions_are_followed_by_number() {
    on_each(async |one, other| {
        let before = other.last_deletion().await.unwrap();
        let mut shares = Vec::new();
        for _ in 0..3 {
            shares.push(share(&one, None).await.unwrap());
        }
        let nums: Vec<i64> = shares.iter().map(|(_, num)| *num).collect();
        let rows = (1..=5000).map(|seq| row(&format!("todo/{seq}"), Some("1"), seq)).collect();
        one.write(write(nums[0], Head { seq: 0, writer: 0 }, 1, rows)).await.unwrap();
        let page = other.heads(0, 2).await.unwrap();
        assert_eq!(page.heads.iter().map(|head| head.num).collect::<Vec<_>>(), nums[..2]);
        assert_eq!(page.last, Some(nums[1]));

        assert!(!one.mark_expired(nums[1], 4, 6).await.unwrap(), "it has changed since");
        assert!(one.mark_expired(nums[1], 1, 6).await.unwrap());
        other.mark_deleted(nums[0], 6).await.unwrap();
        other.mark_deleted(nums[0], 7).await.unwrap();
        let deletions = one.deletions(before, 10).await.unwrap();
        assert_eq!(deletions.shares, [shares[1].0.clone(), shares[0].0.clone()]);
        assert!(one.deletions(deletions.last, 10).await.unwrap().shares.is_empty());
        assert!(one.last_deletion().await.unwrap() >= deletions.last);
        assert_eq!(other.unpurged(0, 10).await.unwrap(), nums[..2]);
        assert_eq!(one.forget(i64::MAX, 10).await.unwrap(), 0, "not before their content is gone");

        let both = futures_util::future::join(one.purge(nums[0]), other.purge(nums[0])).await;
        assert_eq!(both, (Ok(()), Ok(())));
        one.purge(nums[1]).await.unwrap();
        assert!(other.unpurged(0, 10).await.unwrap().is_empty());
        let stored = one.load(&shares[0].0, LIMITLESS).await.unwrap().unwrap();
        assert!(stored.deleted && stored.rows.is_empty());
        // SQLite keeps the last deletion, so that no number is given twice.
        assert!(one.forget(i64::MAX, 10).await.unwrap() >= 1);
        assert!(one.head(&shares[1].0).await.unwrap().is_none());
        one.recount().await.unwrap();
        assert!(one.sizes().content > 0 && one.sizes().database > 0);
    });
}

#[test]
fn a_new_epoch_is_given_once_and_nobody_knows_the_head_of_it() {
    on_each(async |one, other| {
        let (id, num) = share(&one, None).await.unwrap();
        let old = one.load(&id, LIMITLESS).await.unwrap().unwrap();
        one.renew_epoch(num, &old.epoch, "new".into()).await.unwrap();
        other.renew_epoch(num, &old.epoch, "newer".into()).await.unwrap();
        let stored = other.load(&id, LIMITLESS).await.unwrap().unwrap();
        assert_eq!((&*stored.epoch, stored.head.seq), ("new", old.head.seq));
        assert_ne!(stored.head, old.head);
        assert_eq!(one.write(write(num, old.head, 1, Vec::new())).await, Err(StoreError::Conflict));
    });
}

#[test]
fn a_value_has_one_name_whichever_process_gives_it() {
    on_each(async |one, other| {
        let (id, _) = share(&one, None).await.unwrap();
        let values = |values: &[&str]| -> Vec<(Digest, String)> {
            values.iter().map(|value| (one.naming().digest(&id, value), "key".to_owned())).collect()
        };
        assert_eq!(one.naming().digest(&id, "a"), other.naming().digest(&id, "a"));
        let (a, b) = futures_util::future::join(
            one.name(&id, values(&["a", "b"])),
            other.name(&id, values(&["b", "c"])),
        )
        .await;
        let (a, b) = (a.unwrap(), b.unwrap());
        let all = one.name(&id, values(&["a", "b", "c"])).await.unwrap();
        assert_eq!(all.len(), 3);
        assert!(a.iter().chain(&b).all(|(digest, name)| all[digest] == *name), "{a:?} {b:?} {all:?}");
        let mut numbers: Vec<u64> = all.values().map(|name| name.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        let gone = ShareId::random().unwrap();
        assert_eq!(one.name(&gone, values(&["d"])).await.unwrap_err(), StoreError::Gone);
    });
}

#[test]
fn times_are_noted_and_checks_write() {
    on_each(async |one, other| {
        assert!(one.passed_time().await.unwrap().is_some());
        one.set_passed_time(42).await.unwrap();
        assert_eq!(other.passed_time().await.unwrap(), Some(42));
        one.check(1).await.unwrap();
        other.check(2).await.unwrap();
        assert_eq!(one.waiting(), 0);
    });
}

#[test]
fn a_token_has_no_more_shares_than_it_may_have() {
    with_operator(|runtime, one, other, operator| {
        let secret = Secret::random().hash();
        let token = |hash| NewToken {
            name: "n".into(),
            hash,
            create_limit: None,
            max_shares: Some(3),
            at: 1,
            expires_at: None,
        };
        operator.add_token(&token(secret)).unwrap();
        assert!(operator.add_token(&token(Secret::random().hash())).is_err(), "its name is taken");
        let token = runtime.block_on(one.token(secret)).unwrap().unwrap();
        assert_eq!((&*token.name, token.max_shares), ("n", Some(3)));
        assert!(runtime.block_on(one.token(Secret::random().hash())).unwrap().is_none());
        let made = (0..8).map(|nth| share(if nth % 2 == 0 { &one } else { &other }, Some(token.num)));
        let made = runtime.block_on(futures_util::future::join_all(made));
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 3);
        assert!(made.iter().all(|made| matches!(made, Ok(_) | Err(StoreError::TooManyShares))));

        let of_token = operator.tokens().unwrap();
        assert_eq!(
            of_token.iter().map(|(token, shares)| (&*token.name, *shares)).collect::<Vec<_>>(),
            [("n", 3)]
        );
        operator.revoke_token("n", 2).unwrap();
        assert!(operator.revoke_token("n", 2).is_err());
    });
}

#[test]
fn an_operator_sees_and_deletes_what_a_server_wrote() {
    with_operator(|runtime, one, _, operator| {
        let (id, num) = runtime.block_on(share(&one, None)).unwrap();
        let (other, _) = runtime.block_on(share(&one, None)).unwrap();
        let rows = vec![
            row("session", Some(r#"{"title":"T"}"#), 1),
            row("part/m/a", Some("1"), 2),
            row("part/m/b", Some("22"), 3),
            row("part/m/c", None, 4),
        ];
        runtime
            .block_on(one.write(Write { size: 17, ..write(num, Head { seq: 0, writer: 0 }, 1, rows) }))
            .unwrap();
        let filter = Filter {
            sort: Sort::Size,
            reverse: false,
            limit: Some(1),
            deleted: false,
            created_before: Some(2),
            updated_before: Some(6),
            min_size: Some(17),
            session: Some("s\u{fffd}".into()),
            token: None,
        };
        let listed = operator.list(&filter).unwrap();
        assert_eq!(
            listed.iter().map(|share| (&*share.id, share.seq)).collect::<Vec<_>>(),
            [(id.as_str(), 4)]
        );
        assert!(operator.list(&Filter { token: Some("none".into()), ..filter.clone() }).unwrap().is_empty());
        assert_eq!(operator.find(&id.as_str()[..12]).unwrap().num, num);
        let Contents { title, items, token } = operator.contents(&listed[0]).unwrap();
        let items: Vec<_> =
            items.iter().map(|Kind { kind, count, bytes }| (&**kind, *count, *bytes)).collect();
        assert_eq!((title.as_deref(), token), (Some("T"), None));
        assert_eq!(items, [("part", 2, 3), ("session", 1, 13)]);

        assert!(operator.delete(&listed[0], 9).unwrap());
        assert!(runtime.block_on(one.since(num, 0)).unwrap().is_none());
        let stats = operator.stats(10).unwrap();
        assert_eq!((stats.shares, stats.never_synced, stats.deleted, stats.content), (1, 1, 1, 0));
        assert!(stats.database > 0 && stats.created_last_day == 1);
        let before = runtime.block_on(one.head(&other)).unwrap().unwrap();
        let epoch = runtime.block_on(one.load(&other, LIMITLESS)).unwrap().unwrap().epoch;
        assert_eq!(operator.renew_epochs().unwrap(), 1);
        assert_ne!(runtime.block_on(one.load(&other, LIMITLESS)).unwrap().unwrap().epoch, epoch);
        assert_eq!(runtime.block_on(one.head(&other)).unwrap().unwrap().num, before.num);
        let listed =
            operator.list(&Filter { deleted: true, session: None, min_size: None, ..filter }).unwrap();
        assert_eq!(listed.iter().map(|share| share.deleted_at).collect::<Vec<_>>(), [Some(9)]);
    });
}

/// What was written is there after each of some crashes of a store's server, and nothing is written or known while it
/// is away. Gives the share that was written, and its head. `have` has the server crash, or run again.
async fn survives_crashes(store: &Store, mut have: impl FnMut(bool)) -> (i64, Head) {
    let (id, num) = share(store, None).await.unwrap();
    let mut head = Head { seq: 0, writer: 0 };
    for _ in 0..3 {
        let next = write(num, head, 1, vec![row("todo/a", Some("1"), head.seq + 1)]);
        head = next.after();
        store.write(next).await.unwrap();
        have(false);
        let away = store.write(write(num, head, 1, vec![row("todo/b", Some("1"), head.seq + 1)])).await;
        assert!(matches!(away, Err(StoreError::Unavailable | StoreError::Unknown)), "{away:?}");
        assert!(store.confirm(vec![num]).await.is_err());
        assert!(store.check(1).await.is_err());
        have(true);
        assert_eq!(store.confirm(vec![num]).await.unwrap()[&num], head);
        assert_eq!(keys(&store.load(&id, LIMITLESS).await.unwrap().unwrap().rows), ["todo/a"]);
    }
    (num, head)
}

#[tokio::test]
async fn what_a_crash_of_the_database_leaves_is_there_and_what_it_refuses_is_its_own() {
    let mut server = Postgres::start();
    let url = server.create("share");
    let store = Store::open_postgres(&url).unwrap();
    let (num, head) =
        survives_crashes(&store, |runs| if runs { server.restart() } else { server.crash() }).await;
    // A row of one share that the database cannot take does not keep another's out, in one group.
    psql(&url, "ALTER TABLE share_data ADD CHECK (key <> 'todo/bad')");
    let (_, good) = share(&store, None).await.unwrap();
    let (_, bad) = share(&store, None).await.unwrap();
    let nothing = Head { seq: 0, writer: 0 };
    // Numbers that differ by two share a lane.
    let (_, other) = share(&store, None).await.unwrap();
    let writes = [(good, "todo/a"), (other, "todo/bad"), (bad, "todo/a")];
    let writes = writes.map(|(num, key)| store.write(write(num, nothing, 1, vec![row(key, Some("1"), 1)])));
    let done = futures_util::future::join_all(writes).await;
    assert_eq!(done, [Ok(()), Err(StoreError::Unavailable), Ok(())]);
    store.close();
    assert_eq!(store.write(write(num, head, 1, Vec::new())).await, Err(StoreError::Unavailable));
}

#[test]
fn many_processes_may_begin_with_an_empty_database_at_once() {
    let server = Postgres::start();
    let url = server.create("share");
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| Store::open_postgres(&url))).collect();
        for start in starts {
            start.join().unwrap().unwrap().close();
        }
    });
    psql(&url, "INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')");
    let newer = Store::open_postgres(&url).err().unwrap().to_string();
    assert!(newer.contains("newer version"), "{newer}");
    let refused = Store::open_postgres(&server.url("no_such")).err().unwrap().to_string();
    assert!(refused.contains("does not exist"), "{refused}");
}

#[tokio::test]
async fn what_a_crash_of_sqld_leaves_is_there_and_what_it_refuses_is_its_own() {
    let mut server = Sqld::start();
    let store = Store::open_libsql(&server.url()).unwrap();
    let (num, head) =
        survives_crashes(&store, |runs| if runs { server.restart() } else { server.crash() }).await;
    // What is larger than the database takes does not keep another's out, in one group; what is not, it takes.
    let max = usize::try_from(store.max_item().unwrap()).unwrap();
    let large = |bytes: usize| format!("\"{}\"", "\\\"é".repeat((bytes - 2) / 4));
    let (large, too_large) = (large(max), large(2 * max));
    let nothing = Head { seq: 0, writer: 0 };
    let mut writes = Vec::new();
    let mut shares = Vec::new();
    for content in ["1", &too_large, &large] {
        let (id, num) = share(&store, None).await.unwrap();
        shares.push(id);
        writes.push(write(
            num,
            nothing,
            1,
            vec![row("todo/a", Some(content), 1), row("todo/b", Some("2"), 2)],
        ));
    }
    let done = futures_util::future::join_all(writes.into_iter().map(|write| store.write(write))).await;
    assert_eq!(done, [Ok(()), Err(StoreError::Unavailable), Ok(())]);
    let stored = store.load(&shares[2], LIMITLESS).await.unwrap().unwrap();
    assert_eq!(keys(&stored.rows), ["todo/a", "todo/b"]);
    assert!(stored.rows[0].content.as_ref().unwrap().get() == large, "byte for byte");
    store.close();
    assert_eq!(store.write(write(num, head, 1, Vec::new())).await, Err(StoreError::Unavailable));
}

#[test]
fn many_processes_may_begin_with_an_empty_libsql_database_at_once() {
    let server = Sqld::start();
    let url = server.url();
    std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| Store::open_libsql(&url))).collect();
        for start in starts {
            start.join().unwrap().unwrap().close();
        }
    });
    assert!(Operator::open_libsql(&Sqld::start().url()).err().unwrap().to_string().contains("older version"));
    let refused = Store::open_libsql(&format!("{url}/no/such")).err().unwrap().to_string();
    assert!(refused.contains("404"), "{refused}");
}
