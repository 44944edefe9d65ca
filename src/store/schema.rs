//! The tables, as the migrations make them.

diesel::table! {
    checks (id) {
        id -> BigInt,
        at -> BigInt,
    }
}

diesel::table! {
    shares (num) {
        num -> BigInt,
        id -> Text,
        session_id -> Text,
        secret_hash -> Binary,
        epoch -> Text,
        seq -> BigInt,
        size -> BigInt,
        created_at -> BigInt,
        updated_at -> BigInt,
        deleted_at -> Nullable<BigInt>,
        expires_at -> Nullable<BigInt>,
        token_num -> Nullable<BigInt>,
        purged_at -> Nullable<BigInt>,
        deletion -> Nullable<BigInt>,
        writer -> BigInt,
        lock -> Nullable<Text>,
    }
}

diesel::table! {
    passed_time (id) {
        id -> BigInt,
        at -> BigInt,
    }
}

diesel::table! {
    tries (share_num) {
        share_num -> BigInt,
        since -> BigInt,
        count -> BigInt,
    }
}

diesel::table! {
    redactions (id) {
        id -> BigInt,
        share_num -> BigInt,
        digest -> Binary,
        kind -> Text,
        n -> BigInt,
    }
}

diesel::table! {
    redaction_key (id) {
        id -> BigInt,
        key -> Binary,
    }
}

diesel::table! {
    create_tokens (num) {
        num -> BigInt,
        name -> Text,
        hash -> Binary,
        create_limit -> Nullable<Text>,
        max_shares -> Nullable<BigInt>,
        created_at -> BigInt,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    share_data (id) {
        id -> BigInt,
        share_num -> BigInt,
        key -> Text,
        content -> Nullable<Text>,
        seq -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::joinable!(share_data -> shares (share_num));
diesel::joinable!(redactions -> shares (share_num));
diesel::joinable!(shares -> create_tokens (token_num));
diesel::allow_tables_to_appear_in_same_query!(shares, share_data, redactions, create_tokens);
