//! The tables that are others here than in SQLite.

use crate::store::schema::shares;

diesel::table! {
    share_data (share_num, key) {
        share_num -> BigInt,
        key -> Text,
        content -> Nullable<Text>,
        seq -> BigInt,
        arrived -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    last_deletion (id) {
        id -> BigInt,
        deletion -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(shares, share_data);
