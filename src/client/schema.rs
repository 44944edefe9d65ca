//! The spool's tables, as their migrations make them.

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

diesel::table! {
    given (session_id, key) {
        session_id -> Text,
        key -> Text,
        settled -> Bool,
        hash -> Nullable<BigInt>,
    }
}
