//! The tables that are others here than in SQLite.

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
