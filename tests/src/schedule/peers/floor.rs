//! Where policies work: slots that start processes, set files up, run tests, wait for seats, and die. All of it on a virtual
//! clock; what happens at the same moment happens in the order in which it was brought about.
//!
//! Whoever schedules, a test runs to its end exactly once. That is asserted.

use super::super::case::DETECTION;
use super::Case;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// Who says what runs next, and where.
pub(super) trait Policy {
    /// What the slot starts now, if there is anything for it. `free` has the free seats of each resource.
    fn next(&mut self, slot: usize, free: &[u32]) -> Option<Start>;

    /// The slot has run a test, and it took that many seconds.
    fn done(&mut self, _slot: usize, _test: usize, _seconds: f64) {}

    /// The slot is known to be dead, and was at that test. What it was to run is to run all the same: here, if it is
    /// started again, or elsewhere.
    fn lost(&mut self, slot: usize, running: Option<usize>) -> Lost;
}

/// A test that starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) test: usize,
    /// Whether a batch begins with it.
    pub(super) fresh: bool,
    /// Whether the policy saw that its seat is free, and takes it at once. Otherwise the test waits for it on its slot.
    pub(super) seated: bool,
}

/// What becomes of a slot that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It is started again.
    Restarted,
    /// It is gone.
    Gone,
}

/// How long the case takes with the policy, in seconds.
pub(super) fn run(case: &Case, policy: &mut dyn Policy) -> f64 {
    let mut floor = Floor::new(case);
    floor.offer(policy);
    while floor.left > 0 {
        let event = floor.events.pop().expect("as long as tests are left, something is going to happen");
        floor.now = event.at;
        if floor.happen(&event, policy) {
            floor.offer(policy);
        }
    }
    floor.end
}

struct Floor<'a> {
    case: &'a Case,
    now: f64,
    /// When the last test so far ended.
    end: f64,
    benches: Vec<Bench>,
    /// Free seats of each resource, and the slots that wait for one.
    free: Vec<u32>,
    lines: Vec<VecDeque<usize>>,
    events: BinaryHeap<Event>,
    brought: u64,
    finished: Vec<bool>,
    left: usize,
}

/// A slot, and what stands on it.
#[derive(Clone, Debug, Default)]
struct Bench {
    /// The test that it is at.
    at: Option<usize>,
    /// Whether that one has its seat.
    seated: bool,
    /// Whether a process is there, and the file that it has set up.
    started: bool,
    file: Option<u32>,
    dead: bool,
    /// How often it died: what was to happen before that does not.
    life: u32,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: f64,
    brought: u64,
    slot: usize,
    life: u32,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// The process is there, and its test wants its seat.
    Ready,
    /// The test is done.
    Done,
    /// The slot dies.
    Death,
    /// That is noticed.
    Found,
}

impl<'a> Floor<'a> {
    fn new(case: &'a Case) -> Self {
        let mut floor = Self {
            case,
            now: 0.0,
            end: 0.0,
            benches: vec![Bench::default(); case.slots.len()],
            free: case.capacity.clone(),
            lines: vec![VecDeque::new(); case.capacity.len()],
            events: BinaryHeap::new(),
            brought: 0,
            finished: vec![false; case.tests.len()],
            left: case.tests.len(),
        };
        for (slot, dies_at) in case.slots.iter().map(|slot| slot.dies_at).enumerate() {
            dies_at.into_iter().for_each(|at| floor.bring(at, slot, What::Death));
        }
        floor
    }

    /// Something is going to happen to a slot, in so many seconds.
    fn bring(&mut self, after: f64, slot: usize, what: What) {
        self.brought += 1;
        let life = self.benches[slot].life;
        self.events.push(Event { at: self.now + after, brought: self.brought, slot, life, what });
    }

    /// Asks the policy for each idle slot.
    fn offer(&mut self, policy: &mut dyn Policy) {
        for slot in 0..self.benches.len() {
            let Bench { at: None, dead: false, .. } = self.benches[slot] else { continue };
            if let Some(start) = policy.next(slot, &self.free) {
                self.start(slot, start);
            }
        }
    }

    fn start(&mut self, slot: usize, start: Start) {
        assert!(!self.finished[start.test], "a test that has run does not start again");
        let test = &self.case.tests[start.test];
        let bench = &mut self.benches[slot];
        if start.fresh && !self.case.warm {
            (bench.started, bench.file) = (false, None);
        }
        let startup = if bench.started { 0.0 } else { self.case.startup };
        let shared = if bench.file == Some(test.file) { 0.0 } else { self.case.fixture };
        bench.started = true;
        (bench.at, bench.file, bench.seated) = (Some(start.test), Some(test.file), false);
        if let Some(needs) = test.needs.map(usize::from).filter(|_| start.seated) {
            self.free[needs] = self.free[needs].checked_sub(1).expect("a seat that is taken at once is free");
            bench.seated = true;
        }
        self.bring(startup + shared / self.case.slots[slot].speed, slot, What::Ready);
    }

    /// Whether idle slots may now have something to do.
    fn happen(&mut self, event: &Event, policy: &mut dyn Policy) -> bool {
        let slot = event.slot;
        if event.life != self.benches[slot].life {
            return false;
        }
        match event.what {
            What::Ready => self.ready(slot),
            What::Done => self.done(slot, policy),
            What::Death => self.die(slot),
            What::Found => self.find(slot, policy),
        }
        matches!(event.what, What::Done | What::Found)
    }

    fn ready(&mut self, slot: usize) {
        let needs = self.benches[slot].at.and_then(|test| self.case.tests[test].needs).map(usize::from);
        match needs.filter(|_| !self.benches[slot].seated) {
            Some(needs) if self.free[needs] == 0 => self.lines[needs].push_back(slot),
            Some(needs) => {
                self.free[needs] -= 1;
                self.benches[slot].seated = true;
                self.begin(slot);
            }
            None => self.begin(slot),
        }
    }

    fn begin(&mut self, slot: usize) {
        let test = self.benches[slot].at.expect("a slot that begins is at a test");
        self.bring(self.case.tests[test].truth / self.case.slots[slot].speed, slot, What::Done);
    }

    fn done(&mut self, slot: usize, policy: &mut dyn Policy) {
        let test = self.benches[slot].at.take().expect("a slot that is done was at a test");
        assert!(!self.finished[test], "a test runs to its end once");
        self.finished[test] = true;
        self.left -= 1;
        self.end = self.now;
        self.give_back(slot, test);
        policy.done(slot, test, self.case.tests[test].truth / self.case.slots[slot].speed);
    }

    /// The seat of a test goes to who waits longest.
    fn give_back(&mut self, slot: usize, test: usize) {
        let Some(needs) = self.case.tests[test].needs.map(usize::from) else { return };
        if !std::mem::take(&mut self.benches[slot].seated) {
            return;
        }
        self.free[needs] += 1;
        if let Some(next) = self.lines[needs].pop_front() {
            self.free[needs] -= 1;
            self.benches[next].seated = true;
            self.begin(next);
        }
    }

    /// What runs there never ends. Its seat stays taken until somebody notices.
    fn die(&mut self, slot: usize) {
        self.lines.iter_mut().for_each(|line| line.retain(|waiting| *waiting != slot));
        let bench = &mut self.benches[slot];
        bench.dead = true;
        bench.life += 1;
        self.bring(DETECTION, slot, What::Found);
    }

    fn find(&mut self, slot: usize, policy: &mut dyn Policy) {
        let running = self.benches[slot].at.take();
        running.into_iter().for_each(|test| self.give_back(slot, test));
        let life = self.benches[slot].life;
        let dead = policy.lost(slot, running) == Lost::Gone;
        self.benches[slot] = Bench { dead, life, ..Bench::default() };
    }
}

impl Ord for Event {
    /// The heap gives the greatest: the earliest, and of those what was brought about first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.brought.cmp(&self.brought))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}
