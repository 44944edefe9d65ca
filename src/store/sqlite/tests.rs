//! What a store that others write to pays.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::*;
use crate::store::Store;

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
