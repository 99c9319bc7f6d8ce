//! A slot of a rehearsal: works through its shards in order, keeps its process warm as the suite's costs say, gives back
//! what has not begun, and asks for more when little is left.

use super::{Play, SLOT, session, worker};
use crate::command::{Command, Entry, SessionId};
use regatta_domain::result::TestResult;
use regatta_domain::{FileIx, GroupIx, Micros, Nuance, Outcome, RunId, SuiteIx, TestIx, Time, Token, WorkerId};
use std::collections::VecDeque;

/// Work that is left when a slot asks: as the worker's own slots do.
const LOW: Micros = Micros::from_ms(20);

/// A test that was granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) test: TestIx,
    pub(super) attempt: u16,
    pub(super) estimate: Micros,
    pub(super) file: FileIx,
    /// The group, where it shares fixtures.
    pub(super) group: Option<GroupIx>,
}

struct Shard {
    run: RunId,
    token: Token,
    suite: SuiteIx,
    rest: VecDeque<Work>,
    /// Whether its batch has begun.
    begun: bool,
}

/// What the process of the slot has at hand.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Warm {
    run: RunId,
    suite: SuiteIx,
    file: Option<FileIx>,
    group: Option<GroupIx>,
}

struct Running {
    work: Work,
    began: Time,
    ends: Time,
    takes: Micros,
}

pub(super) struct Slot {
    at: usize,
    speed: u32,
    shards: VecDeque<Shard>,
    running: Option<Running>,
    /// Until then its process starts.
    busy_until: Time,
    warm: Option<Warm>,
    asked: bool,
    dead: bool,
}

/// A test that ended.
pub(super) struct Done {
    pub(super) run: RunId,
    pub(super) test: TestIx,
    pub(super) began: Time,
    pub(super) ended: Time,
    pub(super) token: Token,
}

/// What came of a look at a slot.
#[derive(Default)]
pub(super) struct Moved {
    pub(super) done: Option<Done>,
    /// When to look again.
    pub(super) next: Option<Time>,
    pub(super) asks: bool,
}

impl Slot {
    pub(super) const fn new(at: usize, speed: u32) -> Self {
        Self {
            at,
            speed,
            shards: VecDeque::new(),
            running: None,
            busy_until: Time(0),
            warm: None,
            asked: true,
            dead: false,
        }
    }

    /// The slot that a worker stands for.
    pub(super) fn of(worker: WorkerId) -> usize {
        usize::try_from(worker.0.as_u128() - 1).expect("workers of a rehearsal are numbered")
    }

    pub(super) const fn worker(&self) -> WorkerId {
        worker(self.at)
    }

    pub(super) const fn session(&self) -> SessionId {
        session(self.at)
    }

    pub(super) const fn asks(&self) -> Command {
        Command::Ask { worker: self.worker(), session: self.session(), slot: SLOT }
    }

    pub(super) const fn is_dead(&self) -> bool {
        self.dead
    }

    pub(super) const fn die(&mut self) {
        self.dead = true;
    }

    pub(super) fn grant(&mut self, run: RunId, token: Token, suite: SuiteIx, work: Vec<Work>) {
        self.asked = false;
        self.shards.push_back(Shard { run, token, suite, rest: work.into(), begun: false });
    }

    /// All of the tests, where none has begun.
    pub(super) fn give_back(&mut self, token: Token, tests: &[TestIx]) -> Vec<Entry> {
        let Some(at) = self.shards.iter().position(|shard| shard.token == token) else { return Vec::new() };
        let shard = &mut self.shards[at];
        let all = tests.iter().all(|test| shard.rest.iter().any(|work| work.test == *test));
        if !all {
            return vec![Entry::GaveBack { token, tests: Vec::new() }];
        }
        shard.rest.retain(|work| !tests.contains(&work.test));
        let mut entries = vec![Entry::GaveBack { token, tests: tests.to_vec() }];
        if at > 0 && shard.rest.is_empty() {
            self.shards.remove(at);
            entries.push(Entry::Released { token });
        }
        entries
    }

    pub(super) fn stop(&mut self, token: Token, now: Time) -> Vec<Entry> {
        let Some(at) = self.shards.iter().position(|shard| shard.token == token) else { return Vec::new() };
        self.shards.remove(at);
        if at == 0 {
            self.running = None;
            self.busy_until = now;
        }
        vec![Entry::Released { token }]
    }

    /// Ends what has ended, begins what may begin.
    pub(super) fn move_on(&mut self, now: Time, play: &Play<'_>, entries: &mut Vec<Entry>) -> Moved {
        let mut moved = Moved::default();
        if let Some(running) = self.running.take_if(|running| running.ends <= now) {
            let shard = &self.shards[0];
            entries.push(Entry::Finished { token: shard.token, result: result(&running) });
            moved.done = Some(Done {
                run: shard.run,
                test: running.work.test,
                began: running.began,
                ended: running.ends,
                token: shard.token,
            });
        }
        while self.running.is_none() && self.busy_until <= now {
            let Some(shard) = self.shards.front_mut() else { break };
            if !shard.begun {
                shard.begun = true;
                let costs = (play.costs)(shard.suite);
                let is_warm = self.warm.is_some_and(|warm| warm.run == shard.run && warm.suite == shard.suite);
                let cold = !is_warm || costs.batch >= costs.start;
                if cold {
                    self.warm = Some(Warm { run: shard.run, suite: shard.suite, file: None, group: None });
                }
                let cost = if is_warm { costs.batch } else { costs.start };
                self.busy_until = now + cost;
                continue;
            }
            let Some(work) = shard.rest.pop_front() else {
                entries.push(Entry::Released { token: shard.token });
                self.shards.pop_front();
                continue;
            };
            let costs = (play.costs)(shard.suite);
            let warm = self.warm.as_mut().expect("a shard that has begun has a process");
            let mut takes = (play.takes)(work.test);
            if warm.file != Some(work.file) {
                warm.file = Some(work.file);
                warm.group = None;
                takes += costs.file;
            }
            if work.group.is_some() && warm.group != work.group {
                warm.group = work.group;
                takes += costs.group;
            }
            let measured = scaled(takes, self.speed);
            takes += costs.test;
            entries.push(Entry::Started { token: shard.token, test: work.test });
            self.running = Some(Running { work, began: now, ends: now + scaled(takes, self.speed), takes: measured });
        }
        moved.asks = self.asks_now(now);
        moved.next = self.next(now, moved.asks);
        moved
    }

    /// Whether it is time to ask; it asks once.
    fn asks_now(&mut self, now: Time) -> bool {
        if self.asked || self.shards.len() > 1 || self.low_at(now) > now {
            return false;
        }
        self.asked = true;
        true
    }

    /// When little is left, by estimate.
    fn low_at(&self, now: Time) -> Time {
        let Some(shard) = self.shards.front() else { return now };
        let rest: Micros = shard.rest.iter().take(64).map(|work| work.estimate).sum();
        let end = match &self.running {
            Some(running) => now.max(running.began + running.work.estimate) + rest,
            None => now.max(self.busy_until) + rest,
        };
        Time(end.0.saturating_sub(LOW.0)).max(now)
    }

    fn next(&self, now: Time, asked: bool) -> Option<Time> {
        let works = match &self.running {
            Some(running) => Some(running.ends),
            None if self.shards.is_empty() => None,
            None => Some(self.busy_until),
        };
        let low = (!self.asked && !asked && self.shards.len() == 1).then(|| self.low_at(now)).filter(|&low| low > now);
        [works, low].into_iter().flatten().min()
    }
}

fn scaled(span: Micros, speed: u32) -> Micros {
    Micros(span.0.saturating_mul(1_000) / u64::from(speed.max(1)))
}

fn result(running: &Running) -> TestResult {
    TestResult {
        test: running.work.test,
        attempt: running.work.attempt,
        outcome: Outcome::Passed,
        nuance: Nuance::Plain,
        cause: None,
        exit: None,
        started: running.began,
        duration: running.takes,
        reason: None,
        output: None,
        observation: None,
    }
}
