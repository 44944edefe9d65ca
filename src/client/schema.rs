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

diesel::table! {
    redactions (session_id, digest) {
        session_id -> Text,
        digest -> Binary,
        kind -> Text,
        number -> BigInt,
    }
}

diesel::table! {
    findings (session_id, key, place, kind, number) {
        session_id -> Text,
        key -> Text,
        place -> Text,
        kind -> Text,
        number -> BigInt,
        times -> BigInt,
        sure -> Bool,
        tool -> Nullable<Text>,
        file -> Nullable<Text>,
    }
}

diesel::table! {
    held (session_id, key) {
        session_id -> Text,
        key -> Text,
        sealed -> Binary,
    }
}

diesel::table! {
    sealed_shares (session_id) {
        session_id -> Text,
        share_id -> Text,
        version -> BigInt,
        models -> Nullable<Text>,
        batch -> Nullable<Text>,
    }
}

diesel::table! {
    sealed_items (session_id, item) {
        session_id -> Text,
        item -> Text,
        version -> BigInt,
    }
}
