//! WebSockets: what a viewer gets, and what it sends.

use std::io::Write;
use std::net::Shutdown;
use std::panic::AssertUnwindSafe;

use crate::harness::TestServer;
use crate::meter::Meter;
use crate::peer::{Kind, Viewer, frame, head};
use crate::table::{Door, Sizes, door, measure};
use crate::writing::{BYTES, ITEMS, Owned, list, part, text_part};

/// Frames or viewers.
const FRAMES: Sizes = (500, 16_000);

const CAUGHT_UP: &str = r#""more":false"#;

/// What a viewer may not send: its name and bytes, and the close codes that answer it.
type Refused = (&'static str, Sizes, fn(usize) -> Vec<u8>, &'static [u16]);

const REFUSED: &[Refused] = &[
    ("a frame of n bytes", BYTES, |n| frame(Kind::Binary, true, &vec![0; n]), &[1009]),
    (
        "a text of n bytes in fragments",
        BYTES,
        |n| {
            let mut frames = frame(Kind::Text, false, &[b'a'; 100]);
            frames.extend(frame(Kind::Continuation, false, &[b'a'; 100]).repeat(n / 106));
            frames
        },
        &[1003],
    ),
    (
        "n fragments without a byte",
        FRAMES,
        |n| {
            let mut frames = frame(Kind::Text, false, &[]);
            frames.extend(frame(Kind::Continuation, false, &[]).repeat(n));
            frames
        },
        &[1003],
    ),
    ("n texts", FRAMES, |n| frame(Kind::Text, true, b"hello").repeat(n), &[1003]),
    (
        "n continuations of nothing",
        FRAMES,
        |n| frame(Kind::Continuation, true, b"a").repeat(n),
        &[1002, 1003],
    ),
    (
        "a ping that announces n bytes",
        BYTES,
        |n| [head(Kind::Ping, true, n as u64), vec![0; n]].concat(),
        &[1002, 1009],
    ),
    (
        "n bytes of a frame that announces 2^63-1",
        BYTES,
        |n| [head(Kind::Binary, true, u64::MAX >> 1), vec![0; n]].concat(),
        &[1009],
    ),
    ("n bytes of noise", BYTES, |n| vec![0xa5; n], &[1002]),
];

fn sent() -> Vec<Door<TestServer>> {
    let refused = REFUSED.iter().map(|&(name, sizes, bytes, codes)| {
        door(format!("a viewer sends {name}"), sizes, move |server, n| {
            let share = Owned::with(server, &part("m", "p", ""));
            let bytes = bytes(n);
            Box::new(move |_| {
                let mut viewer = Viewer::connect(&server.address, &share.path("/poll"));
                viewer.until(CAUGHT_UP);
                let mut stream = viewer.stream.try_clone().expect("a socket");
                std::thread::scope(|scope| {
                    // The server closes when it has read enough.
                    let bytes = &bytes;
                    scope.spawn(move || drop(stream.write_all(bytes)));
                    let closing = viewer.stream.try_clone().expect("a socket");
                    let code = std::panic::catch_unwind(AssertUnwindSafe(|| viewer.close_code()));
                    let _ = closing.shutdown(Shutdown::Both);
                    let code = code.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    assert!(codes.contains(&code), "closed with {code}");
                });
            })
        })
    });
    let pings = [("n pings", Kind::Ping, 0), ("n pings of 125 bytes", Kind::Ping, 125)].map(
        |(name, kind, length)| {
            door(format!("a viewer sends {name}"), FRAMES, move |server, n| {
                let share = Owned::with(server, &part("m", "p", ""));
                let bytes = frame(kind, true, &vec![b'a'; length]).repeat(n);
                Box::new(move |_| {
                    let mut viewer = Viewer::connect(&server.address, &share.path("/poll"));
                    viewer.until(CAUGHT_UP);
                    let mut stream = viewer.stream.try_clone().expect("a socket");
                    std::thread::scope(|scope| {
                        scope.spawn(|| stream.write_all(&bytes).expect("taken"));
                        let mut pongs = 0;
                        while pongs < n {
                            let (first, _) = viewer.frame().expect("an answer to each");
                            pongs += usize::from(first & 15 == Kind::Pong as u8);
                        }
                    });
                })
            })
        },
    );
    let unasked = door("a viewer sends n pongs", FRAMES, |server: &TestServer, n| {
        let share = Owned::with(server, &part("m", "p", ""));
        let bytes = [frame(Kind::Pong, true, b"a").repeat(n), frame(Kind::Ping, true, b"last")].concat();
        Box::new(move |_| {
            let mut viewer = Viewer::connect(&server.address, &share.path("/poll"));
            viewer.stream.write_all(&bytes).expect("taken");
            viewer.until("last");
        })
    });
    refused.into_iter().chain(pings).chain([unasked]).collect()
}

fn caught_up() -> Vec<Door<TestServer>> {
    let from = |name: &'static str, sizes, query: &'static str, items: fn(usize) -> String| {
        door(name, sizes, move |server: &TestServer, n| {
            let share = Owned::with(server, &items(n));
            Box::new(move |_| Viewer::connect(&server.address, &share.path(query)).until(CAUGHT_UP))
        })
    };
    vec![
        from("a viewer comes to n items", ITEMS, "/poll", |n| {
            list(n, |i| text_part("m", &format!("p{i:x}"), "A few words."))
        }),
        from("a viewer comes to n items, with appends", ITEMS, "/poll?append=1", |n| {
            list(n, |i| text_part("m", &format!("p{i:x}"), &"words ".repeat(50)))
        }),
        from("a viewer comes to n bytes", BYTES, "/poll", |n| {
            list(8, |i| text_part("m", &format!("p{i}"), &"x".repeat(n / 8)))
        }),
        from("a viewer comes to n removed items", ITEMS, "/poll", |n| {
            let parts = list(n, |i| part("m", &format!("p{i:x}"), ""));
            format!(r#"{parts},{{"type":"message.removed","data":{{"id":"m"}}}}"#)
        }),
        door("a viewer comes and goes n times", (20, 400), |server, n| {
            let share = Owned::with(server, &part("m", "p", ""));
            Box::new(move |_| {
                (0..n).for_each(|_| Viewer::connect(&server.address, &share.path("/poll")).until(CAUGHT_UP));
            })
        }),
    ]
}

/// A share with a viewer, and what is synced while it watches.
fn synced() -> Vec<Door<TestServer>> {
    vec![
        door("n items for a viewer who does not read", ITEMS, |server: &TestServer, n| {
            let batches: Vec<_> = (0..10)
                .map(|batch| {
                    list(n / 10, |i| text_part("m", &format!("p{batch}-{i:x}"), &"words ".repeat(30)))
                })
                .collect();
            Box::new(move |_| {
                let share = Owned::with(server, &part("m", "p", ""));
                let _viewer = Viewer::connect(&server.address, &share.path("/poll"));
                for batch in &batches {
                    share.sync(batch);
                }
            })
        }),
        door(
            "n bytes added to a text, in pieces of 4 KiB",
            (16 << 10, 256 << 10),
            |server: &TestServer, n| {
                Box::new(move |meter: &mut Meter| {
                    // A text that is long already: what is added is all that differs.
                    let mut text = "x".repeat(64 << 10);
                    let share = Owned::with(server, &text_part("m", "p", &text));
                    let mut viewer = Viewer::connect(&server.address, &share.path("/poll?append=1"));
                    viewer.until(CAUGHT_UP);
                    meter.begin();
                    for _ in 0..n / 4096 {
                        text.push_str(&"y".repeat(4096));
                        share.sync(&text_part("m", "p", &text));
                    }
                    viewer.until(&format!("\"seq\":{}", 1 + n / 4096));
                })
            },
        ),
        door("an item for n viewers", (10, 200), |server: &TestServer, n| {
            Box::new(move |meter: &mut Meter| {
                let share = Owned::create(server);
                let mut viewers: Vec<_> =
                    (0..n).map(|_| Viewer::connect(&server.address, &share.path("/poll"))).collect();
                for viewer in &mut viewers {
                    viewer.until(CAUGHT_UP);
                }
                meter.begin();
                for i in 0..10 {
                    share.sync(&text_part("m", "p", &format!("version {i}.")));
                    for viewer in &mut viewers {
                        viewer.until(&format!("version {i}."));
                    }
                }
            })
        }),
    ]
}

#[test]
fn what_viewers_send() {
    measure(sent());
}

#[test]
fn what_viewers_catch_up_with() {
    measure(caught_up());
}

#[test]
fn what_viewers_watch() {
    measure(synced());
}
