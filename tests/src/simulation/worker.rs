//! A worker as the contract has it, without clock, network or tests: words go in and come out, and whoever owns it says
//! when what it does is done. The simulation and the model share it.
//!
//! It keeps what is not acknowledged and tells it again over a new connection; what it holds is what it works on and
//! what it has something to say of; it never begins a test that it gave back, and tells nothing of one that it stopped.

use super::words::{Activity, Done, FileWork, FromWorker, Out, Shard, ToWorker};
use regatta_core::{Entry, GrantedTest, SessionId};
use regatta_domain::result::TestResult;
use regatta_domain::{FileIx, Micros, Nuance, Outcome, RunId, SlotIx, SuiteIx, TestIx, Time, Token, WorkerId};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// The connection that it speaks over.
    pub session: Option<SessionId>,
    attached: bool,
    slots: Vec<Slot>,
    next_seq: u64,
    fresh: Vec<(Option<Token>, Entry)>,
    reported: VecDeque<(u64, Arc<Vec<Entry>>, BTreeSet<Token>)>,
    closing: BTreeSet<RunId>,
    /// It wants nothing more.
    pub draining: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Slot {
    work: Option<Work>,
    queue: VecDeque<Shard>,
    /// It asks.
    wants: bool,
    /// The coordinator was told so over the present connection.
    told: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Work {
    shard: Shard,
    stage: Stage,
    stopping: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    WarmUp,
    Discover,
    /// The first file of the shard is listed or compared.
    Open,
    /// The first file of the shard was listed, and its tests are to be numbered.
    Await,
    Test(GrantedTest),
}

impl Worker {
    /// A worker that has just started.
    #[must_use]
    pub fn new(id: WorkerId, slots: u16) -> Self {
        Self {
            id,
            session: None,
            attached: false,
            slots: vec![Slot::default(); usize::from(slots)],
            next_seq: 0,
            fresh: Vec::new(),
            reported: VecDeque::new(),
            closing: BTreeSet::new(),
            draining: false,
        }
    }

    /// How many slots it offers.
    #[must_use]
    pub fn slots(&self) -> u16 {
        u16::try_from(self.slots.len()).expect("a worker of the model is small")
    }

    /// Whether a draining worker has nothing left to do or to say.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.draining && self.is_idle() && self.fresh.is_empty() && self.reported.is_empty()
    }

    /// What it reported under a number, where that is not acknowledged.
    #[must_use]
    pub fn reported(&self, seq: u64) -> &[Entry] {
        self.reported.iter().find(|&&(reported, ..)| reported == seq).map_or(&[], |(_, entries, _)| entries)
    }

    /// Whether no slot holds anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.iter().all(|slot| slot.work.is_none() && slot.queue.is_empty())
    }

    /// What the slot does that takes time.
    #[must_use]
    pub fn activity(&self, slot: SlotIx) -> Option<(RunId, SuiteIx, Token, Activity)> {
        let work = self.slots[slot.at()].work.as_ref()?;
        let activity = match work.stage {
            Stage::WarmUp => Activity::WarmUp,
            Stage::Discover => Activity::Discover,
            Stage::Open => {
                let file = work.shard.files.front().expect("a file is open");
                Activity::Open(file.file, if file.tests.is_some() { file.remembered } else { 0 })
            }
            Stage::Await => return None,
            Stage::Test(test) => Activity::Test(test),
        };
        Some((work.shard.run, work.shard.suite, work.shard.token, activity))
    }

    /// It has dialled: its hello.
    pub fn dial(&mut self, session: SessionId) -> FromWorker {
        self.session = Some(session);
        self.attached = false;
        let at_work = self.slots.iter().filter_map(|slot| slot.work.as_ref()).map(|work| work.shard.token);
        let waiting = self.slots.iter().flat_map(|slot| &slot.queue).map(|shard| shard.token);
        let fresh = self.fresh.iter().filter_map(|&(token, _)| token);
        let reported = self.reported.iter().flat_map(|(_, _, tokens)| tokens.iter().copied());
        let holds: BTreeSet<Token> = at_work.chain(waiting).chain(fresh).chain(reported).collect();
        FromWorker::Hello(holds.into_iter().collect())
    }

    /// Its connection broke.
    pub fn hung_up(&mut self) {
        self.session = None;
        self.attached = false;
    }

    /// It hears something.
    pub fn heard(&mut self, message: ToWorker) -> Vec<Out> {
        let mut out = Vec::new();
        match message {
            ToWorker::Attached => self.attached(&mut out),
            ToWorker::Grant(slot, shard) => self.granted(slot, shard, &mut out),
            ToWorker::Numbered(token, file, tests) => self.numbered(token, file, tests, &mut out),
            ToWorker::Steal(token, tests) => self.steal(token, &tests, &mut out),
            ToWorker::Stop(token, kill) => self.stop(token, kill, &mut out),
            ToWorker::Close(run) => {
                self.closing.insert(run);
                self.close(&mut out);
            }
            ToWorker::Ack(seq) => {
                while self.reported.front().is_some_and(|&(reported, ..)| reported <= seq) {
                    self.reported.pop_front();
                }
            }
        }
        out
    }

    /// What a slot did is done.
    pub fn done(&mut self, slot: SlotIx, done: Done) -> Vec<Out> {
        let mut out = Vec::new();
        let work = self.slots[slot.at()].work.as_mut().expect("what is done was begun");
        let token = work.shard.token;
        match (work.stage, done) {
            (Stage::WarmUp, Done::Warm) => self.next(slot, &mut out),
            (Stage::WarmUp | Stage::Discover, Done::Broken(error)) => {
                self.say(Some(token), Entry::Erred { token, file: None, error }, true, &mut out);
                self.release(slot, &mut out);
            }
            (Stage::Discover, Done::Discovered(files)) => {
                self.say(Some(token), Entry::Discovered { token, files }, true, &mut out);
                self.release(slot, &mut out);
            }
            (Stage::Open, Done::AsRemembered) => {
                work.shard.files.front_mut().expect("a file is open").remembered = 0;
                self.next(slot, &mut out);
            }
            (Stage::Open, Done::Listed(tests)) => {
                let file = work.shard.files.front().expect("a file is open").file;
                work.stage = Stage::Await;
                out.push(Out::Halt(slot));
                self.say(Some(token), Entry::Listed { token, file, tests }, true, &mut out);
            }
            (Stage::Open, Done::Broken(error)) => {
                let file = work.shard.files.pop_front().expect("a file is open").file;
                self.say(Some(token), Entry::Erred { token, file: Some(file), error }, true, &mut out);
                self.next(slot, &mut out);
            }
            (Stage::Test(test), Done::Ran(outcome, cause)) => {
                let result = TestResult { cause, ..result(test, outcome) };
                self.say(Some(token), Entry::Finished { token, result }, false, &mut out);
                self.next(slot, &mut out);
            }
            (stage, done) => unreachable!("{done:?} does not end {stage:?}"),
        }
        out
    }

    /// It takes nothing new, and hands back what has not begun; with `hard`, it breaks off what runs, too.
    pub fn drain(&mut self, hard: bool) -> Vec<Out> {
        let mut out = Vec::new();
        let begins = !std::mem::replace(&mut self.draining, true);
        if begins {
            self.say(None, Entry::Draining, true, &mut out);
        }
        if begins || hard {
            for slot in (0..self.slots.len()).map(SlotIx::nth) {
                let waiting = self.slots[slot.at()].queue.iter().map(|shard| shard.token);
                let at_work = self.slots[slot.at()].work.iter().map(|work| work.shard.token);
                for token in waiting.chain(at_work).collect::<Vec<_>>() {
                    self.stop(token, hard, &mut out);
                }
            }
        }
        out
    }

    /// Puts what waits for company on its way.
    pub fn flush(&mut self) -> Vec<Out> {
        let mut out = Vec::new();
        self.send(&mut out);
        out
    }

    fn say(&mut self, token: Option<Token>, entry: Entry, urgent: bool, out: &mut Vec<Out>) {
        self.fresh.push((token, entry));
        if urgent {
            self.send(out);
        } else {
            out.push(Out::Linger);
        }
    }

    fn send(&mut self, out: &mut Vec<Out>) {
        if !self.attached {
            return;
        }
        if !self.fresh.is_empty() {
            self.next_seq += 1;
            let tokens = self.fresh.iter().filter_map(|&(token, _)| token).collect();
            let entries = Arc::new(std::mem::take(&mut self.fresh).into_iter().map(|(_, entry)| entry).collect());
            out.push(Out::Say(FromWorker::Report(self.next_seq, Arc::clone(&entries))));
            self.reported.push_back((self.next_seq, entries, tokens));
        }
        if !self.draining {
            for (at, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.wants && !slot.told) {
                slot.told = true;
                out.push(Out::Say(FromWorker::Ask(SlotIx::nth(at))));
            }
        }
    }

    fn attached(&mut self, out: &mut Vec<Out>) {
        self.attached = true;
        for (seq, entries, _) in &self.reported {
            out.push(Out::Say(FromWorker::Report(*seq, Arc::clone(entries))));
        }
        if self.draining {
            self.fresh.push((None, Entry::Draining));
        }
        for work in self.slots.iter().filter_map(|slot| slot.work.as_ref()) {
            if let Stage::Test(granted) = work.stage {
                let token = work.shard.token;
                self.fresh.push((Some(token), Entry::Started { token, test: granted.test }));
            }
        }
        for slot in &mut self.slots {
            slot.told = false;
            slot.wants |= slot.work.is_none() && slot.queue.is_empty();
        }
        self.send(out);
    }

    fn granted(&mut self, slot: SlotIx, shard: Shard, out: &mut Vec<Out>) {
        let token = shard.token;
        let into = &mut self.slots[slot.at()];
        into.wants = false;
        if self.draining {
            return self.say(Some(token), Entry::Released { token }, true, out);
        }
        into.queue.push_back(shard);
        if into.work.is_none() {
            self.begin(slot, out);
        }
    }

    /// Takes up the shard that waits, or asks for one.
    fn begin(&mut self, slot: SlotIx, out: &mut Vec<Out>) {
        let into = &mut self.slots[slot.at()];
        if let Some(shard) = into.queue.pop_front() {
            into.work = Some(Work { shard, stage: Stage::WarmUp, stopping: false });
            self.announce(slot, out);
        } else {
            into.wants = true;
            into.told = false;
            self.send(out);
        }
    }

    fn announce(&self, slot: SlotIx, out: &mut Vec<Out>) {
        if let Some((run, suite, token, activity)) = self.activity(slot) {
            out.push(Out::Begin(slot, run, suite, token, activity));
        }
    }

    /// What comes next in the shard at work.
    fn next(&mut self, slot: SlotIx, out: &mut Vec<Out>) {
        let into = &mut self.slots[slot.at()];
        let work = into.work.as_mut().expect("a shard is at work");
        if work.stopping {
            return self.release(slot, out);
        }
        if work.shard.discover {
            work.stage = Stage::Discover;
            return self.announce(slot, out);
        }
        while let Some(file) = work.shard.files.front_mut() {
            let Some(tests) = file.tests.as_mut().filter(|_| file.remembered == 0) else {
                work.stage = Stage::Open;
                return self.announce(slot, out);
            };
            let Some(test) = tests.pop_front() else {
                work.shard.files.pop_front();
                continue;
            };
            work.stage = Stage::Test(test);
            // The next shard is asked for while the last tests of this one run.
            let left: usize = work.shard.files.iter().map(|file| file.tests.as_ref().map_or(9, VecDeque::len)).sum();
            if left == 0 && into.queue.is_empty() && !into.wants {
                into.wants = true;
                into.told = false;
            }
            let token = work.shard.token;
            self.say(Some(token), Entry::Started { token, test: test.test }, false, out);
            return self.announce(slot, out);
        }
        self.release(slot, out);
    }

    fn release(&mut self, slot: SlotIx, out: &mut Vec<Out>) {
        out.push(Out::Halt(slot));
        let work = self.slots[slot.at()].work.take().expect("a shard is at work");
        let token = work.shard.token;
        self.say(Some(token), Entry::Released { token }, true, out);
        self.close(out);
        self.begin(slot, out);
    }

    fn numbered(&mut self, token: Token, file: FileIx, tests: Vec<GrantedTest>, out: &mut Vec<Out>) {
        let awaits = |slot: &Slot| {
            slot.work.as_ref().is_some_and(|work| {
                work.shard.token == token
                    && work.stage == Stage::Await
                    && work.shard.files.front().is_some_and(|front| front.file == file)
            })
        };
        let Some(at) = self.slots.iter().position(awaits) else { return };
        let front = self.slots[at].work.as_mut().and_then(|work| work.shard.files.front_mut());
        let front = front.expect("the file is awaited");
        front.remembered = 0;
        front.tests = Some(tests.into());
        self.next(SlotIx::nth(at), out);
    }

    fn steal(&mut self, token: Token, tests: &[TestIx], out: &mut Vec<Out>) {
        for slot in &mut self.slots {
            if let Some(work) = slot.work.as_mut().filter(|work| work.shard.token == token) {
                // What the first file holds is being numbered: which of its tests are still to be begun is not known.
                let skip = usize::from(work.stage == Stage::Await);
                let given = take_out(&mut work.shard.files, skip, tests);
                return self.say(Some(token), Entry::GaveBack { token, tests: given }, true, out);
            }
            if let Some(at) = slot.queue.iter().position(|shard| shard.token == token) {
                let given = take_out(&mut slot.queue[at].files, 0, tests);
                let empty = |file: &FileWork| file.tests.as_ref().is_some_and(VecDeque::is_empty);
                let over = !slot.queue[at].discover && slot.queue[at].files.iter().all(empty);
                if over {
                    slot.queue.remove(at);
                }
                self.say(Some(token), Entry::GaveBack { token, tests: given }, true, out);
                if over {
                    self.say(Some(token), Entry::Released { token }, true, out);
                    self.close(out);
                }
                return;
            }
        }
    }

    fn stop(&mut self, token: Token, kill: bool, out: &mut Vec<Out>) {
        for at in (0..self.slots.len()).map(SlotIx::nth) {
            let slot = &mut self.slots[at.at()];
            if let Some(waiting) = slot.queue.iter().position(|shard| shard.token == token) {
                slot.queue.remove(waiting);
                self.say(Some(token), Entry::Released { token }, true, out);
                return self.close(out);
            }
            if let Some(work) = slot.work.as_mut().filter(|work| work.shard.token == token) {
                if kill || !matches!(work.stage, Stage::Test(_)) {
                    return self.release(at, out);
                }
                work.stopping = true;
                return;
            }
        }
    }

    /// Says of every run that is to be closed, and of which nothing is held any more, that it is.
    fn close(&mut self, out: &mut Vec<Out>) {
        let at_work = self.slots.iter().filter_map(|slot| slot.work.as_ref()).map(|work| work.shard.run);
        let waiting = self.slots.iter().flat_map(|slot| &slot.queue).map(|shard| shard.run);
        let busy: BTreeSet<RunId> = at_work.chain(waiting).collect();
        let idle: Vec<RunId> = self.closing.iter().copied().filter(|run| !busy.contains(run)).collect();
        for run in idle {
            self.closing.remove(&run);
            self.say(None, Entry::Closed { run, errors: Vec::new() }, true, out);
        }
    }
}

/// Takes tests out of files that have not begun: all of those named, or none.
fn take_out(files: &mut VecDeque<FileWork>, skip: usize, tests: &[TestIx]) -> Vec<TestIx> {
    let waits = |wanted: TestIx| {
        let mut waiting = files.iter().skip(skip).filter_map(|file| file.tests.as_ref()).flatten();
        waiting.any(|granted| granted.test == wanted)
    };
    if !tests.iter().all(|&test| waits(test)) {
        return Vec::new();
    }
    for waiting in files.iter_mut().skip(skip).filter_map(|file| file.tests.as_mut()) {
        waiting.retain(|granted| !tests.contains(&granted.test));
    }
    tests.to_vec()
}

fn result(granted: GrantedTest, outcome: Outcome) -> TestResult {
    TestResult {
        test: granted.test,
        attempt: granted.attempt,
        outcome,
        nuance: Nuance::Plain,
        cause: None,
        exit: None,
        started: Time::default(),
        duration: Micros::ZERO,
        reason: None,
        output: None,
        observation: None,
    }
}
