//! The relay's doors.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::meter::Meter;
use crate::peer::{Answer, ask, get};
use crate::table::{Door, Process, Relayed, Sizes, door, measure};
use crate::writing::{BYTES, Batch, ITEMS, list, part, text_part};

fn post(relayed: &Relayed, path: &str, body: &str) -> Answer {
    let token = format!("authorization: Bearer {}\r\n", relayed.relay.token());
    ask(relayed.address(), "POST", path, &token, body.as_bytes())
}

/// A session that nobody used yet.
fn session() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("ses_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Shares a session with a backlog, and waits until the server has it.
fn share(relayed: &Relayed, session: &str, backlog: &str) {
    let shared = post(
        relayed,
        &format!("/v1/sessions/{session}/share"),
        &format!(r#"{{"empty":true,"data":[{backlog}]}}"#),
    );
    assert_eq!(shared.status, 200, "{}", String::from_utf8_lossy(&shared.body));
    flush(relayed, session);
}

fn flush(relayed: &Relayed, session: &str) {
    assert_eq!(post(relayed, &format!("/v1/sessions/{session}/flush"), "").status, 200);
}

/// Events of a session `SESSION`, which is shared or not; the size counts events, or bytes where it says so.
type Events = (&'static str, Sizes, bool, fn(usize) -> String);

const EVENTS: &[Events] = &[
    ("n events", ITEMS, true, |n| {
        list(n, |i| {
            format!(
                r#"{{"type":"part.updated","sessionID":"SESSION","data":{{"messageID":"m","id":"p{i:x}"}}}}"#
            )
        })
    }),
    ("n events of one part", ITEMS, true, |n| {
        list(n, |i| {
            format!(
                r#"{{"type":"part.updated","sessionID":"SESSION","data":{{"messageID":"m","id":"p","n":{i}}}}}"#
            )
        })
    }),
    ("n deltas of one part", ITEMS, true, |n| {
        let part =
            r#"{"type":"part.updated","sessionID":"SESSION","data":{"messageID":"m","id":"p","text":""}}"#;
        let deltas = list(n, |i| {
            format!(
                r#"{{"type":"part.delta","sessionID":"SESSION",
                    "data":{{"messageID":"m","partID":"p","delta":"{i:x} "}}}}"#
            )
        });
        format!("{part},{deltas}")
    }),
    ("n whole versions of a part, each with a delta", ITEMS, true, |n| {
        list(n, |i| {
            format!(
                r#"{{"type":"part.updated","sessionID":"SESSION",
                        "data":{{"messageID":"m","id":"p","text":"{i:x}"}}}},
                    {{"type":"part.delta","sessionID":"SESSION",
                        "data":{{"messageID":"m","partID":"p","delta":"!"}}}}"#
            )
        })
    }),
    ("an event of n bytes", BYTES, true, |n| {
        let text = "x".repeat(n);
        format!(
            r#"{{"type":"part.updated","sessionID":"SESSION","data":{{"messageID":"m","id":"p","text":"{text}"}}}}"#
        )
    }),
    ("n removals", ITEMS, true, |n| {
        list(n, |i| format!(r#"{{"type":"message.removed","sessionID":"SESSION","data":{{"id":"m{i:x}"}}}}"#))
    }),
    ("n parts of a message, and n removals of it", ITEMS, true, |n| {
        let parts = list(n, |i| {
            format!(
                r#"{{"type":"part.updated","sessionID":"SESSION","data":{{"messageID":"m","id":"p{i:x}"}}}}"#
            )
        });
        let removed =
            list(n, |_| r#"{"type":"message.removed","sessionID":"SESSION","data":{"id":"m"}}"#.into());
        format!("{parts},{removed}")
    }),
    ("n events of a session that is not shared", ITEMS, false, |n| {
        list(n, |i| {
            format!(
                r#"{{"type":"part.updated","sessionID":"SESSION","data":{{"messageID":"m","id":"p{i:x}"}}}}"#
            )
        })
    }),
    ("n events of no use", ITEMS, true, |n| {
        list(n, |i| format!(r#"{{"type":"lsp.updated","properties":{{"n":{i}}}}}"#))
    }),
];

fn events() -> Vec<Door<Relayed>> {
    let events = EVENTS.iter().map(|&(name, sizes, shared, events)| {
        door(format!("relay: {name}"), sizes, move |relayed, n| {
            let events = events(n);
            Box::new(move |meter| {
                let session = session();
                if shared {
                    share(relayed, &session, "");
                }
                let body = format!("[{}]", events.replace("SESSION", &session));
                meter.begin();
                let answer = post(relayed, "/v1/events", &body);
                assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
                if shared {
                    flush(relayed, &session);
                }
            })
        })
    });
    events.into_iter().collect()
}

/// Items of a backlog.
const BACKLOGS: &[Batch] = &[
    ("n items", ITEMS, |n| list(n, |i| text_part("m", &format!("p{i:x}"), "A few words."))),
    ("an item of n bytes", BYTES, |n| text_part("m", "p", &"x".repeat(n))),
    ("a list of n models", ITEMS, |n| {
        let models = list(n, |i| format!(r#"{{"providerID":"p","id":"{i:x}"}}"#));
        format!(r#"{{"type":"model","data":[{models}]}}"#)
    }),
    ("n lists of a model each", ITEMS, |n| {
        list(n, |i| format!(r#"{{"type":"model","data":[{{"providerID":"p","id":"{i:x}"}}]}}"#))
    }),
];

fn shares() -> Vec<Door<Relayed>> {
    let backlogs = BACKLOGS.iter().map(|&(name, sizes, items)| {
        door(format!("relay: share with {name}"), sizes, move |relayed, n| {
            let items = items(n);
            Box::new(move |_| share(relayed, &session(), &items))
        })
    });
    let twice = door("relay: share again with n items", ITEMS, |relayed: &Relayed, n| {
        let items = list(n, |i| part("m", &format!("p{i:x}"), ""));
        let session = session();
        share(relayed, &session, &items);
        Box::new(move |_| share(relayed, &session, &items))
    });
    let listed = door("relay: list of n shares", (5, 20), |relayed: &Relayed, n| {
        Box::new(move |meter: &mut Meter| {
            let sessions: Vec<_> = (0..n).map(|_| session()).collect();
            for session in &sessions {
                share(relayed, session, "");
            }
            let token = format!("authorization: Bearer {}\r\n", relayed.relay.token());
            meter.begin();
            (0..50).for_each(|_| assert_eq!(get(relayed.address(), "/v1/shares", &token).status, 200));
            meter.stop();
            for session in sessions {
                let path = format!("/v1/sessions/{session}/share");
                assert_eq!(ask(relayed.address(), "DELETE", &path, &token, b"").status, 200);
            }
        })
    });
    backlogs.into_iter().chain([twice, listed]).collect()
}

/// What an agent wrote down of a session, whose lines are linked by their numbers.
const TRANSCRIPTS: &[Batch] = &[
    ("n prompts and answers", ITEMS, |n| {
        let line = |i: usize| {
            let (kind, message) = match i % 2 {
                0 => ("user", r#"{"role":"user","content":"Go on."}"#.to_owned()),
                _ => ("assistant", format!(r#"{{"id":"m{i}","content":[{{"type":"text","text":"Yes."}}]}}"#)),
            };
            record(kind, i, i, &message)
        };
        (0..n).map(line).collect()
    }),
    ("n calls with results in an answer", ITEMS, |n| {
        let line = |i: usize| {
            let call = r#"{"type":"tool_use","name":"Bash","input":{"command":"true"}"#;
            let called = format!(r#"{{"id":"m","content":[{call},"id":"c{i}"}}]}}"#);
            let result =
                format!(r#"{{"content":[{{"type":"tool_result","tool_use_id":"c{i}","content":"done"}}]}}"#);
            record("assistant", 2 * i, 2 * i, &called) + &record("user", 2 * i + 1, 2 * i + 1, &result)
        };
        (0..n).map(line).collect()
    }),
    ("n prompts that all take back the one before", ITEMS, |n| {
        (0..n).map(|i| record("user", i, 0, r#"{"role":"user","content":"Or rather so."}"#)).collect()
    }),
    ("a prompt of n bytes", BYTES, |n| {
        record("user", 0, 0, &format!(r#"{{"role":"user","content":"{}"}}"#, "x".repeat(n)))
    }),
    ("n lines that are no record", ITEMS, |n| "[1, 2]\n".repeat(n)),
];

/// A record that follows the one of a number.
fn record(kind: &str, number: usize, after: usize, message: &str) -> String {
    let parent = after.checked_sub(1).map_or("null".to_owned(), |before| format!(r#""{before}""#));
    let time = "2026-11-01T10:00:00.000Z";
    let ids = format!(r#""uuid":"{number}","parentUuid":{parent},"sessionId":"s""#);
    format!(r#"{{"type":"{kind}",{ids},"timestamp":"{time}","message":{message}}}"#) + "\n"
}

fn transcripts() -> Vec<Door<Relayed>> {
    let transcripts = TRANSCRIPTS.iter().map(|&(name, sizes, lines)| {
        door(format!("relay: share a transcript of {name}"), sizes, move |relayed: &Relayed, n| {
            let lines = record("user", 0, 0, r#"{"role":"user","content":"Begin."}"#) + &lines(n);
            let folder = relayed.relay.home().join(".claude/projects/-growth");
            std::fs::create_dir_all(&folder).expect("a folder");
            Box::new(move |meter| {
                let id = session();
                std::fs::write(folder.join(format!("{id}.jsonl")), &lines).expect("written");
                let session = format!("cc_{id}");
                meter.begin();
                let shared = post(relayed, &format!("/v1/sessions/{session}/share"), "");
                assert_eq!(shared.status, 200, "{}", String::from_utf8_lossy(&shared.body));
                flush(relayed, &session);
                meter.stop();
                // The next finds nothing to follow beside its own.
                let token = format!("authorization: Bearer {}\r\n", relayed.relay.token());
                let path = format!("/v1/sessions/{session}/share");
                assert_eq!(ask(relayed.address(), "DELETE", &path, &token, b"").status, 200);
                std::fs::remove_file(folder.join(format!("{id}.jsonl"))).expect("removed");
            })
        })
    });
    transcripts.collect()
}

#[test]
fn transcripts_that_the_relay_reads() {
    measure(transcripts());
}

#[test]
fn events_for_the_relay() {
    measure(events());
}

#[test]
fn shares_of_the_relay() {
    measure(shares());
}
