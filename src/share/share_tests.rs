//! A share by random histories, without actors, sockets or a disk: whatever happens in whatever order, nothing is
//! acknowledged or read that is not stored, and everybody who asks is answered once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::*;
use crate::config::Limits;
use crate::model::{Change, Content};
use crate::share::FRAME_BYTES;

pub(super) type Items = BTreeMap<String, String>;

#[derive(Debug, Clone)]
enum Step {
    /// Some keys with some texts, or removed.
    Sync(Vec<(u8, Option<u8>)>),
    WrongSync,
    Look,
    ReadAll,
    Pull,
    /// A viewer comes who follows the feed, or all go.
    Watch(bool),
    /// The store commits what it was given first, and says so of one that is committed.
    Commit,
    Confirm(u8),
    /// The store fails with what it was given.
    Fail,
    /// The share was deleted beside the process.
    Gone,
    Delete(bool),
    Mark(bool),
    Purge(bool),
    Removed,
    TimePasses(i64),
}

/// A share, the store that it writes to, and everybody who asks.
struct World {
    state: ShareState,
    limits: Limits,
    now: i64,
    viewers: usize,
    stored: Items,
    durable: u64,
    head: Head,
    /// Writes that the store has, and those that are committed and not confirmed.
    queue: VecDeque<Write>,
    committed: Vec<u64>,
    marks: usize,
    purges: usize,
    marked: bool,
    stopped: bool,
    dismissed: usize,
    syncs: Vec<Receiver<Result<Ack, Error>>>,
    looks: Vec<Receiver<Result<Summary, Error>>>,
    reads: Vec<Receiver<Result<Arc<Snapshot>, Error>>>,
    pulls: Vec<Receiver<Result<Stretch, Error>>>,
    deletes: Vec<(bool, Receiver<Result<Deletion, Error>>)>,
    /// A viewer that follows the feed from a whole state.
    watcher: Option<(Feed, u64, Items)>,
}

pub(super) const SECRET: &str = "secret";

const ALONE: Node = Node { writer: 1, shared: false };

/// The lock of who has the link of a share without one.
pub(super) fn unlocked() -> Arc<Lock> {
    Arc::default()
}

pub(super) fn stored() -> StoredShare {
    StoredShare {
        num: 1,
        secret_hash: SecretHash::of(SECRET),
        epoch: "e".into(),
        head: Head { seq: 0, writer: 0 },
        life: Life { created_at: 0, updated_at: 0, synced: false, expires_at: Some(1_000_000) },
        lock: Lock::default(),
        deleted: false,
        rows: Vec::new(),
    }
}

pub(super) fn limits() -> Limits {
    #[derive(clap::Parser)]
    struct Options {
        #[command(flatten)]
        limits: Limits,
    }
    <Options as clap::Parser>::parse_from(["test", "--max-items", "5"]).limits
}

impl World {
    fn new() -> Self {
        let limits = limits();
        Self {
            state: ShareState::of(Some(stored()), &limits.lifetimes(), 0),
            limits,
            now: 1,
            viewers: 0,
            stored: Items::new(),
            durable: 0,
            head: stored().head,
            queue: VecDeque::new(),
            committed: Vec::new(),
            marks: 0,
            purges: 0,
            marked: false,
            stopped: false,
            dismissed: 0,
            syncs: Vec::new(),
            looks: Vec::new(),
            reads: Vec::new(),
            pulls: Vec::new(),
            deletes: Vec::new(),
            watcher: None,
        }
    }

    fn drive(&mut self, step: impl FnOnce(&mut ShareState, &Surroundings, &mut Vec<Effect>)) {
        if self.stopped {
            return;
        }
        let mut effects = Vec::new();
        let around = Surroundings {
            limits: &self.limits,
            viewers: self.viewers,
            elsewhere: 0,
            now: self.now,
            node: ALONE,
        };
        step(&mut self.state, &around, &mut effects);
        for effect in effects {
            match effect {
                Effect::Write(write) => self.queue.push_back(write),
                Effect::Confirm | Effect::CatchUp { .. } | Effect::RenewEpoch(_) => {
                    assert!(self.stopped, "nobody else writes");
                }
                Effect::MarkDeleted => self.marks += 1,
                Effect::Purge => self.purges += 1,
                Effect::Relocked(_) => panic!("nobody else changes it"),
                Effect::Dismiss(_) => {
                    self.dismissed += 1;
                    self.watcher = None;
                }
                Effect::Stop => self.stopped = true,
                Effect::Wake | Effect::Publish(_) | Effect::PublishGone | Effect::Ended(_) => {}
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Sync(changes) => self.sync(SECRET, &changes),
            Step::WrongSync => self.sync("wrong", &[(0, Some(0))]),
            Step::Look => {
                let (reply, answer) = oneshot::channel();
                self.drive(|state, around, effects| {
                    state.read(Reading::Look(unlocked(), reply), around, effects);
                });
                self.looks.push(answer);
            }
            Step::ReadAll => {
                let (reply, answer) = oneshot::channel();
                self.drive(|state, around, effects| {
                    state.read(Reading::ReadAll(unlocked(), reply), around, effects);
                });
                self.reads.push(answer);
            }
            Step::Pull => {
                let (reply, answer) = oneshot::channel();
                let pull = Read {
                    lock: unlocked(),
                    after: 0,
                    epoch: None,
                    max_bytes: FRAME_BYTES,
                    room: u64::MAX,
                    places: false,
                };
                self.drive(|state, around, effects| state.read(Reading::Read(pull, reply), around, effects));
                self.pulls.push(answer);
            }
            Step::Watch(comes) => {
                self.viewers = usize::from(comes);
                self.watcher = None;
                if let ShareState::Open(share) = &self.state
                    && comes
                {
                    self.watcher = Some((share.feed().clone(), self.durable, self.stored.clone()));
                }
            }
            Step::Commit => {
                if let Some(write) = self.queue.pop_front() {
                    self.commit(write);
                }
            }
            Step::Confirm(which) => {
                if !self.committed.is_empty() {
                    let seq = self.committed.remove(usize::from(which) % self.committed.len());
                    self.drive(|state, around, effects| state.written(seq, Ok(()), around, effects));
                }
            }
            Step::Fail => {
                if let Some(write) = self.queue.pop_front() {
                    self.drive(|state, around, effects| {
                        state.written(write.seq, Err(StoreError::Unavailable), around, effects);
                    });
                }
            }
            Step::Gone => self.marked = true,
            Step::Delete(right) => {
                let (reply, answer) = oneshot::channel();
                let secret = SecretHash::of(if right { SECRET } else { "wrong" });
                self.drive(|state, around, effects| state.delete(&secret, reply, around, effects));
                self.deletes.push((right, answer));
            }
            Step::Mark(done) => {
                if self.marks > 0 {
                    self.marks -= 1;
                    self.marked |= done;
                    let result = if done { Ok(()) } else { Err(StoreError::Unavailable) };
                    self.drive(|state, _, effects| state.marked(result, effects));
                }
            }
            Step::Purge(done) => {
                if self.purges > 0 {
                    self.purges -= 1;
                    let result = if done { Ok(()) } else { Err(StoreError::Unavailable) };
                    self.drive(|state, _, _| state.purged(result));
                }
            }
            Step::Removed => {
                if self.marked {
                    self.drive(ShareState::removed);
                }
            }
            Step::TimePasses(time) => {
                self.now += time;
                self.drive(ShareState::end_in_time);
            }
        }
    }

    fn commit(&mut self, write: Write) {
        let (seq, head) = (write.seq, self.head);
        let moved = (write.before != head).then_some(StoreError::Conflict);
        // Of one that is deleted no row is found any more.
        let refused = if self.marked { Some(StoreError::Gone) } else { moved };
        if let Some(error) = refused {
            return self.drive(|state, around, effects| state.written(seq, Err(error), around, effects));
        }
        for row in write.rows {
            match row.content {
                Some(content) => self.stored.insert(row.key.as_str().into(), content.get().into()),
                None => self.stored.remove(row.key.as_str()),
            };
        }
        self.durable = seq;
        self.head = Head { seq, writer: write.writer };
        self.committed.push(seq);
    }

    fn sync(&mut self, secret: &str, changes: &[(u8, Option<u8>)]) {
        let content = |text: u8| {
            Content::from(
                RawValue::from_string(format!("{{\"text\":\"{}\"}}", "x".repeat(text.into()))).unwrap(),
            )
        };
        let changes = changes.iter().map(|(key, text)| {
            let key = Key::part("m", &key.to_string());
            text.map_or(Change::Remove(key.clone()), |text| Change::Put(key, content(text)))
        });
        let sync = Sync { secret: SecretHash::of(secret), changes: changes.collect() };
        let (reply, answer) = oneshot::channel();
        self.drive(|state, around, effects| state.sync(sync, reply, around, effects));
        self.syncs.push(answer);
    }

    /// Looks at every answer that has come.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let (durable, stored, stopped) = (self.durable, &self.stored, self.stopped);
        let items = |items: &[(Key, Content)]| -> Items {
            items.iter().map(|(key, content)| (key.as_str().into(), content.get().into())).collect()
        };
        let mut wrong = None;
        answered(&mut self.syncs, stopped, |ack| {
            if ack.seq > durable {
                wrong = Some(format!("{} was acknowledged, {durable} is durable", ack.seq));
            }
        });
        answered(&mut self.reads, stopped, |snapshot| {
            if &items(snapshot.in_reading_order()) != stored || snapshot.seq != durable {
                wrong = Some("what was read is not what is stored".into());
            }
        });
        answered(&mut self.looks, stopped, |summary| {
            if summary.seq != durable {
                wrong = Some("what was seen is not what is stored".into());
            }
        });
        answered(&mut self.pulls, stopped, |stretch| {
            let mut seen = Items::new();
            match stretch {
                Stretch::Made(page) => follow(&mut seen, &page.frame.text, None),
                Stretch::Takes(bytes) => wrong = Some(format!("there was room, but not for {bytes}")),
            }
            if &seen != stored {
                wrong = Some("what was pulled is not what is stored".into());
            }
        });
        if let Some((feed, at, seen)) = &mut self.watcher {
            let news = feed.news(*at, true);
            if news.behind {
                // It would pull.
                self.watcher = None;
            } else {
                for frame in &news.frames {
                    follow(seen, frame, Some(*at));
                    let frame: Value = serde_json::from_slice(frame).unwrap();
                    *at = frame["seq"].as_u64().unwrap();
                }
                // The feed may be behind what is committed and not confirmed, never before it.
                prop_assert!(*at <= durable);
                if *at == durable {
                    prop_assert_eq!(&*seen, stored);
                }
            }
        }
        let (marked, mut unmarked) = (self.marked, false);
        self.deletes.retain_mut(|(right, answer)| match answer.try_recv() {
            Ok(Ok(Deletion::Gone)) => {
                unmarked |= !marked || !*right;
                false
            }
            Ok(result) => {
                unmarked |= !*right && !matches!(result, Err(Error::WrongSecret | Error::Unavailable));
                false
            }
            Err(TryRecvError::Empty) => true,
            Err(TryRecvError::Closed) => false,
        });
        prop_assert!(!unmarked, "deleted without its secret, or not durably");
        prop_assert_eq!(wrong, None);
        Ok(())
    }

    /// Until nothing is under way, so that all who wait have their answer.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        while !self.queue.is_empty() || !self.committed.is_empty() || self.marks > 0 || self.purges > 0 {
            for step in [Step::Commit, Step::Confirm(0), Step::Mark(true), Step::Purge(true)] {
                self.step(step);
                self.check()?;
            }
            if self.stopped {
                return Ok(());
            }
        }
        let waiting =
            self.syncs.len() + self.looks.len() + self.reads.len() + self.pulls.len() + self.deletes.len();
        prop_assert!(self.stopped || waiting == 0, "{waiting} wait for ever");
        prop_assert!(self.stopped || !self.state.is_busy());
        Ok(())
    }
}

/// Takes the answers that have come.
fn answered<T>(waiting: &mut Vec<Receiver<Result<T, Error>>>, stopped: bool, mut each: impl FnMut(T)) {
    waiting.retain_mut(|answer| match answer.try_recv() {
        Ok(result) => {
            result.into_iter().for_each(&mut each);
            false
        }
        Err(TryRecvError::Empty) => true,
        // Nobody is dropped without an answer, unless the actor is gone.
        Err(TryRecvError::Closed) => {
            assert!(stopped, "somebody was forgotten");
            false
        }
    });
}

/// Applies a frame, as a viewer does.
pub(super) fn follow(seen: &mut Items, frame: &[u8], at: Option<u64>) {
    let frame: Value = serde_json::from_slice(frame).unwrap();
    if let Some(from) = frame.get("from") {
        assert_eq!(from.as_u64(), at, "made from another position");
    }
    for item in frame["items"].as_array().unwrap() {
        let key = item["key"].as_str().unwrap().to_owned();
        let text = match item.get("append") {
            Some(append) => {
                let older: Value = serde_json::from_str(&seen[&key]).unwrap();
                let older = older["text"].as_str().unwrap();
                assert_eq!(older.len() as u64, append["at"].as_u64().unwrap());
                format!("{older}{}", append["text"].as_str().unwrap())
            }
            None => item["data"]["text"].as_str().unwrap().to_owned(),
        };
        seen.insert(key, format!("{{\"text\":\"{text}\"}}"));
    }
    for key in frame["removed"].as_array().unwrap() {
        seen.remove(key.as_str().unwrap());
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..7_u8, proptest::option::weighted(0.8, 0..20_u8));
    let step = prop_oneof![
        8 => proptest::collection::vec(change, 0..4).prop_map(Step::Sync),
        1 => Just(Step::WrongSync),
        1 => Just(Step::Look),
        2 => Just(Step::ReadAll),
        2 => Just(Step::Pull),
        2 => any::<bool>().prop_map(Step::Watch),
        6 => Just(Step::Commit),
        6 => any::<u8>().prop_map(Step::Confirm),
        1 => proptest::bool::weighted(0.1).prop_filter_map("rarely", |fails| fails.then_some(Step::Fail)),
        1 => proptest::bool::weighted(0.1).prop_filter_map("rarely", |gone| gone.then_some(Step::Gone)),
        1 => proptest::bool::weighted(0.5).prop_map(Step::Delete),
        1 => proptest::bool::weighted(0.8).prop_map(Step::Mark),
        1 => proptest::bool::weighted(0.8).prop_map(Step::Purge),
        1 => Just(Step::Removed),
        1 => (0..400_000_i64).prop_map(Step::TimePasses),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn whatever_happens_what_is_told_is_stored_and_nobody_is_forgotten(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check()?;
        }
        world.settle()?;
    }
}

#[test]
fn a_share_that_is_deleted_is_gone_for_everybody_before_its_bytes_are() {
    let mut world = World::new();
    world.step(Step::Sync(vec![(1, Some(1))]));
    for step in [Step::Commit, Step::Confirm(0), Step::Delete(true), Step::Mark(true)] {
        world.step(step);
    }
    assert_eq!((world.dismissed, world.purges), (1, 1));
    world.step(Step::Look);
    assert_eq!(world.looks[0].try_recv().unwrap().err(), Some(Error::NoSuchShare));
    // A repeated delete waits for the same purge.
    world.step(Step::Delete(true));
    assert_eq!(world.purges, 1);
    assert!(world.deletes.iter_mut().all(|(_, answer)| answer.try_recv() == Err(TryRecvError::Empty)));
    world.step(Step::Purge(true));
    assert!(world.deletes.iter_mut().all(|(_, answer)| answer.try_recv() == Ok(Ok(Deletion::Gone))));
    world.step(Step::Delete(true));
    assert_eq!(world.deletes.last_mut().unwrap().1.try_recv(), Ok(Ok(Deletion::Gone)));
}
