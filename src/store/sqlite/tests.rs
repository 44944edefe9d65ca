//! Two stores on one file, as two processes have them.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::value::RawValue;

use super::*;
use crate::model::{Content, Key, Row, Secret};
use crate::store::Store;

fn row(key: &str, content: Option<&str>, seq: u64) -> Row {
    let content = content.map(|json| Content::from(RawValue::from_string(json.into()).unwrap()));
    Row { key: Key::from(key), content, seq }
}

fn write(num: i64, before: Head, rows: Vec<Row>) -> Write {
    let seq = rows.iter().map(|row| row.seq).max().unwrap_or(before.seq);
    Write { num, before, rows, seq, size: 1, grown: 1, at: 5 }
}

async fn share(store: &Store) -> (ShareId, i64) {
    let id = ShareId::random().unwrap();
    let (secret_hash, epoch) = (Secret::random().hash(), "e".to_owned());
    let share = NewShare {
        id: id.clone(),
        session_id: "s".into(),
        secret_hash,
        epoch,
        at: 1,
        expires_at: None,
        token: None,
    };
    store.create(share).await.unwrap();
    let num = store.head(&id).await.unwrap().unwrap().num;
    (id, num)
}

#[tokio::test]
async fn of_two_writes_on_one_head_one_takes_effect_and_is_read_by_its_position() {
    let dir = tempfile::TempDir::new().unwrap();
    let data = dir.path().join("data");
    let (one, other) = (Store::open_shared(&data).unwrap(), Store::open_shared(&data).unwrap());
    assert!(matches!(Store::open(&data), Err(StartupError::InUse(_))));
    let (id, num) = share(&one).await;
    let first = other.load(&id, |_| false).await.unwrap().unwrap().head;

    let rows = vec![row("todo/a", Some("1"), 1), row("todo/b", Some("2"), 2)];
    one.write(write(num, first, rows)).await.unwrap();
    let late = write(num, first, vec![row("todo/c", Some("3"), 1)]);
    assert_eq!(other.write(late).await, Err(StoreError::Conflict));
    assert_eq!(other.write(write(num, first, Vec::new())).await, Err(StoreError::Conflict));
    let second = Head { seq: 2, writer: one.node().writer };
    let stranger = Head { writer: other.node().writer, ..second };
    assert_eq!(other.write(write(num, stranger, Vec::new())).await, Err(StoreError::Conflict));
    one.write(write(num, second, Vec::new())).await.unwrap();
    assert_eq!(other.confirm(vec![num, 99]).await.unwrap(), HashMap::from([(num, second)]));

    let rows = vec![row("todo/c", Some("3"), 3), row("todo/a", None, 4)];
    other.write(write(num, second, rows)).await.unwrap();
    let added = one.since(num, 1).await.unwrap().unwrap();
    assert_eq!(added.head, Head { seq: 4, writer: other.node().writer });
    assert_eq!((added.life.updated_at, added.life.synced), (5, true));
    let keys = |added: &Added| added.rows.iter().map(|row| row.key.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(keys(&added), ["todo/a", "todo/b", "todo/c"], "as they first came, not as they changed");
    assert_eq!(keys(&one.since(num, 3).await.unwrap().unwrap()), ["todo/a"]);

    one.mark_deleted(num, 6).await.unwrap();
    assert_eq!(other.write(write(num, added.head, Vec::new())).await, Err(StoreError::Gone));
    assert_eq!(other.confirm(vec![num]).await.unwrap(), HashMap::new());
    assert!(other.since(num, 0).await.unwrap().is_none());
    one.close();
    other.close();
}

#[test]
fn what_is_newer_is_found_by_an_index_that_a_process_alone_does_not_pay_for() {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }
    let plan = |data: &Path| {
        let mut connection = sqlite::open(&data.join(DATABASE)).unwrap();
        let query = diesel::debug_query::<diesel::sqlite::Sqlite, _>(&queries::newer(1, 1)).to_string();
        let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}"));
        let steps: Vec<Step> = plan.load(&mut connection).unwrap();
        steps.into_iter().map(|step| step.detail).collect::<String>()
    };
    let dir = tempfile::TempDir::new().unwrap();
    let (alone, shared) = (dir.path().join("alone"), dir.path().join("shared"));
    Store::open(&alone).unwrap().close();
    Store::open_shared(&shared).unwrap().close();
    assert!(!plan(&alone).contains("share_data_by_seq"), "{}", plan(&alone));
    let plan = plan(&shared);
    assert!(
        plan.contains("SEARCH share_data USING INDEX share_data_by_seq (share_num=? AND seq>?)"),
        "{plan}"
    );
}
