use std::sync::Arc;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::item::{inside, padme};
use super::segments::{joined, segments_of};
use super::*;
use crate::model::Key;

fn vectors() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sealed/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field}"))
}

fn key(item: &Value) -> Key {
    Key::from(text(item, "key"))
}

fn sealed(item: &Value) -> Sealed {
    serde_json::from_value(json!({"id": item["id"], "v": item["v"], "c": item["c"]})).unwrap()
}

fn seal() -> Seal {
    let link: LinkKey = text(&vectors(), "link").parse().unwrap();
    Keys::new(&link, None).of_share(text(&vectors(), "share"))
}

/// The text with one of its characters changed.
fn changed(text: &str, at: usize) -> String {
    let replacement = if text.as_bytes()[at] == b'A' { 'B' } else { 'A' };
    format!("{}{replacement}{}", &text[..at], &text[at + 1..])
}

#[test]
fn the_vectors_are_what_this_makes() {
    let vectors = vectors();
    let link: LinkKey = text(&vectors, "link").parse().unwrap();
    for case in vectors["cases"].as_array().unwrap() {
        let phrase = case["phrase"].as_str().map(|phrase| Phrase::of(phrase, &link));
        let keys = Keys::new(&link, phrase.as_ref());
        assert_eq!((keys.check().as_str(), keys.door().as_str()), (text(case, "check"), text(case, "door")));
        let seal = keys.of_share(text(&vectors, "share"));
        let mut set = Set::default();
        for item in case["items"].as_array().unwrap() {
            let (id, v) = (seal.name(&key(item)), item["v"].as_u64().unwrap());
            assert_eq!(id, text(item, "id"));
            let nonce = HEXLOWER.decode(text(item, "nonce").as_bytes()).unwrap().try_into().unwrap();
            assert_eq!(seal.seal_with(nonce, &id, v, text(item, "body")).unwrap(), sealed(item));
            assert_eq!(seal.open(&sealed(item)).unwrap(), text(item, "body"));
            set.toggle(&seal.mark(&id, v));
        }
        assert_eq!(set.encoded(), text(case, "set_value"));
        let manifest = &case["manifest"];
        assert_eq!(seal.manifest_name(), text(manifest, "id"));
        assert_eq!(seal.open(&sealed(manifest)).unwrap(), text(manifest, "body"));
        if let Some(deflated) = case.get("deflated") {
            let body = seal.open(&sealed(deflated)).unwrap();
            assert_eq!(body.len() as u64, deflated["body_bytes"].as_u64().unwrap());
            let again = seal.seal(&seal.name(&key(deflated)), 5, &body).unwrap();
            assert!(again.c.len() < body.len() / 2 && seal.open(&again).unwrap() == body);
        }
    }
    for pair in vectors["padme"].as_array().unwrap() {
        let [size, padded] = [0, 1].map(|at| usize::try_from(pair[at].as_u64().unwrap()).unwrap());
        assert_eq!(padme(size), padded);
    }
}

#[test]
fn nothing_opens_in_another_share_under_another_name_or_as_another_version() {
    let vectors = vectors();
    let (link, share) = (text(&vectors, "link"), text(&vectors, "share"));
    let seal = seal();
    for item in vectors["cases"][0]["items"].as_array().unwrap() {
        let item = sealed(item);
        assert!(seal.open(&item).is_ok());
        for at in 0..share.len() {
            let other = Keys::new(&link.parse().unwrap(), None).of_share(&changed(share, at));
            assert_eq!(other.open(&item), Err(SealError::Tampered), "share, character {at}");
        }
        for at in 0..item.id.len() {
            let renamed = Sealed { id: changed(&item.id, at), ..item.clone() };
            assert_eq!(seal.open(&renamed), Err(SealError::Tampered), "name, character {at}");
        }
        for v in [item.v - 1, item.v + 1, MAX_VERSION] {
            assert_eq!(seal.open(&Sealed { v, ..item.clone() }), Err(SealError::Tampered), "version {v}");
        }
        for at in 0..item.c.len() {
            let altered = Sealed { c: changed(&item.c, at), ..item.clone() };
            assert_eq!(seal.open(&altered), Err(SealError::Tampered), "content, character {at}");
            let cut = Sealed { c: item.c[..at].to_owned(), ..item.clone() };
            assert_eq!(seal.open(&cut), Err(SealError::Tampered), "content up to {at}");
        }
    }
}

#[test]
fn a_link_that_is_cut_and_a_wrong_phrase_are_told_by_the_check() {
    let link = text(&vectors(), "link").to_owned();
    assert_eq!(link[..21].parse::<LinkKey>(), Err(NotALinkKey));
    assert!(changed(&link, 3).replace('A', "-").parse::<LinkKey>().is_err());
    let check = |link: &str| Keys::new(&link.parse().unwrap(), None).check();
    assert_ne!(check(&link), check(&changed(&link, 21)));
    let link: LinkKey = link.parse().unwrap();
    let of = |phrase: &str| Keys::new(&link, Some(&Phrase::of(phrase, &link))).check();
    // The same letters, composed and not.
    assert_eq!(of("\u{e9}"), of("e\u{301}"));
    assert_ne!(of("\u{e9}"), of("e"));
}

#[test]
fn no_key_is_shown_by_debug_and_each_is_kept_as_text() {
    let link = LinkKey::random().unwrap();
    let phrase = Phrase::try_from(BASE64URL_NOPAD.encode(&[7; 32])).unwrap();
    let keys = Keys::new(&link, Some(&phrase));
    let shown = format!("{link:?} {phrase:?} {keys:?} {:?}", keys.clone().of_share("x"));
    assert_eq!(shown, "LinkKey(…) Phrase(…) Keys(…) Seal(…)");
    let kept = serde_json::to_string(&(link.clone(), phrase.clone())).unwrap();
    assert_eq!(serde_json::from_str::<(LinkKey, Phrase)>(&kept).unwrap(), (link, phrase));
}

#[test]
fn what_was_padded_or_written_otherwise_is_unreadable_and_never_larger_than_it_may_be() {
    let seal = seal();
    let hostile = |plain: &[u8]| {
        let mut bytes = plain.to_vec();
        let nonce = ring::aead::Nonce::assume_unique_for_key([1; 12]);
        let aad = ring::aead::Aad::from(format!("brutus-share/e2e/1\n{}\nx\n1", text(&vectors(), "share")));
        let tag = seal.keys().seal.seal_in_place_separate_tag(nonce, aad, &mut bytes).unwrap();
        let c = BASE64URL_NOPAD.encode(&[&[1; 12][..], &bytes, tag.as_ref()].concat());
        seal.open(&Sealed { id: "x".into(), v: 1, c })
    };
    assert_eq!(hostile(&[0, 0, 0, 0, 2, b'{', b'}']), Ok("{}".into()));
    for plain in
        [&[][..], &[0], &[0, 0, 0, 0], &[0, 0, 0, 0, 1], &[0, 255, 255, 255, 255, 1], &[2, 0, 0, 0, 0]]
    {
        assert_eq!(hostile(plain), Err(SealError::Unreadable), "{plain:?}");
    }
    assert_eq!(hostile(&[0, 0, 0, 0, 1, 0xff]), Err(SealError::Unreadable));
    assert_eq!(hostile(&[1, 0, 0, 0, 2, 0xff, 0xff]), Err(SealError::Unreadable));
    // 70 MB of zeros in 70 kB.
    let mut bomb = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 70 << 20), &mut bomb).unwrap();
    let bomb = bomb.finish().unwrap();
    let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
    assert_eq!(hostile(&[&[1][..], &length, &bomb].concat()), Err(SealError::TooLarge));
}

/// A share as its sender has it, with a manifest.
struct Sent {
    seal: Arc<Seal>,
    items: Vec<Sealed>,
    manifest: Sealed,
}

fn sent() -> Sent {
    let seal = Arc::new(seal());
    let mut set = Set::default();
    let keys = ["session", "message/m", "part/m/p"].map(Key::from);
    let items = keys.iter().zip(1..).map(|(key, v)| {
        let inside = json!({"type": key.kind(), "data": {"id": "x", "n": v}}).to_string();
        seal.seal(&seal.name(key), v, &inside).unwrap()
    });
    let items: Vec<_> = items.collect();
    for item in &items {
        set.toggle(&seal.mark(&item.id, item.v));
    }
    let manifest = Manifest { count: 3, set: set.encoded(), at: 5 };
    let inside = json!({"type": "manifest", "data": manifest}).to_string();
    let manifest = seal.seal(&seal.manifest_name(), 4, &inside).unwrap();
    Sent { seal, items, manifest }
}

#[test]
fn what_is_withheld_older_or_of_another_key_is_seen() {
    let Sent { seal, items, manifest } = sent();
    let opening = |items: &[Sealed], manifest: Option<&Sealed>| {
        let mut opening = Opening::new(seal.clone());
        for item in items.iter().chain(manifest) {
            opening.put(item, item.v).unwrap();
        }
        opening
    };
    let whole = opening(&items, Some(&manifest));
    assert_eq!((whole.check(), whole.newest()), (Ok(()), 4));
    let kinds: Vec<_> = whole.items().into_iter().map(|(kind, ..)| kind.to_owned()).collect();
    assert_eq!(kinds, ["session", "message", "part"]);
    assert_eq!(opening(&[], None).check(), Ok(()));
    let mismatch = Err(Mismatch { at: Some(5) });
    assert_eq!(opening(&items[..2], Some(&manifest)).check(), mismatch);
    assert_eq!(opening(&[], Some(&manifest)).check(), mismatch);
    assert_eq!(opening(&items, None).check(), Err(Mismatch { at: None }));
    let newer = seal.seal(&items[0].id, 9, r#"{"type":"session","data":{}}"#).unwrap();
    let mut held = opening(&[newer.clone(), items[1].clone(), items[2].clone()], Some(&manifest));
    assert_eq!(held.check(), mismatch, "newer than its manifest");
    assert_eq!(held.put(&items[0], 1), Err(SealError::Older));
    held.remove(&newer.id);
    assert_eq!(held.check(), mismatch);
}

#[test]
fn a_long_text_comes_in_segments_and_goes_on_in_its_last() {
    let part = |text: &str| format!(r#"{{"id":"p","text":"{text}","n":1.50}}"#);
    assert_eq!(segmented(&part("short")), None);
    assert_eq!(segmented(r#"{"text":{"a":1}}"#), None);
    assert_eq!(segmented(r#"{"text":"#), None);
    // A cut surrogate at the end, pairs, escapes and characters of four bytes.
    let long = r#"\ud83d\ude00\n\"\\é🦀"#.repeat(400);
    let (whole, grown) = (part(&long), part(&format!("{long} and more \\ud83d")));
    let (before, after) = (segmented(&whole).unwrap(), segmented(&grown).unwrap());
    assert!(before.segments.iter().all(|segment| segment.len() <= 2048));
    let last = before.segments.len() - 1;
    assert_eq!(before.segments[..last], after.segments[..last]);
    assert!(
        before.part.starts_with(r#"{"id":"p","text":{"segments":"#) && before.part.ends_with(r#","n":1.50}"#)
    );
    for (part, Segmented { part: short, segments }) in [(&whole, before), (&grown, after)] {
        assert_eq!(segments_of(&short), Some(segments.len()));
        assert_eq!(joined(&short, segments.into_iter()).as_ref(), Some(part));
    }
}

proptest! {
    #[test]
    fn what_was_sealed_opens_as_it_was(inside in ".{0,3000}", id in "[A-Za-z0-9_/-]{1,50}", v in 1..=MAX_VERSION) {
        let seal = seal();
        let sealed = seal.seal(&id, v, &inside).unwrap();
        prop_assert_eq!(seal.open(&sealed).unwrap(), inside);
        prop_assert_ne!(seal.seal(&id, v, "").unwrap().c, seal.seal(&id, v, "").unwrap().c);
    }

    #[test]
    fn nothing_makes_opening_panic(id in ".{0,60}", v: u64, c in "[A-Za-z0-9_=/+-]{0,200}", place: u64) {
        let sealed = Sealed { id, v, c };
        prop_assert!(Opening::new(Arc::new(seal())).put(&sealed, place).is_err());
    }

    #[test]
    fn whatever_was_encrypted_is_read_or_refused(plain: Vec<u8>, length in 0..40_u8, deflated: bool) {
        let head = [u8::from(deflated), 0, 0, 0, length];
        let _ = inside(&[&head[..], &plain].concat());
        let _ = inside(&plain);
    }

    #[test]
    fn padding_takes_an_eighth_at_most(size in 1..100_000_000_usize) {
        let padded = padme(size);
        prop_assert!(padded >= size && (padded - size) * 8 <= size);
    }

    #[test]
    fn any_text_is_cut_and_joined_without_a_change(text: String, times in 1..2000_usize) {
        let text = text.repeat(times.min(40_000 / text.len().max(1)).max(1));
        let part = json!({"id": "p", "text": text, "more": [1]}).to_string();
        if let Some(Segmented { part: short, segments }) = segmented(&part) {
            prop_assert!(segments.iter().all(|segment| segment.len() <= 2048 && !segment.is_empty()));
            prop_assert_eq!(joined(&short, segments.into_iter()), Some(part));
        }
    }
}
