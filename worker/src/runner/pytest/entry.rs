//! The files of a shard, and how far each has come.

use super::message::Row;
use crate::runner::{FileWork, TestWork};
use regatta_domain::listing::ListedTest;
use regatta_domain::{FileIx, TestIx};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A file of a shard.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) file: FileIx,
    pub(super) path: Arc<str>,
    /// See [`FileWork::remembered`]; 0 from the moment when the coordinator has the listing of this run.
    pub(super) remembered: u64,
    pub(super) phase: Phase,
    /// Its tests that were neither sent to a host nor given back, in order.
    pub(super) unsent: VecDeque<TestWork>,
    /// What has been heard of its listing so far.
    pub(super) names: Vec<Arc<str>>,
    pub(super) rows: Vec<Row>,
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The host does not know it. `list` when its tests are to be told, and not only to be run.
    Waiting { list: bool },
    /// The host was asked for it, under this number.
    Collecting { n: u32, list: bool },
    /// Its listing was told: the coordinator says what is to run.
    Told,
    /// Its tests can be run, under this number.
    Ready { n: u32 },
    /// There is nothing left to do.
    Over,
}

impl Entry {
    pub(super) fn new(work: FileWork) -> Self {
        let list = work.tests.is_none();
        Self {
            file: work.file,
            path: work.path,
            remembered: work.remembered,
            phase: Phase::Waiting { list },
            unsent: work.tests.unwrap_or_default().into(),
            names: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Whether something of it is left to do, now or once the coordinator has answered.
    pub(super) fn is_open(&self) -> bool {
        match self.phase {
            Phase::Waiting { list } => list || !self.unsent.is_empty(),
            Phase::Collecting { .. } | Phase::Told => true,
            Phase::Ready { .. } => !self.unsent.is_empty(),
            Phase::Over => false,
        }
    }

    /// Nothing of it is to be done any more.
    pub(super) fn close(&mut self) {
        self.phase = Phase::Over;
        self.unsent.clear();
    }

    /// The host is gone, and with it what it knew.
    pub(super) fn forget_host(&mut self) {
        self.names.clear();
        self.rows.clear();
        self.phase = match self.phase {
            Phase::Collecting { list, .. } => Phase::Waiting { list },
            Phase::Ready { .. } => Phase::Waiting { list: false },
            phase => phase,
        };
    }

    /// The rows heard as tests; `Err` says what is wrong with one.
    pub(super) fn take_listing(&mut self) -> Result<Vec<ListedTest>, String> {
        let rows = std::mem::take(&mut self.rows);
        rows.into_iter().map(Row::listed).collect::<Result<_, _>>().map_err(|(name, level)| {
            format!(
                "the marker of `{name}` names no level: `regatta(level=\"{level}\")`; the levels are none, read, transaction, \
                 isolated, exclusive"
            )
        })
    }
}

/// All of `tests`, taken out of `entries`; or none where one of them was sent already.
pub(super) fn give_back(entries: &mut [Entry], tests: Vec<TestIx>) -> Vec<TestIx> {
    let wanted: BTreeSet<TestIx> = tests.iter().copied().collect();
    let here = entries.iter().flat_map(|entry| &entry.unsent).filter(|test| wanted.contains(&test.test)).count();
    if here < wanted.len() {
        return Vec::new();
    }
    for entry in entries {
        entry.unsent.retain(|test| !wanted.contains(&test.test));
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::policy::TestPolicy;
    use regatta_domain::{FileKey, Level, Micros};

    fn entry(tests: Option<&[u32]>) -> Entry {
        let test = |ix: &u32| TestWork {
            test: TestIx(*ix),
            attempt: 1,
            name: "t".into(),
            estimate: Micros::ZERO,
            policy: Arc::new(TestPolicy::default()),
            level: Level::None,
        };
        Entry::new(FileWork {
            file: FileIx(0),
            path: "a.py".into(),
            key: FileKey::default(),
            locator: "".into(),
            remembered: 0,
            tests: tests.map(|tests| tests.iter().map(test).collect()),
        })
    }

    #[test]
    fn tests_are_given_back_all_or_none() {
        let mut entries = vec![entry(Some(&[1, 2])), entry(Some(&[3])), entry(None)];
        assert!(give_back(&mut entries, vec![TestIx(1), TestIx(9)]).is_empty());
        assert_eq!(entries[0].unsent.len(), 2);
        assert_eq!(give_back(&mut entries, vec![TestIx(1), TestIx(3)]), [TestIx(1), TestIx(3)]);
        let open: Vec<bool> = entries.iter().map(Entry::is_open).collect();
        assert_eq!(open, [true, false, true]);
    }

    #[test]
    fn a_file_that_a_dead_host_knew_waits_for_the_next_one() {
        let mut entry = entry(Some(&[1]));
        for (phase, after) in [
            (Phase::Ready { n: 3 }, Phase::Waiting { list: false }),
            (Phase::Collecting { n: 3, list: true }, Phase::Waiting { list: true }),
            (Phase::Told, Phase::Told),
            (Phase::Over, Phase::Over),
        ] {
            entry.phase = phase;
            entry.forget_host();
            assert_eq!(entry.phase, after);
        }
    }
}
