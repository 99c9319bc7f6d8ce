//! How much a slot still has to do, as far as anybody knows: decides when it asks for its next shard.
//!
//! Too early, and a long test of the next shard waits behind this one while another slot is idle; too late, and the slot
//! is idle for a round trip. So it asks when about a round trip's worth of work is left.

use crate::runner::{Numbered, Shard, Tell, TestWork, Work};
use regatta_domain::{Micros, TestIx};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Work that is left when a slot asks: a few round trips to a coordinator near by.
const LOW: Duration = Duration::from_millis(20);

/// A file that is not listed yet: nobody knows what it holds, so there is enough to do.
const UNLISTED: Duration = Duration::from_secs(1);

/// What a shard still holds.
#[derive(Debug)]
pub(super) struct Load {
    unlisted: usize,
    waiting: BTreeMap<TestIx, Micros>,
    sum: Micros,
    running: Option<(TestIx, Micros, Instant)>,
}

impl Load {
    pub(super) fn of(shard: &Shard) -> Self {
        let mut load = Self { unlisted: 0, waiting: BTreeMap::new(), sum: Micros::ZERO, running: None };
        match &shard.work {
            Work::Discover => load.unlisted = 1,
            Work::Files(files) => {
                for file in files {
                    match &file.tests {
                        Some(tests) => load.expect(tests),
                        None => load.unlisted += 1,
                    }
                }
            }
        }
        load
    }

    /// A listed file brought tests.
    pub(super) fn add(&mut self, numbered: &Numbered) {
        self.unlisted = self.unlisted.saturating_sub(1);
        self.expect(&numbered.tests);
    }

    fn expect(&mut self, tests: &[TestWork]) {
        for test in tests {
            if self.running.is_none_or(|(running, ..)| running != test.test)
                && self.waiting.insert(test.test, test.estimate).is_none()
            {
                self.sum += test.estimate;
            }
        }
    }

    fn take(&mut self, test: TestIx) -> Option<Micros> {
        let estimate = self.waiting.remove(&test)?;
        self.sum = self.sum.saturating_sub(estimate);
        Some(estimate)
    }

    pub(super) fn note(&mut self, tell: &Tell) {
        match tell {
            Tell::Started { test, .. } => {
                if let Some(estimate) = self.take(*test) {
                    self.running = Some((*test, estimate, Instant::now()));
                }
            }
            Tell::Finished(finished) => {
                self.take(finished.test);
                if self.running.is_some_and(|(running, ..)| running == finished.test) {
                    self.running = None;
                }
            }
            Tell::GaveBack(tests) => {
                for &test in tests {
                    self.take(test);
                }
            }
            Tell::Error { file: Some(_), .. } => self.unlisted = self.unlisted.saturating_sub(1),
            Tell::Discovered(_) => self.unlisted = 0,
            Tell::Listed { .. } | Tell::Error { .. } | Tell::Note(_) => {}
        }
    }

    /// When little will be left, if all goes as estimated.
    pub(super) fn runs_low_at(&self) -> Instant {
        let now = Instant::now();
        let waiting = Duration::from(self.sum) + UNLISTED * u32::try_from(self.unlisted).unwrap_or(u32::MAX);
        let end = match self.running {
            Some((_, estimate, since)) => now.max(since + Duration::from(estimate)) + waiting,
            None => now + waiting,
        };
        end.checked_sub(LOW).unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::policy::TestPolicy;
    use regatta_domain::{FileIx, FileKey, Level, Token};
    use std::sync::Arc;

    fn shard(estimates_ms: &[u64]) -> Shard {
        let policy = Arc::new(TestPolicy::default());
        let tests = estimates_ms.iter().enumerate().map(|(at, &ms)| TestWork {
            test: TestIx::nth(at),
            attempt: 1,
            name: "t".into(),
            estimate: Micros::from_ms(ms),
            policy: Arc::clone(&policy),
            level: Level::None,
        });
        let file = crate::runner::FileWork {
            file: FileIx(0),
            path: "f".into(),
            key: FileKey::default(),
            locator: "".into(),
            remembered: 0,
            tests: Some(tests.collect()),
        };
        Shard { token: Token(1), holds: Vec::new(), work: Work::Files(vec![file]) }
    }

    #[test]
    fn a_slot_asks_only_when_its_work_runs_low() {
        let mut load = Load::of(&shard(&[60_000, 1]));
        assert!(load.runs_low_at() > Instant::now() + Duration::from_secs(50));
        load.note(&Tell::GaveBack(vec![TestIx(0)]));
        assert!(load.runs_low_at() <= Instant::now());
    }

    #[test]
    fn a_running_test_counts_with_what_is_left_of_its_estimate() {
        let mut load = Load::of(&shard(&[60_000]));
        load.note(&Tell::Started { test: TestIx(0), attempt: 1 });
        assert!(load.runs_low_at() > Instant::now() + Duration::from_secs(50));
    }
}
