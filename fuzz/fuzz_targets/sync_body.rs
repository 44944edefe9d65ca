//! A body from a stranger: read or refused, and a refusal never repeats what stood in it.

#![no_main]

use brutus_share::model::{Capacity, Change, Transcript};
use brutus_share::protocol::{
    CreateRequest, LeadingSecret, Malformed, SecretRequest, SyncRequest, leading_secret,
};
use libfuzzer_sys::fuzz_target;

/// Stands in the body for each `q`, and nowhere in the code.
const CANARY: &str = "hunter2";

fuzz_target!(|body: &[u8]| {
    let body: Vec<u8> = body
        .iter()
        .flat_map(|byte| if *byte == b'q' { CANARY.as_bytes() } else { std::slice::from_ref(byte) })
        .copied()
        .collect();
    let _ = CreateRequest::parse(&body).map_err(|error| check(&error.to_string()));
    let _ = SecretRequest::parse(&body).map_err(|error| check(&error.to_string()));
    let sync = match SyncRequest::parse(&body) {
        Ok(sync) => {
            if let LeadingSecret::Is(leading) = leading_secret(&body) {
                assert_eq!(leading, sync.secret);
            }
            sync
        }
        Err(error) => return check(&error.to_string()),
    };
    let mut changes = Vec::new();
    let read = sync.for_each_item(|item| {
        let place = format!("data[{}]", item.index);
        changes.push(Change::from_item(&item.kind, item.data, &place)?);
        Ok::<_, Malformed>(())
    });
    match read.map(|()| changes) {
        Ok(changes) => {
            let mut transcript = Transcript::default();
            let applied =
                transcript.apply(changes.clone(), Capacity::UNLIMITED).expect("nothing is too large");
            assert_eq!(transcript.seq(), applied.rows.iter().map(|row| row.seq).max().unwrap_or(0));
            // Sent again it changes nothing. Lists of models with doubles settle at the first merge with themselves.
            transcript.apply(changes.clone(), Capacity::UNLIMITED).expect("nothing is too large");
            let again = transcript.apply(changes, Capacity::UNLIMITED).expect("nothing is too large");
            assert!(again.rows.is_empty(), "{:?}", again.rows);
        }
        Err(error) => check(&error.to_string()),
    }
});

fn check(refusal: &str) {
    assert!(refusal.len() < 250 && !refusal.contains(CANARY), "{refusal}");
}
