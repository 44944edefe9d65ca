//! The spool's table, as its migration makes it.

diesel::table! {
    spool (id) {
        id -> BigInt,
        session_id -> Text,
        key -> Text,
        seq -> BigInt,
        bytes -> BigInt,
        content -> Nullable<Text>,
    }
}
