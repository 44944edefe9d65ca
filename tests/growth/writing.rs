//! What writes: creates, syncs with each type of item and each kind of body, deletes.

use crate::harness::TestServer;
use crate::meter::Meter;
use crate::peer::{Answer, ask};
use crate::table::{Door, Sizes, Visit, door, measure};

/// Sizes of rows that count items, and of those that count bytes.
pub const ITEMS: Sizes = (250, 8000);
pub const BYTES: Sizes = (64 << 10, 4 << 20);

/// A share by hand.
pub struct Owned<'a> {
    pub server: &'a TestServer,
    pub id: String,
    pub secret: String,
}

impl<'a> Owned<'a> {
    pub fn create(server: &'a TestServer) -> Self {
        Self::locked(server, "")
    }

    /// A share with more fields in its body.
    fn locked(server: &'a TestServer, fields: &str) -> Self {
        let body = format!(r#"{{"sessionID":"ses_1"{fields}}}"#);
        let created = ask(&server.address, "POST", "/api/share", "", body.as_bytes());
        assert_eq!(created.status, 200);
        let created = created.json();
        let text = |name: &str| created[name].as_str().expect(name).to_owned();
        Self { server, id: text("id"), secret: text("secret") }
    }

    /// A share that has items.
    pub fn with(server: &'a TestServer, items: &str) -> Self {
        let share = Self::create(server);
        share.sync(items);
        share
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/api/share/{}{rest}", self.id)
    }

    pub fn sync(&self, items: &str) {
        let answer = sync(self.server, &self.id, &self.secret, items);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// Deletes it, and waits until all of it is gone.
    fn delete(&self) {
        let body = format!(r#"{{"secret":"{}"}}"#, self.secret);
        while ask(&self.server.address, "DELETE", &self.path(""), "", body.as_bytes()).status == 202 {}
    }
}

fn sync(server: &TestServer, id: &str, secret: &str, items: &str) -> Answer {
    let body = format!(r#"{{"secret":"{secret}","data":[{items}]}}"#);
    ask(&server.address, "POST", &format!("/api/share/{id}/sync"), "", body.as_bytes())
}

/// `n` pieces of JSON with commas between them.
pub fn list(n: usize, piece: impl Fn(usize) -> String) -> String {
    (0..n).map(piece).collect::<Vec<_>>().join(",")
}

pub fn part(message: &str, id: &str, rest: &str) -> String {
    format!(r#"{{"type":"part","data":{{"messageID":"{message}","id":"{id}"{rest}}}}}"#)
}

pub fn text_part(message: &str, id: &str, text: &str) -> String {
    part(message, id, &format!(r#","type":"text","text":"{text}""#))
}

/// A value of a known shape.
fn secret(n: usize) -> String {
    let mut random = fastrand::Rng::with_seed(n as u64);
    format!("{}{}", ["gh", "p_"].concat(), (0..36).map(|_| random.alphanumeric()).collect::<String>())
}

fn model(id: usize) -> String {
    format!(r#"{{"providerID":"p","id":"{id:x}"}}"#)
}

fn removal(message: &str) -> String {
    format!(r#"{{"type":"message.removed","data":{{"id":"{message}"}}}}"#)
}

/// Items of a batch, by their type and shape; the size counts items, or bytes where it says so.
pub type Batch = (&'static str, Sizes, fn(usize) -> String);

/// What is taken.
const BATCHES: &[Batch] = &[
    ("session with n fields", ITEMS, |n| {
        let fields = list(n, |i| format!(r#""f{i}":{i}"#));
        format!(r#"{{"type":"session","data":{{"id":"s","permission":[1],{fields}}}}}"#)
    }),
    ("session with a title of n bytes", BYTES, |n| {
        format!(r#"{{"type":"session","data":{{"title":"{}"}}}}"#, "t".repeat(n))
    }),
    ("user's message with n fields", ITEMS, |n| {
        let fields = list(n, |i| format!(r#""f{i}":{i}"#));
        format!(r#"{{"type":"message","data":{{"id":"m","role":"user","system":"s",{fields}}}}}"#)
    }),
    ("n messages", ITEMS, |n| list(n, |i| format!(r#"{{"type":"message","data":{{"id":"m{i:x}"}}}}"#))),
    ("part with a text of n bytes", BYTES, |n| text_part("m", "p", &"x".repeat(n))),
    ("part with n escapes", BYTES, |n| text_part("m", "p", &r"\u0041".repeat(n / 6))),
    ("part with n backslashes", BYTES, |n| text_part("m", "p", &r"\\".repeat(n / 2))),
    ("part with n halves of surrogate pairs", BYTES, |n| text_part("m", "p", &r"\ud83d".repeat(n / 6))),
    ("part with a field's name of n bytes", BYTES, |n| part("m", "p", &format!(r#","{}":1"#, "f".repeat(n)))),
    ("part with a name n times", ITEMS, |n| part("m", "p", &format!(",{}", list(n, |_| r#""f":1"#.into())))),
    ("part with a number of n digits", BYTES, |n| part("m", "p", &format!(r#","n":1{}"#, "0".repeat(n)))),
    ("part with n bytes of white space", BYTES, |n| part("m", "p", &" ".repeat(n))),
    ("n parts of a message", ITEMS, |n| list(n, |i| part("m", &format!("p{i:x}"), ""))),
    ("n parts of n messages", ITEMS, |n| list(n, |i| part(&format!("m{i:x}"), "p", ""))),
    ("n parts of long ids", ITEMS, |n| list(n, |i| part(&"m".repeat(250), &format!("{i:0>250}"), ""))),
    ("n items that nest 100 deep", (100, 2000), |n| {
        let deep = format!(r#","n":{}{}"#, "[".repeat(100), "]".repeat(100));
        list(n, |i| part("m", &format!("p{i:x}"), &deep))
    }),
    ("a list of n models", ITEMS, |n| format!(r#"{{"type":"model","data":[{}]}}"#, list(n, model))),
    ("a list of a model n times", ITEMS, |n| {
        format!(r#"{{"type":"model","data":[{}]}}"#, list(n, |_| model(7)))
    }),
    ("n lists of a model each", ITEMS, |n| {
        list(n, |i| format!(r#"{{"type":"model","data":[{}]}}"#, model(i)))
    }),
    ("session_diff of n files", ITEMS, |n| {
        format!(r#"{{"type":"session_diff","data":[{}]}}"#, list(n, |i| format!(r#"{{"file":"f{i}"}}"#)))
    }),
    ("n types of a newer client", ITEMS, |n| list(n, |i| format!(r#"{{"type":"t{i:x}","data":1}}"#))),
    ("n ids of a newer client's type", ITEMS, |n| {
        list(n, |i| format!(r#"{{"type":"todo","data":{{"id":{i}}}}}"#))
    }),
    ("n versions of an item", ITEMS, |n| list(n, |_| r#"{"type":"a","data":1}"#.into())),
    ("n versions of a text", ITEMS, |n| list(n, |i| text_part("m", "p", &"words ".repeat(i % 200)))),
    ("n parts, and n removals of other messages", ITEMS, |n| {
        let parts = list(n, |i| part(&format!("m{i:x}"), "p", ""));
        format!("{parts},{}", list(n, |i| removal(&format!("x{i:x}"))))
    }),
    ("n parts, and n removals of their messages", ITEMS, |n| {
        let parts = list(n, |i| part(&format!("m{i:x}"), "p", ""));
        format!("{parts},{}", list(n, |i| removal(&format!("m{i:x}"))))
    }),
    ("n parts of a message, and n removals of it", ITEMS, |n| {
        let parts = list(n, |i| part("m", &format!("p{i:x}"), ""));
        format!("{parts},{}", list(n, |_| removal("m")))
    }),
    ("n parts, and n removals of parts", ITEMS, |n| {
        let parts = list(n, |i| part("m", &format!("p{i:x}"), ""));
        let removed =
            list(n, |i| format!(r#"{{"type":"part.removed","data":{{"messageID":"m","id":"p{i:x}"}}}}"#));
        format!("{parts},{removed}")
    }),
    ("part with a secret n times", ITEMS, |n| text_part("m", "p", &format!("{} ", secret(7)).repeat(n))),
    ("part with n secrets", ITEMS, |n| {
        text_part("m", "p", &(0..n).map(secret).collect::<Vec<_>>().join(" "))
    }),
    ("n parts with a secret each", ITEMS, |n| {
        list(n, |i| text_part("m", &format!("p{i:x}"), &format!("the token is {}", secret(i))))
    }),
    ("part with n words that secrets begin with", BYTES, |n| {
        text_part("m", "p", &"ghp_ sk-ant- AKIA ".repeat(n / 18))
    }),
    ("part with n heads of keys", BYTES, |n| {
        text_part("m", "p", &"-----BEGIN RSA PRIVATE KEY----- ".repeat(n / 32))
    }),
    ("n removals of what never was", ITEMS, |n| list(n, |i| removal(&format!("m{i:x}")))),
];

/// What is taken on top of what a share has: its name, what is there before, and what comes.
type OnTop = (&'static str, Sizes, fn(usize) -> String, fn(usize) -> String);

const ON_TOP: &[OnTop] = &[
    (
        "n removals of a message that has n parts",
        ITEMS,
        |n| list(n, |i| part("m", &format!("p{i:x}"), "")),
        |n| list(n, |_| removal("m")),
    ),
    (
        "n removals of n stored messages",
        ITEMS,
        |n| list(n, |i| part(&format!("m{i:x}"), "p", "")),
        |n| list(n, |i| removal(&format!("m{i:x}"))),
    ),
    (
        "a model, where there are n",
        ITEMS,
        |n| format!(r#"{{"type":"model","data":[{}]}}"#, list(n, model)),
        |n| format!(r#"{{"type":"model","data":[{}]}}"#, model(2 * n)),
    ),
    (
        "n new versions",
        ITEMS,
        |n| list(n, |i| part("m", &format!("p{i:x}"), r#","v":1"#)),
        |n| list(n, |i| part("m", &format!("p{i:x}"), r#","v":2"#)),
    ),
    (
        "the same n again",
        ITEMS,
        |n| list(n, |i| part("m", &format!("p{i:x}"), "")),
        |n| list(n, |i| part("m", &format!("p{i:x}"), "")),
    ),
];

fn syncs() -> Vec<Door<TestServer>> {
    let taken = BATCHES.iter().map(|&(name, sizes, items)| {
        door(format!("sync: {name}"), sizes, move |server, n| {
            let items = items(n);
            Box::new(move |_| drop(Owned::with(server, &items)))
        })
    });
    let on_top = ON_TOP.iter().map(|&(name, sizes, before, items)| {
        door(format!("sync: {name}"), sizes, move |server, n| {
            let (before, items) = (before(n), items(n));
            Box::new(move |meter: &mut Meter| {
                let share = Owned::with(server, &before);
                meter.begin();
                share.sync(&items);
            })
        })
    });
    taken.into_iter().chain(on_top).collect()
}

/// What is costly to read, of all batches: strangers may not have it read.
const COSTLY: &[&str] = &[
    "part with a text of n bytes",
    "n parts of a message",
    "a list of n models",
    "n lists of a model each",
    "n versions of an item",
    "n parts, and n removals of other messages",
];

/// The same from somebody who has no right to it: the share is not there, or the secret is wrong.
fn strangers() -> Vec<Door<TestServer>> {
    let costly = BATCHES.iter().filter(|(name, ..)| COSTLY.contains(name));
    let strangers = costly.flat_map(|&(name, sizes, items)| {
        [("no share", 404), ("wrong secret", 401)].map(|(who, status)| {
            door(format!("sync, {who}: {name}"), sizes, move |server, n| {
                let items = items(n);
                let share = (status == 401).then(|| Owned::create(server).id);
                let id = share.unwrap_or_else(|| "A".repeat(22));
                Box::new(move |_| assert_eq!(sync(server, &id, "not-the-secret", &items).status, status))
            })
        })
    });
    strangers.collect()
}

/// A body that is refused, or taken although it is odd; with the statuses that may be its answer.
type Body = (&'static str, Sizes, fn(usize) -> String, &'static [u16]);

const SYNC_BODIES: &[Body] = &[
    (
        "the secret behind n items",
        ITEMS,
        |n| {
            let items = list(n, |i| part("m", &format!("p{i:x}"), ""));
            format!(r#"{{"data":[{items}],"secret":"SECRET"}}"#)
        },
        &[200],
    ),
    (
        "n other fields before the secret",
        ITEMS,
        |n| format!(r#"{{{},"secret":"SECRET","data":[]}}"#, list(n, |i| format!(r#""f{i}":[]"#))),
        &[200],
    ),
    ("a secret of n bytes", BYTES, |n| format!(r#"{{"secret":"{}","data":[]}}"#, "s".repeat(n)), &[401]),
    (
        "n bytes of white space",
        BYTES,
        |n| format!(r#"{{"secret":"SECRET","data":[{}]}}"#, " ".repeat(n)),
        &[200],
    ),
    ("nested n deep", BYTES, |n| format!(r#"{{"secret":"SECRET","data":{}"#, "[".repeat(n)), &[400]),
    (
        "objects nested n deep",
        BYTES,
        |n| format!(r#"{{"secret":"SECRET","data":{}"#, r#"{"a":"#.repeat(n / 5)),
        &[400],
    ),
    (
        "n items, and one that is malformed",
        ITEMS,
        |n| {
            let items = list(n, |i| part("m", &format!("p{i:x}"), ""));
            format!(r#"{{"secret":"SECRET","data":[{items},{{"type":"part","data":{{}}}}]}}"#)
        },
        &[400],
    ),
    (
        "n items, and no end",
        ITEMS,
        |n| format!(r#"{{"secret":"SECRET","data":[{}"#, list(n, |i| part("m", &format!("p{i:x}"), ""))),
        &[400],
    ),
    (
        "a type of n bytes",
        BYTES,
        |n| format!(r#"{{"secret":"SECRET","data":[{{"type":"{}","data":1}}]}}"#, "t".repeat(n)),
        &[400],
    ),
    (
        "an id of n bytes",
        BYTES,
        |n| format!(r#"{{"secret":"SECRET","data":[{}]}}"#, part("m", &"i".repeat(n), "")),
        &[400],
    ),
];

const CREATE_BODIES: &[Body] = &[
    ("a sessionID of n bytes", BYTES, |n| format!(r#"{{"sessionID":"{}"}}"#, "s".repeat(n)), &[400, 413]),
    (
        "n other fields",
        ITEMS,
        |n| format!(r#"{{{},"sessionID":"s"}}"#, list(n, |i| format!(r#""f{i}":{i}"#))),
        &[200, 413],
    ),
    ("a field of n bytes", BYTES, |n| format!(r#"{{"sessionID":"s","f":"{}"}}"#, "f".repeat(n)), &[200, 413]),
    ("nested n deep", BYTES, |n| format!(r#"{{"sessionID":{}"#, "[".repeat(n)), &[400, 413]),
    (
        "an expiresIn of n digits",
        BYTES,
        |n| format!(r#"{{"sessionID":"s","expiresIn":{}}}"#, "9".repeat(n)),
        &[400, 413],
    ),
];

/// Sizes of bodies of which twice as much is not too large yet, in bytes and in fields.
const SMALL: Sizes = (2000, 30_000);
const FIELDS: Sizes = (100, 2000);

/// Of a share without a lock: what a password costs is no matter of its body.
const OPEN_BODIES: &[Body] = &[
    ("a password of n bytes", SMALL, |n| format!(r#"{{"password":"{}"}}"#, "p".repeat(n)), &[400]),
    ("a door of n bytes", SMALL, |n| format!(r#"{{"door":"{}"}}"#, "A".repeat(n)), &[400]),
    (
        "n other fields",
        FIELDS,
        |n| format!(r#"{{{},"password":"p"}}"#, list(n, |i| format!(r#""f{i}":{i}"#))),
        &[200],
    ),
    ("a field of n bytes", SMALL, |n| format!(r#"{{"password":"p","f":"{}"}}"#, "f".repeat(n)), &[200]),
    ("nested n deep", SMALL, |n| format!(r#"{{"door":{}"#, "[".repeat(n)), &[400]),
];

const AMEND_BODIES: &[Body] = &[
    (
        "a secret of n bytes",
        SMALL,
        |n| format!(r#"{{"secret":"{}","expiresIn":null}}"#, "s".repeat(n)),
        &[401],
    ),
    (
        "a password of n bytes",
        SMALL,
        |n| format!(r#"{{"secret":"SECRET","password":"{}"}}"#, "p".repeat(n)),
        &[400],
    ),
    (
        "an expiresIn of n digits",
        SMALL,
        |n| format!(r#"{{"secret":"SECRET","expiresIn":{}}}"#, "9".repeat(n)),
        &[400],
    ),
    (
        "n other fields",
        FIELDS,
        |n| format!(r#"{{{},"secret":"SECRET","expiresIn":null}}"#, list(n, |i| format!(r#""f{i}":{i}"#))),
        &[200],
    ),
    (
        "a field of n bytes",
        SMALL,
        |n| format!(r#"{{"secret":"SECRET","expiresIn":null,"f":"{}"}}"#, "f".repeat(n)),
        &[200],
    ),
    ("nested n deep", SMALL, |n| format!(r#"{{"secret":"SECRET","password":{}"#, "[".repeat(n)), &[400]),
];

fn bodies() -> Vec<Door<TestServer>> {
    let syncs = SYNC_BODIES.iter().map(|&(name, sizes, body, statuses)| {
        door(format!("sync's body: {name}"), sizes, move |server: &TestServer, n| {
            let body = body(n);
            Box::new(move |_| {
                let share = Owned::create(server);
                let body = body.replace("SECRET", &share.secret);
                let answer = ask(&server.address, "POST", &share.path("/sync"), "", body.as_bytes());
                assert!(statuses.contains(&answer.status), "{}", String::from_utf8_lossy(&answer.body));
            })
        })
    });
    let creates = CREATE_BODIES.iter().map(|&(name, sizes, body, statuses)| {
        door(format!("create's body: {name}"), sizes, move |server: &TestServer, n| {
            let body = body(n);
            Box::new(move |_| {
                let status = ask(&server.address, "POST", "/api/share", "", body.as_bytes()).status;
                assert!(statuses.contains(&status), "{status}");
            })
        })
    });
    let deletes = [401, 404].map(|status| {
        door(format!("delete's body: a secret of n bytes, {status}"), BYTES, move |server, n| {
            let body = format!(r#"{{"secret":"{}"}}"#, "s".repeat(n));
            let share = Owned::create(server);
            let path = if status == 401 { share.path("") } else { format!("/api/share/{}", "A".repeat(22)) };
            Box::new(move |_| {
                let answer = ask(&server.address, "DELETE", &path, "", body.as_bytes());
                assert!([status, 413].contains(&answer.status), "{}", answer.status);
            })
        })
    });
    let opens = OPEN_BODIES.iter().map(|row| ("open", "POST", "/open", row));
    let amends = AMEND_BODIES.iter().map(|row| ("amend", "PATCH", "", row));
    let locks = opens.chain(amends).map(|(what, method, path, &(name, sizes, body, statuses))| {
        door(format!("{what}'s body: {name}"), sizes, move |server: &TestServer, n| {
            let share = Owned::create(server);
            let body = body(n).replace("SECRET", &share.secret);
            Box::new(move |_| {
                // A few, for a body is small.
                for _ in 0..8 {
                    let status = ask(&server.address, method, &share.path(path), "", body.as_bytes()).status;
                    assert!(statuses.contains(&status), "{status}");
                }
            })
        })
    });
    let too_large = door("open's body: n bytes, too large", BYTES, |server, n| {
        let share = Owned::create(server);
        let body = " ".repeat(n + 1);
        Box::new(move |_| {
            let status = ask(&server.address, "POST", &share.path("/open"), "", body.as_bytes()).status;
            assert_eq!(status, 413);
        })
    });
    let chunks = door("sync's body: in n chunks", ITEMS, |server, n| {
        Box::new(move |_| {
            let share = Owned::create(server);
            let body = format!(r#"{{"secret":"{}","data":[{}]}}"#, share.secret, " ".repeat(n));
            let head = format!(
                "POST {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
                share.path("/sync")
            );
            let chunks: String = body.chars().flat_map(|byte| ['1', '\r', '\n', byte, '\r', '\n']).collect();
            let pieces = [head.as_bytes(), chunks.as_bytes(), b"0\r\n\r\n"];
            assert_eq!(crate::peer::exchange(&server.address, &pieces).status, 200);
        })
    });
    syncs.into_iter().chain(creates).chain(deletes).chain(locks).chain([too_large, chunks]).collect()
}

fn counts() -> Vec<Door<TestServer>> {
    vec![
        door("create: n shares", (20, 400), |server, n| {
            Box::new(move |_| (0..n).for_each(|_| drop(Owned::create(server))))
        }),
        door("sync: n batches of an item", (20, 400), |server, n| {
            Box::new(move |_| {
                let share = Owned::create(server);
                (0..n).for_each(|i| share.sync(&part("m", &format!("p{i}"), "")));
            })
        }),
        door("delete: a share of n items", ITEMS, |server, n| {
            deleted(server, list(n, |i| part(&format!("m{:x}", i / 50), &format!("p{i:x}"), "")))
        }),
        door("delete: a share of n bytes", BYTES, |server, n| {
            deleted(server, list(8, |i| text_part("m", &format!("p{i}"), &"x".repeat(n / 8))))
        }),
    ]
}

/// 32 bytes that open a lock, and their hash.
const DOOR: [&str; 2] =
    ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "Zmh6rfhivXdsj8GLjp-OIAiXFIVu4jOzkCpZHQ1fKSU"];

/// Locks: what a password's hash costs on purpose comes with each password, and no more than that.
fn locks() -> Vec<Door<TestServer>> {
    let opens = [
        ("n tries with the door", DOOR[0], &[200][..]),
        ("n tries with another door", DOOR[1], &[401, 429]),
        ("n wrong passwords", "", &[401, 429]),
    ];
    let opens = opens.map(|(name, shown, statuses)| {
        let sizes = if shown.is_empty() { (4, 100) } else { (20, 400) };
        door(format!("open: {name}, each from another address"), sizes, move |server, n| {
            let lock = if shown.is_empty() {
                r#""password":"right""#.to_owned()
            } else {
                format!(r#""sealed":{{"version":1,"check":"{}","door":"{}"}}"#, "A".repeat(22), DOOR[1])
            };
            let body = if shown.is_empty() {
                r#"{"password":"wrong"}"#.to_owned()
            } else {
                format!(r#"{{"door":"{shown}"}}"#)
            };
            let mut client = 0_u32;
            Box::new(move |meter: &mut Meter| {
                let share = Owned::locked(server, &format!(",{lock}"));
                meter.begin();
                for _ in 0..n {
                    client += 1;
                    let [.., b, c, d] = client.to_be_bytes();
                    let header = format!("x-forwarded-for: 10.{b}.{c}.{d}\r\n");
                    let path = share.path("/open");
                    let status = ask(&server.address, "POST", &path, &header, body.as_bytes()).status;
                    assert!(statuses.contains(&status), "{status}");
                }
            })
        })
    });
    let amends =
        [("n ends", r#""expiresIn":9000"#, (20, 400)), ("n passwords", r#""password":"p""#, (4, 100))];
    let amends = amends.map(|(name, field, sizes)| {
        door(format!("amend: {name}, one after the other"), sizes, move |server, n| {
            Box::new(move |_| {
                let share = Owned::create(server);
                let body = format!(r#"{{"secret":"{}",{field}}}"#, share.secret);
                for _ in 0..n {
                    let status = ask(&server.address, "PATCH", &share.path(""), "", body.as_bytes()).status;
                    assert_eq!(status, 200);
                }
            })
        })
    });
    opens.into_iter().chain(amends).collect()
}

fn deleted(server: &TestServer, items: String) -> Visit<'_> {
    Box::new(move |meter: &mut Meter| {
        let share = Owned::with(server, &items);
        meter.begin();
        share.delete();
    })
}

#[test]
fn what_is_written() {
    measure(syncs());
}

#[test]
fn what_strangers_send() {
    measure(strangers());
}

#[test]
fn bodies_of_all_kinds() {
    measure(bodies());
}

#[test]
fn locks_and_tries() {
    measure(locks());
}

#[test]
fn many_creates_syncs_and_deletes() {
    measure(counts());
}
