//! Two processes on one store by random histories: in whatever order their writes, looks and answers come, what is
//! acknowledged was stored, what is read is no older than the question, and all who watch end with what there is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

use super::tests::{Items, SECRET, follow, limits, stored, unlocked};
use super::*;
use crate::config::Limits;
use crate::model::{Change, Content, PasswordHash};

#[derive(Debug, Clone)]
enum Step {
    /// A key with a text, or removed, through one of them.
    Sync(usize, Vec<(u8, Option<u8>)>),
    ReadAll(usize),
    /// The store does something that one of them asked, in the order of its writes.
    Perform(usize, u8),
    /// It answers.
    Tell(usize, u8),
    /// It fails.
    Fail(usize, Failure),
    /// The store does what was late.
    Arrive,
    /// One of them is told the head.
    Poll(usize),
    /// One of them is told what was said, or that the share is gone, which may be wrong.
    Hint(usize, u8),
    Gone(usize),
    /// A viewer comes to one of them, with all that it has.
    Move(usize, usize),
    /// `kill -9`, and another process.
    Crash(usize),
    Delete(usize),
    /// The store changes the share beside its items, for one of them.
    Amend(usize),
}

/// What becomes of a write that fails.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// It is known that it is not stored.
    Refused,
    /// It is stored, or it is not, and nobody knows.
    Unknown(bool),
    /// It is stored later, when it still can be, and nobody knows.
    Late,
}

/// What a store has.
struct Database {
    share: StoredShare,
    /// Every state that there was, by its position; none when it was deleted.
    states: Vec<Option<(u64, Items)>>,
}

impl Database {
    fn new() -> Self {
        Self { share: stored(), states: vec![Some((0, Items::new()))] }
    }

    fn load(&self) -> StoredShare {
        let StoredShare { num, secret_hash, head, life, deleted, .. } = self.share;
        let StoredShare { epoch, lock, rows, .. } = &self.share;
        let (epoch, lock, rows) = (epoch.clone(), lock.clone(), rows.clone());
        StoredShare { num, secret_hash, epoch, head, life, lock, deleted, rows }
    }

    fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        if self.share.deleted {
            return Err(StoreError::Gone);
        }
        if write.before != self.share.head {
            return Err(StoreError::Conflict);
        }
        if write.rows.is_empty() {
            return Ok(());
        }
        for row in &write.rows {
            match self.share.rows.iter_mut().find(|known| known.key == row.key) {
                Some(known) => *known = row.clone(),
                None => self.share.rows.push(row.clone()),
            }
        }
        self.share.head = write.after();
        (self.share.life.updated_at, self.share.life.synced) = (write.at, true);
        self.states.push(Some((write.seq, self.items())));
        Ok(())
    }

    fn head(&self) -> Option<Head> {
        (!self.share.deleted).then_some(self.share.head)
    }

    fn since(&self, after: u64) -> Option<Added> {
        let rows = self.share.rows.iter().filter(|row| row.seq > after).cloned().collect();
        let StoredShare { head, life, .. } = self.share;
        let (epoch, lock) = (self.share.epoch.clone(), self.share.lock.clone());
        (!self.share.deleted).then_some(Added { epoch, head, life, lock, rows })
    }

    fn amend(&mut self, lock: Lock) {
        if !self.share.deleted {
            self.share.lock = lock;
            let Head { seq, writer } = self.share.head;
            self.share.head = Head { seq: seq + 1, writer: writer - 1 };
            self.share.life.synced = true;
            self.states.push(Some((seq + 1, self.items())));
        }
    }

    fn delete(&mut self) {
        self.share.deleted = true;
        self.share.rows.clear();
        self.states.push(None);
    }

    fn items(&self) -> Items {
        let living = self.share.rows.iter().filter_map(|row| Some((&row.key, row.content.as_ref()?)));
        living.map(|(key, content)| (key.as_str().into(), content.get().into())).collect()
    }
}

/// What a process asked of the store.
#[derive(Debug)]
enum Asked {
    Write(Write),
    Confirm,
    CatchUp(u64),
    Renew(ByteString),
    Mark,
    Purge,
}

/// What the store has done of it.
enum Done {
    Written(u64, Result<(), StoreError>),
    Confirmed(Result<Option<Head>, StoreError>),
    CaughtUp(Result<Option<Added>, StoreError>),
    Renewed,
    Marked,
    Purged,
}

/// One that waits for an answer of a process.
struct Waiting<Q, A> {
    question: Q,
    /// How many states there were when it was asked.
    states: usize,
    answer: Receiver<Result<A, Error>>,
}

type Question = Vec<(Key, Option<Content>)>;

struct Process {
    state: ShareState,
    node: Node,
    asked: Vec<Asked>,
    done: Vec<Done>,
    syncs: Vec<Waiting<Question, Ack>>,
    reads: Vec<Waiting<(), Arc<Snapshot>>>,
    deletes: Vec<Receiver<Result<Deletion, Error>>>,
    refused: usize,
}

impl Process {
    fn start(database: &Database, writer: i64) -> Self {
        Self {
            state: ShareState::of(Some(database.load()), &limits().lifetimes(), 1),
            // Far enough from each other for what each adds.
            node: Node { writer: writer * 1000, shared: true },
            asked: Vec::new(),
            done: Vec::new(),
            syncs: Vec::new(),
            reads: Vec::new(),
            deletes: Vec::new(),
            refused: 0,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, ShareState::Open(_))
    }
}

#[derive(Default)]
struct Viewer {
    at: Option<(usize, Feed)>,
    epoch: Option<ByteString>,
    seq: u64,
    whole: bool,
    items: Items,
    frames: usize,
    pull: Option<(usize, Receiver<Result<Stretch, Error>>)>,
}

struct World {
    limits: Limits,
    now: i64,
    database: Database,
    processes: [Process; 2],
    viewers: [Viewer; 3],
    writers: i64,
    /// Writes that are on their way although who sent them was told nothing.
    late: Vec<Write>,
    /// What one said to the other: it may be lost, come late and again.
    hints: Vec<u64>,
}

impl World {
    fn new() -> Self {
        let database = Database::new();
        let processes = [1, 2].map(|writer| Process::start(&database, writer));
        Self {
            limits: limits(),
            now: 1,
            database,
            processes,
            viewers: Default::default(),
            writers: 2,
            late: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn drive(&mut self, n: usize, step: impl FnOnce(&mut ShareState, &Surroundings, &mut Vec<Effect>)) {
        let viewers = self.viewers.iter().filter(|viewer| viewer.is_at(n)).count();
        let process = &mut self.processes[n];
        let around =
            Surroundings { limits: &self.limits, viewers, elsewhere: 0, now: self.now, node: process.node };
        let mut effects = Vec::new();
        step(&mut process.state, &around, &mut effects);
        let mut stopped = false;
        for effect in effects {
            match effect {
                Effect::Write(write) => process.asked.push(Asked::Write(write)),
                Effect::Confirm => process.asked.push(Asked::Confirm),
                Effect::CatchUp { after, .. } => process.asked.push(Asked::CatchUp(after)),
                Effect::RenewEpoch(old) => process.asked.push(Asked::Renew(old)),
                Effect::MarkDeleted => process.asked.push(Asked::Mark),
                Effect::Purge => process.asked.push(Asked::Purge),
                Effect::Dismiss(_) => self.viewers.iter_mut().for_each(|viewer| viewer.leave(n)),
                Effect::Stop => stopped = true,
                Effect::Publish(seq) => self.hints.push(seq),
                Effect::Wake | Effect::PublishGone | Effect::Relocked(_) | Effect::Ended(_) => {}
            }
        }
        if stopped {
            // Whoever asks next has it loaded.
            self.reload(n);
        }
    }

    /// Another actor, of the same process or of a new one.
    fn reload(&mut self, n: usize) {
        self.viewers.iter_mut().for_each(|viewer| viewer.leave(n));
        self.writers += 1;
        self.processes[n] = Process::start(&self.database, self.writers);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Sync(n, changes) => self.sync(n, &changes),
            Step::ReadAll(n) => {
                let (reply, answer) = oneshot::channel();
                self.drive(n, |state, around, effects| {
                    state.read(Reading::ReadAll(unlocked(), reply), around, effects);
                });
                let states = self.database.states.len();
                self.processes[n].reads.push(Waiting { question: (), states, answer });
            }
            Step::Perform(n, which) => {
                if let Some(asked) = self.asked(n, which) {
                    let done = self.perform(asked);
                    self.processes[n].done.push(done);
                }
            }
            Step::Tell(n, which) => {
                if !self.processes[n].done.is_empty() {
                    let which = usize::from(which) % self.processes[n].done.len();
                    let done = self.processes[n].done.remove(which);
                    self.tell(n, done);
                }
            }
            Step::Fail(n, how) => match self.asked(n, 0) {
                Some(Asked::Write(write)) => {
                    let seq = write.seq;
                    let error = match how {
                        Failure::Refused => StoreError::Unavailable,
                        Failure::Unknown(_) | Failure::Late => StoreError::Unknown,
                    };
                    match how {
                        Failure::Unknown(true) => drop(self.database.write(&write)),
                        Failure::Late => self.late.push(write),
                        _ => {}
                    }
                    self.tell(n, Done::Written(seq, Err(error)));
                }
                Some(Asked::Confirm) => self.tell(n, Done::Confirmed(Err(StoreError::Busy))),
                Some(Asked::CatchUp(_)) => self.tell(n, Done::CaughtUp(Err(StoreError::Busy))),
                Some(other) => self.processes[n].asked.push(other),
                None => {}
            },
            Step::Arrive => {
                if let Some(write) = self.late.pop() {
                    let _ = self.database.write(&write);
                }
            }
            Step::Poll(n) => {
                let head = self.database.head();
                self.drive(n, |state, around, effects| state.heard(head, around, effects));
            }
            Step::Hint(n, which) => {
                let hint = self.hints.iter().rev().nth(usize::from(which));
                let seq = hint.copied().unwrap_or(which.into());
                self.drive(n, |state, around, effects| state.hinted(seq, false, around, effects));
            }
            Step::Gone(n) => {
                self.drive(n, |state, around, effects| state.hinted(0, true, around, effects));
            }
            Step::Move(viewer, n) => {
                if let ShareState::Open(share) = &self.processes[n].state {
                    let feed = share.feed().clone();
                    self.viewers[viewer].come(n, feed);
                    self.pull(viewer);
                }
            }
            Step::Crash(n) => self.reload(n),
            Step::Amend(n) => {
                let lock = self.database.share.lock.clone();
                self.amend(n, lock);
            }
            Step::Delete(n) => {
                let (reply, answer) = oneshot::channel();
                let secret = SecretHash::of(SECRET);
                self.drive(n, |state, around, effects| state.delete(&secret, reply, around, effects));
                self.processes[n].deletes.push(answer);
            }
        }
    }

    /// The store gives the share another lock, and tells who asked for it.
    fn amend(&mut self, n: usize, lock: Lock) -> Receiver<Result<(), Error>> {
        self.database.amend(lock);
        let (reply, answer) = oneshot::channel();
        self.drive(n, |state, around, effects| state.amended(reply, around, effects));
        answer
    }

    /// One thing that the store was asked. Writes keep their order.
    fn asked(&mut self, n: usize, which: u8) -> Option<Asked> {
        let asked = &mut self.processes[n].asked;
        if asked.is_empty() {
            return None;
        }
        let mut which = usize::from(which) % asked.len();
        if matches!(asked[which], Asked::Write(_)) {
            which = asked.iter().position(|asked| matches!(asked, Asked::Write(_))).unwrap();
        }
        Some(asked.remove(which))
    }

    fn perform(&mut self, asked: Asked) -> Done {
        match asked {
            Asked::Write(write) => Done::Written(write.seq, self.database.write(&write)),
            Asked::Confirm => Done::Confirmed(Ok(self.database.head())),
            Asked::CatchUp(after) => Done::CaughtUp(Ok(self.database.since(after))),
            Asked::Renew(old) => {
                assert_eq!(self.database.share.epoch, *old);
                self.database.share.epoch.push('+');
                self.database.share.head.writer = -1;
                Done::Renewed
            }
            Asked::Mark => {
                self.database.delete();
                Done::Marked
            }
            Asked::Purge => Done::Purged,
        }
    }

    fn tell(&mut self, n: usize, done: Done) {
        self.drive(n, |state, around, effects| match done {
            Done::Written(seq, result) => state.written(seq, result, around, effects),
            Done::Confirmed(result) => state.confirmed(result, around, effects),
            Done::CaughtUp(result) => state.caught_up(result, around, effects),
            Done::Renewed => state.renewed(effects),
            Done::Marked => state.marked(Ok(()), effects),
            Done::Purged => state.purged(Ok(())),
        });
    }

    fn sync(&mut self, n: usize, changes: &[(u8, Option<u8>)]) {
        let changes = changes.iter().map(|(key, text)| (Key::part("m", &key.to_string()), text.map(content)));
        let question: Question = changes.collect();
        let changes = question.iter().cloned().map(|(key, content)| match content {
            Some(content) => Change::Put(key, content),
            None => Change::Remove(key),
        });
        let sync = Sync { secret: SecretHash::of(SECRET), changes: changes.collect() };
        let (reply, answer) = oneshot::channel();
        let states = self.database.states.len();
        self.drive(n, |state, around, effects| state.sync(sync, reply, around, effects));
        self.processes[n].syncs.push(Waiting { question, states, answer });
    }

    /// A viewer asks the share at which it is.
    fn pull(&mut self, viewer: usize) {
        let Viewer { at: Some((n, _)), pull: None, epoch, seq, .. } = &self.viewers[viewer] else { return };
        let (n, epoch) = (*n, epoch.clone());
        // A window ends in the middle now and then.
        let read =
            Read { lock: unlocked(), after: *seq, epoch, max_bytes: 40, room: u64::MAX, places: false };
        let (reply, answer) = oneshot::channel();
        self.viewers[viewer].pull = Some((self.database.states.len(), answer));
        self.drive(n, |state, around, effects| state.read(Reading::Read(read, reply), around, effects));
    }

    /// Looks at every answer that has come.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let Database { states, .. } = &self.database;
        let mut wrong = None;
        for process in &mut self.processes {
            // Of syncs that wait together the last alone may be stored.
            let mut waiting = BTreeMap::<Key, usize>::new();
            for (key, _) in process.syncs.iter().flat_map(|sync| &sync.question) {
                *waiting.entry(key.clone()).or_default() += 1;
            }
            answered(&mut process.syncs, &mut process.refused, |question, since, ack| {
                let alone: Vec<_> = question.iter().filter(|(key, _)| waiting[key] == 1).collect();
                let holds = |state: &Option<(u64, Items)>| {
                    let Some((seq, items)) = state else { return false };
                    let so = |(key, content): &&(Key, Option<Content>)| {
                        items.get(key.as_str()).map(String::as_str)
                            == content.as_ref().map(|content| content.get())
                    };
                    *seq >= ack.seq && alone.iter().all(so)
                };
                if !states[since - 1..].iter().any(holds) {
                    wrong = Some(format!("{question:?} was acknowledged and never was so"));
                }
            });
            answered(&mut process.reads, &mut process.refused, |(), since, snapshot| {
                let items = snapshot.in_reading_order().iter();
                let items: Items =
                    items.map(|(key, content)| (key.as_str().into(), content.get().into())).collect();
                let read = Some((snapshot.seq, items));
                if !states[since - 1..].contains(&read) {
                    wrong = Some(format!("{read:?} was read, which was not so then or later"));
                }
            });
            process.deletes.retain_mut(|answer| answer.try_recv() == Err(TryRecvError::Empty));
        }
        for viewer in 0..self.viewers.len() {
            self.watch(viewer)?;
        }
        prop_assert_eq!(wrong, None);
        Ok(())
    }

    /// A viewer takes what has come, and has all when it is told so.
    fn watch(&mut self, nth: usize) -> Result<(), TestCaseError> {
        let states = &self.database.states;
        let viewer = &mut self.viewers[nth];
        let Some((n, feed)) = viewer.at.clone() else { return Ok(()) };
        if let Some((since, answer)) = &mut viewer.pull {
            let since = *since;
            match answer.try_recv() {
                Ok(Ok(Stretch::Made(page))) => {
                    viewer.pull = None;
                    viewer.take(&page.frame.text)?;
                    let then = states[since - 1].as_ref();
                    prop_assert!(
                        page.frame.more || then.is_some_and(|(seq, _)| *seq <= viewer.seq),
                        "too old"
                    );
                }
                Ok(_) => viewer.leave(n),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Closed) => panic!("a viewer was forgotten"),
            }
        } else if viewer.whole {
            let news = feed.news(viewer.seq, true);
            for frame in &news.frames {
                viewer.take(frame)?;
            }
            viewer.whole &= !news.behind;
        }
        let viewer = &self.viewers[nth];
        if viewer.whole {
            let state = states.iter().flatten().find(|(seq, _)| *seq == viewer.seq);
            prop_assert_eq!(Some(&viewer.items), state.map(|(_, items)| items), "at {}", viewer.seq);
        } else {
            self.pull(nth);
        }
        Ok(())
    }

    /// Until nothing is under way; then all have what there is.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2 {
            // Were it endless, both would be in each other's way for ever.
            for _ in 0..1000 {
                for n in 0..2 {
                    self.step(Step::Perform(n, 0));
                    self.step(Step::Tell(n, 0));
                }
                self.check()?;
            }
            for n in 0..2 {
                let process = &self.processes[n];
                let waits = process.syncs.len() + process.reads.len() + process.deletes.len();
                prop_assert_eq!((waits, process.asked.len(), process.done.len()), (0, 0, 0), "at {}", n);
                prop_assert!(!process.state.is_busy());
                self.step(Step::Poll(n));
            }
        }
        if self.database.share.deleted {
            prop_assert!(self.processes.iter().all(|process| !process.is_open()), "it is deleted");
            return Ok(());
        }
        for viewer in self.viewers.iter().filter(|viewer| viewer.at.is_some()) {
            prop_assert_eq!(&viewer.items, &self.database.items());
        }
        let places = self.processes.each_ref().map(|process| match &process.state {
            ShareState::Open(share) => {
                let items = share.transcript.items();
                Some((
                    share.transcript.size(),
                    items.map(|(key, _, place)| (key.clone(), place)).collect::<Vec<_>>(),
                ))
            }
            _ => None,
        });
        let loaded = Transcript::from_rows(self.database.load().rows, 0);
        let stored = loaded.items().map(|(key, _, place)| (key.clone(), place)).collect::<Vec<_>>();
        for place in places.into_iter().flatten() {
            prop_assert_eq!(place, (loaded.size(), stored.clone()), "as it would be loaded");
        }
        Ok(())
    }
}

impl Viewer {
    fn is_at(&self, n: usize) -> bool {
        self.at.as_ref().is_some_and(|(at, _)| *at == n)
    }

    fn leave(&mut self, n: usize) {
        if self.is_at(n) {
            (self.at, self.pull, self.whole) = (None, None, false);
        }
    }

    fn come(&mut self, n: usize, feed: Feed) {
        (self.at, self.pull, self.whole) = (Some((n, feed)), None, false);
    }

    fn take(&mut self, frame: &[u8]) -> Result<(), TestCaseError> {
        let at = self.whole.then_some(self.seq);
        let read: Value = serde_json::from_slice(frame).unwrap();
        let (epoch, seq) = (read["epoch"].as_str().unwrap(), read["seq"].as_u64().unwrap());
        if self.epoch.as_deref() != Some(epoch) {
            self.items.clear();
            self.epoch = Some(epoch.into());
        }
        prop_assert!(seq >= self.seq, "the position goes back from {} to {seq}", self.seq);
        follow(&mut self.items, frame, at);
        (self.seq, self.whole) = (seq, read["more"] == false);
        self.frames += 1;
        Ok(())
    }
}

fn content(text: u8) -> Content {
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(text.into()));
    Content::from(RawValue::from_string(text).unwrap())
}

/// Takes the answers that have come.
fn answered<Q: Clone, A>(
    waiting: &mut Vec<Waiting<Q, A>>,
    refused: &mut usize,
    mut each: impl FnMut(Q, usize, A),
) {
    waiting.retain_mut(|asked| match asked.answer.try_recv() {
        Ok(Ok(answer)) => {
            each(asked.question.clone(), asked.states, answer);
            false
        }
        Ok(Err(_)) => {
            *refused += 1;
            false
        }
        Err(TryRecvError::Empty) => true,
        Err(TryRecvError::Closed) => panic!("somebody was forgotten"),
    });
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0..4_u8, proptest::option::weighted(0.8, 0..4_u8));
    let changes = proptest::collection::vec(change, 1..3);
    let failure = prop_oneof![
        Just(Failure::Refused),
        Just(Failure::Unknown(true)),
        Just(Failure::Unknown(false)),
        Just(Failure::Late)
    ];
    let step = prop_oneof![
        160 => (0..2_usize, changes).prop_map(|(n, changes)| Step::Sync(n, changes)),
        60 => (0..2_usize).prop_map(Step::ReadAll),
        240 => (0..2_usize, any::<u8>()).prop_map(|(n, which)| Step::Perform(n, which)),
        240 => (0..2_usize, any::<u8>()).prop_map(|(n, which)| Step::Tell(n, which)),
        20 => (0..2_usize, failure).prop_map(|(n, how)| Step::Fail(n, how)),
        10 => Just(Step::Arrive),
        40 => (0..2_usize).prop_map(Step::Poll),
        40 => (0..2_usize, 0..8_u8).prop_map(|(n, which)| Step::Hint(n, which)),
        10 => (0..2_usize).prop_map(Step::Gone),
        10 => (0..2_usize).prop_map(Step::Amend),
        60 => (0..3_usize, 0..2_usize).prop_map(|(viewer, n)| Step::Move(viewer, n)),
        6 => (0..2_usize).prop_map(Step::Crash),
        1 => (0..2_usize).prop_map(Step::Delete),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn whatever_two_processes_do_nothing_is_lost_and_nobody_sees_what_was_not(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            world.check()?;
        }
        world.settle()?;
    }
}

/// Does all that is asked of the store, and tells it, until viewers have what there is too.
fn run(world: &mut World, n: usize) {
    while !world.processes[n].asked.is_empty() || !world.processes[n].done.is_empty() {
        world.step(Step::Perform(n, 0));
        world.step(Step::Tell(n, 0));
        world.check().unwrap();
    }
}

#[test]
fn of_two_writes_on_one_head_one_is_refused_and_made_again_on_the_other() {
    let mut world = World::new();
    for step in [Step::Move(0, 0), Step::Move(1, 1)] {
        world.step(step);
    }
    run(&mut world, 0);
    run(&mut world, 1);
    world.step(Step::Sync(0, vec![(2, Some(1))]));
    world.step(Step::Sync(1, vec![(2, Some(2))]));
    // Behind the one that will be refused, on the position that the other's leaves too.
    world.step(Step::Sync(1, vec![(3, Some(3)), (2, Some(3))]));
    run(&mut world, 0);
    assert_eq!(world.database.share.head, Head { seq: 1, writer: 1000 });
    assert_eq!(world.processes[1].asked.len(), 2);
    run(&mut world, 1);
    assert_eq!(world.database.share.head.writer, 2000);
    assert_eq!(world.processes.each_ref().map(|process| process.refused), [0, 0]);
    assert_eq!(world.viewers[1].items, world.database.items(), "who watches there has both");
    assert_ne!(world.viewers[0].items, world.database.items(), "nobody told this one");
    world.step(Step::Poll(0));
    run(&mut world, 0);
    assert_eq!(world.viewers[0].items, world.database.items());
    world.settle().unwrap();
}

#[test]
fn what_seems_to_be_known_is_stored_again_when_another_has_changed_it() {
    let mut world = World::new();
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    run(&mut world, 0);
    world.step(Step::Sync(1, vec![(1, Some(2))]));
    run(&mut world, 1);
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    assert_eq!(world.processes[0].syncs.len(), 1, "it is not acknowledged by memory");
    run(&mut world, 0);
    assert_eq!(world.database.items().values().collect::<Vec<_>>(), [r#"{"text":"x"}"#]);
    let head = world.database.share.head;
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    run(&mut world, 0);
    assert_eq!(world.database.share.head, head, "and what is known is not");
}

#[test]
fn a_removal_that_is_made_again_takes_what_another_has_added() {
    let mut world = World::new();
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    run(&mut world, 0);
    world.step(Step::Poll(1));
    run(&mut world, 1);
    let sync = Sync { secret: SecretHash::of(SECRET), changes: vec![Change::Remove(Key::message("m"))] };
    let (reply, mut answer) = oneshot::channel();
    world.drive(0, |state, around, effects| state.sync(sync, reply, around, effects));
    world.step(Step::Sync(1, vec![(2, Some(2))]));
    run(&mut world, 1);
    run(&mut world, 0);
    assert!(answer.try_recv().unwrap().is_ok());
    assert_eq!(world.database.items(), Items::new());
}

#[test]
fn a_sync_through_another_puts_the_end_off() {
    let ended = |world: &World| !world.processes[0].is_open();
    let end = stored().life.expires_at.unwrap();
    for synced in [true, false] {
        let mut world = World::new();
        // Its own end is far: that it is not synced ends it after an hour.
        world.database.share.life.expires_at = None;
        world.reload(0);
        world.reload(1);
        if synced {
            world.step(Step::Sync(1, vec![(1, Some(1))]));
            run(&mut world, 1);
        }
        world.now = end.max(4_000_000);
        world.drive(0, ShareState::end_in_time);
        assert!(!ended(&world), "not before the store is looked at");
        run(&mut world, 0);
        assert_eq!(ended(&world), !synced);
    }
}

#[test]
fn who_comes_with_more_than_is_known_here_gets_what_came_since() {
    let mut world = World::new();
    world.step(Step::Move(0, 1));
    world.step(Step::Sync(1, vec![(1, Some(1)), (2, Some(2))]));
    run(&mut world, 1);
    assert_eq!(world.viewers[0].seq, 2);
    world.step(Step::Move(0, 0));
    world.step(Step::Sync(1, vec![(1, Some(3))]));
    run(&mut world, 1);
    let frames = world.viewers[0].frames;
    run(&mut world, 0);
    assert_eq!((world.viewers[0].seq, world.viewers[0].whole), (3, true));
    // All of it would be two.
    assert_eq!(world.viewers[0].frames, frames + 1);
}

#[test]
fn a_share_whose_history_was_lost_is_loaded_again() {
    for lost in [
        |share: &mut StoredShare| share.epoch = "other".into(),
        |share: &mut StoredShare| {
            share.head = Head { seq: 1, writer: 9 };
            share.rows.retain(|row| row.seq <= 1);
        },
    ] {
        let mut world = World::new();
        world.step(Step::Move(0, 0));
        world.step(Step::Sync(0, vec![(1, Some(1)), (2, Some(2))]));
        run(&mut world, 0);
        let writer = world.processes[0].node.writer;
        lost(&mut world.database.share);
        world.database.share.head.writer = 9;
        let states = &mut world.database.states;
        states.truncate(1);
        states.push(Some((world.database.share.head.seq, Items::new())));
        world.step(Step::Sync(0, vec![(3, Some(3))]));
        while !world.processes[0].asked.is_empty() || !world.processes[0].done.is_empty() {
            world.step(Step::Perform(0, 0));
            world.step(Step::Tell(0, 0));
        }
        assert_ne!(world.processes[0].node.writer, writer, "it was loaded again");
        assert!(world.viewers[0].at.is_none(), "and who watched it comes again");
        assert_ne!(world.database.share.epoch, stored().epoch, "its numbers mean nothing any more");
    }
}

#[test]
fn who_only_reads_finds_out_that_history_was_lost() {
    for by_poll in [true, false] {
        let mut world = World::new();
        world.step(Step::Sync(0, vec![(1, Some(1)), (2, Some(2))]));
        run(&mut world, 0);
        world.database.share.head = Head { seq: 1, writer: 9 };
        world.database.share.rows.retain(|row| row.seq <= 1);
        world.step(if by_poll { Step::Poll(0) } else { Step::ReadAll(0) });
        while !world.processes[0].asked.is_empty() || !world.processes[0].done.is_empty() {
            world.step(Step::Perform(0, 0));
            world.step(Step::Tell(0, 0));
        }
        assert_ne!(world.database.share.epoch, stored().epoch);
    }
}

#[test]
fn who_was_let_in_by_another_lock_is_refused_and_who_watches_is_sent_away() {
    let lock = |hash: &str| Lock { sealed: None, password: Some(PasswordHash(hash.into())) };
    let mut world = World::new();
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    run(&mut world, 0);
    // Each has a viewer, and the other one has not heard of anything when it is asked.
    for n in [0, 1] {
        world.step(Step::Move(n, n));
        run(&mut world, n);
    }
    let mut amended = world.amend(0, lock("one"));
    assert!(amended.try_recv().is_err(), "not before it holds here");
    run(&mut world, 0);
    assert_eq!(amended.try_recv(), Ok(Ok(())));
    assert!(world.viewers[0].at.is_none() && world.viewers[1].at.is_some());
    for n in [0, 1] {
        let mut ask = |lock: Arc<Lock>| {
            let (reply, mut answer) = oneshot::channel();
            world.drive(n, |state, around, effects| {
                state.read(Reading::ReadAll(lock, reply), around, effects);
            });
            run(&mut world, n);
            answer.try_recv().expect("an answer").map(|_| ())
        };
        assert_eq!(ask(unlocked()), Err(Error::Relocked));
        assert_eq!(ask(Arc::new(lock("another"))), Err(Error::Relocked));
        assert_eq!(ask(Arc::new(lock("one"))), Ok(()));
    }
    assert!(world.viewers[1].at.is_none());
    assert_eq!(world.database.share.epoch, stored().epoch, "no history was lost");
    // A sync goes on from there.
    world.step(Step::Sync(1, vec![(1, Some(2))]));
    run(&mut world, 1);
    assert_eq!(world.database.share.head.seq, 3);
}

#[test]
fn an_answer_that_is_older_than_what_was_written_since_is_no_loss() {
    let mut world = World::new();
    world.step(Step::ReadAll(0));
    world.step(Step::Perform(0, 0));
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    world.step(Step::Perform(0, 0));
    // The write's answer first, then the look's, which is of before.
    world.step(Step::Tell(0, 1));
    run(&mut world, 0);
    world.settle().unwrap();
    assert_eq!((world.database.share.epoch.clone(), world.processes[0].refused), (stored().epoch, 0));
}

#[test]
fn a_write_of_unknown_outcome_is_made_again_where_it_is_not_there() {
    for how in [Failure::Unknown(true), Failure::Unknown(false), Failure::Late] {
        let mut world = World::new();
        world.step(Step::Move(0, 0));
        run(&mut world, 0);
        world.step(Step::Sync(0, vec![(1, Some(1)), (2, Some(1))]));
        // It stands on the first.
        world.step(Step::Sync(0, vec![(1, Some(2))]));
        world.step(Step::Fail(0, how));
        world.step(Step::Perform(0, 0));
        world.step(Step::Tell(0, 0));
        // The late one comes when what was made in its place is under way, and ends at the same position.
        world.step(Step::Perform(0, 0));
        world.step(Step::Tell(0, 0));
        world.step(Step::Arrive);
        run(&mut world, 0);
        world.settle().unwrap();
        let process = &world.processes[0];
        assert_eq!((process.syncs.len(), process.refused), (0, 0), "{how:?}");
        assert_eq!(world.database.items().len(), 2);
        assert!(world.viewers[0].at.is_some(), "who watches stays");
    }
}

#[test]
fn a_write_that_failed_is_refused_and_who_watches_stays() {
    let mut world = World::new();
    world.step(Step::Move(0, 0));
    run(&mut world, 0);
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    world.step(Step::Fail(0, Failure::Refused));
    run(&mut world, 0);
    world.check().unwrap();
    assert_eq!((world.processes[0].syncs.len(), world.processes[0].refused), (0, 1));
    for _ in 0..DOUBTS {
        world.step(Step::Sync(0, vec![(1, Some(1))]));
        world.step(Step::Fail(0, Failure::Unknown(false)));
        run(&mut world, 0);
        world.check().unwrap();
    }
    assert_eq!(world.processes[0].refused, 1);
    world.step(Step::Sync(0, vec![(1, Some(3))]));
    for _ in 0..=DOUBTS {
        world.step(Step::Fail(0, Failure::Unknown(false)));
        world.step(Step::Perform(0, 0));
        world.step(Step::Tell(0, 0));
    }
    world.settle().unwrap();
    assert_eq!(world.processes[0].refused, 2, "not for ever");
    assert!(world.viewers[0].at.is_some());
}

#[test]
fn nothing_stands_on_a_write_that_came_late_in_the_place_of_another() {
    let mut world = World::new();
    world.step(Step::Sync(0, vec![(1, Some(1))]));
    for nth in 0..=DOUBTS {
        world.step(Step::Fail(0, if nth == 0 { Failure::Late } else { Failure::Unknown(false) }));
        world.step(Step::Perform(0, 0));
        world.step(Step::Tell(0, 0));
    }
    world.check().unwrap();
    assert_eq!(world.processes[0].refused, 1);
    // The first ends at the position of the late one, and the second stands on it.
    world.step(Step::Sync(0, vec![(2, Some(2))]));
    world.step(Step::Sync(0, vec![(3, Some(3))]));
    world.step(Step::Arrive);
    world.step(Step::Perform(0, 0));
    world.step(Step::Perform(0, 0));
    assert_eq!(world.database.items().keys().collect::<Vec<_>>(), ["part/m/1"]);
    run(&mut world, 0);
    world.settle().unwrap();
    assert_eq!(world.database.items().len(), 3);
}
