//! What viewers are shown: whoever applies the frames, whole or as appends, live or later, has what the share has.

#![no_main]

use std::collections::{BTreeMap, HashMap};

use brutus_share::model::{Capacity, Change, Transcript};
use brutus_share::share::Frame;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

/// One step: which item, and what is done to it.
type Step<'a> = (u8, u8, &'a str);

fuzz_target!(|input: (u16, Vec<Step>)| {
    let (max_bytes, steps) = input;
    let mut transcript = Transcript::default();
    let mut texts = HashMap::<u8, String>::new();
    let (mut live, mut appends, mut late) = (Viewer::default(), Viewer::default(), Viewer::default());
    for (nth, batch) in steps.chunks(3).enumerate() {
        let changes =
            batch.iter().filter_map(|(item, action, text)| change(&mut texts, *item, *action, text));
        let before = transcript.seq();
        let Ok(applied) =
            transcript.apply(changes.collect(), Capacity { bytes: 1 << 20, ..Capacity::UNLIMITED })
        else {
            continue;
        };
        let older: HashMap<_, _> = applied.older.into_iter().map(|row| (row.key.clone(), row)).collect();
        let frame = Frame::live(&transcript, "e", before, &older);
        live.take(&frame.text);
        appends.take(frame.appending.as_ref().unwrap_or(&frame.text));
        assert!(!frame.more, "all of a small write is in its frame");
        if nth % 4 == 0 {
            late.catch_up(&transcript, usize::from(max_bytes));
        }
    }
    late.catch_up(&transcript, usize::from(max_bytes));
    let items: BTreeMap<_, _> = transcript
        .items()
        .map(|(key, content, _)| (key.as_str().to_owned(), content.get().to_owned()))
        .collect();
    for viewer in [live, appends, late] {
        assert_eq!((viewer.seq, &viewer.items), (transcript.seq(), &items));
    }
});

fn change(texts: &mut HashMap<u8, String>, item: u8, action: u8, text: &str) -> Option<Change> {
    let (message, part) = (item / 8 % 3, item % 8);
    let ids = format!(r#""messageID":"m{message}","id":"p{part}""#);
    let (kind, data) = match action % 8 {
        0 => ("message", format!(r#"{{"id":"m{message}","n":{part}}}"#)),
        1 => ("message.removed", format!(r#"{{"id":"m{message}"}}"#)),
        2 => ("part.removed", format!("{{{ids}}}")),
        3 => ("part", format!(r#"{{{ids},"text":{}}}"#, Value::from(text))),
        // Escapes as a client may send them: raw, also such as are none.
        4 => ("part", format!(r#"{{{ids},"text":"{text}"}}"#)),
        // A streamed answer: the text so far, and more.
        _ => {
            let so_far = texts.entry(item % 24).or_default();
            so_far.push_str(text);
            ("part", format!(r#"{{{ids},"text":{},"z":1}}"#, Value::from(so_far.as_str())))
        }
    };
    let data = RawValue::from_string(data).ok()?;
    Change::from_item(kind, &data, "data[0]").ok()
}

/// An item's fields, each as it is written: text may be half of a surrogate pair, which is no Unicode.
type Item = BTreeMap<String, Box<RawValue>>;

#[derive(Default)]
struct Viewer {
    seq: u64,
    items: BTreeMap<String, String>,
}

impl Viewer {
    fn take(&mut self, frame: &[u8]) {
        let frame: Item = serde_json::from_slice(frame).expect("a frame");
        self.seq = read(frame["seq"].get());
        for key in read::<Vec<String>>(frame["removed"].get()) {
            self.items.remove(&key);
        }
        for item in read::<Vec<Item>>(frame["items"].get()) {
            let key: String = read(item["key"].get());
            if let Some(data) = item.get("data") {
                self.items.insert(key, data.get().to_owned());
                continue;
            }
            let append: Item = read(item["append"].get());
            let whole = self.items.get_mut(&key).expect("who gets an append has what it goes to");
            let mut fields: Item = read(whole);
            let before = fields["text"].get();
            assert_eq!(append["path"].get(), r#""/text""#);
            if let Ok(text) = serde_json::from_str::<String>(before) {
                assert_eq!(read::<usize>(append["at"].get()), text.encode_utf16().count());
            }
            let joined = format!("{}{}", &before[..before.len() - 1], &append["text"].get()[1..]);
            // In place, because the order of the fields stays.
            *whole = whole.replacen(&format!(r#""text":{before}"#), &format!(r#""text":{joined}"#), 1);
            fields.insert("text".into(), RawValue::from_string(joined).expect("joined text is text"));
            assert_eq!(
                read::<Item>(whole).into_values().map(|raw| raw.get().to_owned()).collect::<Vec<_>>(),
                fields.into_values().map(|raw| raw.get().to_owned()).collect::<Vec<_>>()
            );
        }
    }

    fn catch_up(&mut self, transcript: &Transcript, max_bytes: usize) {
        loop {
            let frame = Frame::of(&transcript.since(self.seq, max_bytes), "e", false);
            assert!(frame.seq > self.seq || !frame.more, "every frame goes on");
            self.take(&frame.text);
            if !frame.more {
                return;
            }
        }
    }
}

fn read<T: for<'a> serde::Deserialize<'a>>(json: &str) -> T {
    serde_json::from_str(json).expect("JSON of this shape")
}
