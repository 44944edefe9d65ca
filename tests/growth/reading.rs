//! What reads: every route of a share, with many items, with large ones, and with texts that are hostile to whoever
//! writes them as Markdown.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use crate::harness::TestServer;
use crate::meter::Meter;
use crate::peer::get;
use crate::table::{Door, Forgetful, Sizes, door, measure};
use crate::writing::{BYTES, Owned, list, part, text_part};

/// Items of sessions that are read: fewer than what is written, for each has to be written first.
const ITEMS: Sizes = (250, 4000);

/// The ways to read a share: a name, the path, and headers. `ID` stands for the share.
const ROUTES: &[(&str, &str, &str)] = &[
    ("summary", "/api/share/ID", ""),
    ("/data", "/api/share/ID/data", ""),
    ("/data, gzip", "/api/share/ID/data", "accept-encoding: gzip\r\n"),
    ("/data, br", "/api/share/ID/data", "accept-encoding: br\r\n"),
    ("/items", "/api/share/ID/items?after=0", ""),
    (".json", "/s/ID.json", ""),
    (".png", "/s/ID.png", ""),
    (".md", "/s/ID.md", ""),
    (".md?full=1", "/s/ID.md?full=1", ""),
    (".md?tail=2", "/s/ID.md?tail=2", ""),
    ("page", "/s/ID", "accept: text/html\r\n"),
    ("page as text", "/s/ID", "accept: text/markdown\r\naccept-encoding: gzip\r\n"),
];

fn message(id: &str, created: usize, rest: &str) -> String {
    format!(
        r#"{{"type":"message","data":{{"id":"{id}","role":"assistant","time":{{"created":{created}}}{rest}}}}}"#
    )
}

/// A session of `n` items: prompts, answers, and their parts.
fn session(n: usize) -> String {
    let turns = list(n / 2, |i| {
        let id = format!("m{i:x}");
        format!("{},{}", message(&id, n - i, ""), text_part(&id, "p", "A few words."))
    });
    format!(r#"{{"type":"session","data":{{"title":"t"}}}},{turns}"#)
}

/// A session whose messages stand in one item.
fn messages(list: &str) -> String {
    format!(
        r#"{{"type":"session","data":{{"id":"s"}}}},
            {{"type":"messages","data":{{"sessionID":"s","messages":[{list}]}}}}"#
    )
}

fn read(server: &TestServer, share: &str, path: &str, headers: &str) {
    let answer = get(&server.address, &path.replace("ID", share), headers);
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
}

/// The ids and secrets of shares, by server and size.
type Shares = HashMap<(u32, usize), (String, String)>;

/// The shares of one kind that several doors read, by server and size: each is written once.
#[derive(Clone)]
struct Kind {
    items: fn(usize) -> String,
    shares: Rc<RefCell<Shares>>,
}

impl Kind {
    fn of(items: fn(usize) -> String) -> Self {
        Self { items, shares: Rc::default() }
    }

    /// A door to the share of this kind by a path. Something is new before each visit: what was made for the last
    /// reader is kept for the next one of the same state.
    fn door(
        &self,
        name: String,
        sizes: Sizes,
        path: &'static str,
        headers: &'static str,
    ) -> Door<TestServer> {
        let Self { items, shares } = self.clone();
        door(name, sizes, move |server: &TestServer, n| {
            let mut shares = shares.borrow_mut();
            let (id, secret) = shares.entry((server.id(), n)).or_insert_with(|| {
                let share = Owned::with(server, &items(n));
                (share.id, share.secret)
            });
            let share = Owned { server, id: id.clone(), secret: secret.clone() };
            Box::new(move |meter: &mut Meter| {
                share.sync(&message("new", 1, &format!(r#","agent":"{:?}""#, Instant::now())));
                meter.begin();
                read(server, &share.id, path, headers);
            })
        })
    }
}

fn routes() -> Vec<Door<TestServer>> {
    let with = |what: &str, sizes, items: fn(usize) -> String| {
        let (what, kind) = (what.to_owned(), Kind::of(items));
        ROUTES.iter().map(move |&(name, path, headers)| {
            kind.door(format!("read {name}: {what}"), sizes, path, headers)
        })
    };
    let many = with("n items", ITEMS, session);
    let large = with("an item of n bytes", BYTES, |n| {
        format!("{},{}", message("m", 1, ""), text_part("m", "p", &"Some words.\\n".repeat(n / 12)))
    });
    let listed = with("a list of n messages", ITEMS, |n| {
        messages(&list(n / 2, |i| {
            format!(
                r#"{{"id":"m{i:x}","type":"assistant","time":{{"created":1}},"content":[
                    {{"type":"text","text":"A few words."}},
                    {{"type":"tool","name":"bash","state":{{"content":[{{"type":"text","text":"out"}}]}}}}]}}"#
            )
        }))
    });
    let long = with("a list with a message of n bytes", BYTES, |n| {
        messages(&format!(r#"{{"id":"m","type":"user","text":"{}"}}"#, "Some words.\\n".repeat(n / 12)))
    });
    let pieces = with("a list with a message of n pieces", ITEMS, |n| {
        let pieces = list(n, |_| r#"{"type":"text","text":"Words."}"#.into());
        messages(&format!(r#"{{"id":"m","type":"assistant","content":[{pieces}]}}"#))
    });
    many.into_iter().chain(large).chain(listed).chain(long).chain(pieces).collect()
}

/// Sessions in whose shape a reading order can lose its way.
type Shape = (&'static str, fn(usize) -> String);

const SHAPES: &[Shape] = &[
    ("n answers, each to the one before", |n| {
        list(n, |i| {
            message(&format!("m{i:x}"), n - i, &format!(r#","parentID":"m{:x}""#, i.saturating_sub(1)))
        })
    }),
    ("n answers, each to the one after", |n| {
        list(n, |i| message(&format!("m{i:x}"), i, &format!(r#","parentID":"m{:x}""#, i + 1)))
    }),
    ("n answers in a circle", |n| {
        list(n, |i| message(&format!("m{i:x}"), 1, &format!(r#","parentID":"m{:x}""#, (i + 1) % n)))
    }),
    ("n answers to a prompt", |n| list(n, |i| message(&format!("m{i:x}"), n - i, r#","parentID":"m0""#))),
    ("n parts without a message", |n| list(n, |i| part(&format!("m{i:x}"), "p", ""))),
    ("n parts whose ids fall", |n| {
        let parts = list(n, |i| text_part("m", &format!("p{:08}", n - i), "x"));
        format!("{},{parts}", message("m", 1, ""))
    }),
];

fn shapes() -> Vec<Door<TestServer>> {
    let shapes = SHAPES.iter().flat_map(|&(name, items)| {
        let kind = Kind::of(items);
        [("/data", "/api/share/ID/data"), (".md", "/s/ID.md")]
            .map(|(way, path)| kind.door(format!("read {way}: {name}"), ITEMS, path, ""))
    });
    shapes.collect()
}

/// What hostile texts are made of, as JSON writes it.
const HOSTILE: &[(&str, &str)] = &[
    ("letters", "x"),
    ("spaces", " "),
    ("line breaks", "\\n"),
    ("carriage returns", "\\r"),
    ("backticks", "`"),
    ("runs of backticks", "` `` "),
    ("fences", "```\\n"),
    ("tildes", "~"),
    ("links", "[a]("),
    ("brackets", "["),
    ("comments", "<!--"),
    ("tags", "<a "),
    ("ampersands", "&"),
    ("quotes", "> "),
    ("lists", "* a\\n"),
    ("headings", "# a\\n"),
    ("underscores", "_a"),
    ("addresses", "a."),
    ("escapes", "\\u001b["),
    ("escapes that do not end", "\\u001b]8;"),
    ("bidirectional marks", "\\u202e"),
    ("halves of surrogate pairs", "\\ud83d"),
];

/// A session with a text in every place that Markdown has for one.
fn everywhere(text: &str) -> String {
    let tool = |id: &str, tool: &str, state: &str| {
        part("m", id, &format!(r#","type":"tool","tool":"{tool}","state":{{{state}}}"#))
    };
    [
        format!(r#"{{"type":"session","data":{{"title":"{text}","directory":"{text}"}}}}"#),
        message("m", 1, ""),
        text_part("m", "p1", text),
        part("m", "p2", &format!(r#","type":"reasoning","text":"{text}""#)),
        part("m", "p3", &format!(r#","type":"file","filename":"{text}","mime":"{text}""#)),
        tool("p4", "bash", &format!(r#""status":"completed","input":{{"command":"ls"}},"output":"{text}""#)),
        tool("p5", "other", &format!(r#""status":"error","input":{{"command":"{text}"}},"error":"{text}""#)),
        tool("p6", "edit", &format!(r#""status":"completed","input":{{}},"metadata":{{"diff":"{text}"}}"#)),
    ]
    .join(",")
}

fn hostile() -> Vec<Door<TestServer>> {
    let texts = HOSTILE.iter().map(|&(name, piece)| {
        door(format!("Markdown of n bytes of {name}"), (8 << 10, 512 << 10), move |server: &TestServer, n| {
            let share = Owned::with(server, &everywhere(&piece.repeat(n / piece.len())));
            Box::new(move |_| read(server, &share.id, "/s/ID.md?full=1", ""))
        })
    });
    texts.into_iter().collect()
}

/// Parts that become lines of a list or a table, many in one item.
fn lists() -> Vec<Door<TestServer>> {
    let tool = |name: &'static str, sizes, state: fn(usize) -> String| {
        door(format!("Markdown: {name}"), sizes, move |server: &TestServer, n| {
            let tool = part("m", "p", &format!(r#","type":"tool",{}"#, state(n)));
            let share = Owned::with(server, &format!("{},{tool}", message("m", 1, "")));
            Box::new(move |_| read(server, &share.id, "/s/ID.md?full=1", ""))
        })
    };
    vec![
        tool("n todos", ITEMS, |n| {
            let todos = list(n, |_| r#"{"content":"do it","status":"completed"}"#.into());
            format!(r#""tool":"todowrite","state":{{"status":"completed","input":{{"todos":[{todos}]}}}}"#)
        }),
        tool("n keys of an input", ITEMS, |n| {
            let keys = list(n, |i| format!(r#""k{i}":"v""#));
            format!(r#""tool":"other","state":{{"status":"completed","input":{{{keys}}}}}"#)
        }),
        tool("an output that is a list of n", ITEMS, |n| {
            format!(
                r#""tool":"other","state":{{"status":"completed","input":{{}},"output":[{}]}}"#,
                list(n, |i| i.to_string())
            )
        }),
        tool("runs of backticks up to n", (100, 1000), |n| {
            let runs: String = (0..n).map(|i| "`".repeat(i % 100) + " ").collect();
            format!(r#""tool":"bash","state":{{"status":"completed","input":{{}},"output":"{runs}"}}"#)
        }),
        tool("an edit of n lines, each another", ITEMS, |n| {
            let lines = |step: usize| (0..n).map(|i| format!("{}\\n", i * step)).collect::<Vec<_>>().concat();
            let (before, after) = (lines(3), lines(5));
            format!(r#""tool":"Edit","state":{{"input":{{"old_string":"{before}","new_string":"{after}"}}}}"#)
        }),
        tool("an edit of n lines in another order", ITEMS, |n| {
            let lines = |mut random: u64| {
                let next = || {
                    // Knuth's multiplier of a linear congruential generator.
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    format!("{}\\n", (random >> 33) % (n as u64 / 4))
                };
                std::iter::repeat_with(next).take(n).collect::<Vec<_>>().concat()
            };
            let (before, after) = (lines(1), lines(2));
            format!(r#""tool":"Edit","state":{{"input":{{"old_string":"{before}","new_string":"{after}"}}}}"#)
        }),
        tool("n edits of a file", ITEMS, |n| {
            let edits = list(n, |i| format!(r#"{{"oldText":"a {i}\nb","newText":"a {i}\nc"}}"#));
            format!(r#""tool":"edit","state":{{"input":{{"path":"x","edits":[{edits}]}}}}"#)
        }),
        tool("a patch of n files", ITEMS, |n| {
            let files = (0..n).map(|i| format!("*** Update File: {i}\\n@@\\n-a\\n+b\\n"));
            let files = files.collect::<Vec<_>>().concat();
            format!(r#""tool":"apply_patch","state":{{"input":"*** Begin Patch\n{files}*** End Patch"}}"#)
        }),
        tool("a command of n words", ITEMS, |n| {
            format!(
                r#""tool":"shell","state":{{"input":{{"command":[{}]}}}}"#,
                list(n, |_| r#""it's""#.into())
            )
        }),
        door("Markdown: n undone messages", ITEMS, |server, n| {
            let session =
                format!(r#"{{"type":"session","data":{{"revert":{{"messageID":"m{:x}"}}}}}}"#, n / 4);
            let share = Owned::with(server, &format!("{},{session}", session_without_title(n)));
            Box::new(move |_| read(server, &share.id, "/s/ID.md", ""))
        }),
    ]
}

fn session_without_title(n: usize) -> String {
    list(n, |i| message(&format!("m{i:x}"), i, ""))
}

fn cold() -> Vec<Door<Forgetful>> {
    let opened = |name: &'static str, sizes, items: fn(usize) -> String| {
        door(name, sizes, move |Forgetful(server): &Forgetful, n| {
            let share = Owned::with(server, &items(n));
            Box::new(move |meter: &mut Meter| {
                // Nobody has it in memory any more, nor any other share.
                while server.log().matches(": loaded").count() > server.log().matches(": left memory").count()
                {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                meter.begin();
                read(server, &share.id, "/api/share/ID", "");
            })
        })
    };
    vec![
        opened("open a share that nobody used: n items", ITEMS, session),
        opened("open a share that nobody used: n bytes", BYTES, |n| {
            list(8, |i| text_part("m", &format!("p{i}"), &"x".repeat(n / 8)))
        }),
        opened("open a share that nobody used: n removed items", ITEMS, |n| {
            let parts = list(n, |i| part("m", &format!("p{i:x}"), ""));
            format!(r#"{parts},{{"type":"message.removed","data":{{"id":"m"}}}}"#)
        }),
    ]
}

#[test]
fn every_route_of_a_share() {
    measure(routes());
}

#[test]
fn sessions_of_odd_shapes() {
    measure(shapes());
}

#[test]
fn texts_that_are_hostile_to_markdown() {
    measure(hostile());
}

#[test]
fn lists_in_markdown() {
    measure(lists());
}

#[test]
fn shares_that_are_opened_again() {
    measure(cold());
}
