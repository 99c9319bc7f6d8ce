//! What `--order risk` puts first: as much as does not delay the end.
//!
//! Tests that go first for another reason than their length add at most what they take together, over the slots, to a
//! longest-first schedule. So they may take a tenth of all work: the end comes at most a tenth later, plus the longest of
//! them.

use regatta_domain::Micros;
use regatta_domain::policy::Order;
use regatta_domain::submission::{SuiteDraft, TestDraft};

/// The part of all work that may go first because it is likely to fail.
const PART: u64 = 10;

/// Leaves a risk to those tests that go first by it: the likeliest to fail, and of those the shortest, until they take
/// together a tenth of everything. In a run that goes by length, every risk stays as it is: nothing is ordered by it.
pub(super) fn limit(order: Order, suites: &mut [SuiteDraft]) {
    if order != Order::Risk {
        return;
    }
    let mut all: Vec<&mut TestDraft> =
        suites.iter_mut().flat_map(|suite| &mut suite.files).filter_map(|file| file.tests.as_mut()).flatten().collect();
    let total: Micros = all.iter().map(|test| test.estimate.mean).sum();
    all.sort_by_key(|test| (std::cmp::Reverse(test.risk), test.estimate.mean));
    let mut first = Micros::ZERO;
    for test in all {
        first += test.estimate.mean;
        if first > total / PART {
            test.risk = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::plan::PlannedSuite;
    use regatta_domain::submission::FileDraft;
    use regatta_domain::{Costs, Estimate, FileKey, Level, NeedsIx, PolicyIx, RunnerKind, TestKey};

    fn suite(tests: &[(u64, u16)]) -> SuiteDraft {
        let draft = |&(ms, risk): &(u64, u16)| TestDraft {
            name: format!("{ms}").into(),
            line: 0,
            key: TestKey::default(),
            group: None,
            estimate: Estimate::own(Micros::from_ms(ms)),
            risk,
            needs: NeedsIx(0),
            policy: PolicyIx(0),
            level: Level::None,
            ignored: false,
        };
        let file = FileDraft {
            path: "a".into(),
            key: FileKey::default(),
            locator: "".into(),
            estimate: Micros::ZERO,
            tests: Some(tests.iter().map(draft).collect()),
            digest: 1,
        };
        let suite = PlannedSuite {
            name: "s".into(),
            runner: RunnerKind::Exec,
            root: "".into(),
            settings: "{}".into(),
            requires: Vec::new(),
            env: Vec::new(),
            databases: Vec::new(),
        };
        SuiteDraft { suite, costs: Costs::default(), discover: false, files: vec![file] }
    }

    fn risks(order: Order, tests: &[(u64, u16)]) -> Vec<u16> {
        let mut suites = vec![suite(tests)];
        limit(order, &mut suites);
        suites[0].files[0].tests.iter().flatten().map(|test| test.risk).collect()
    }

    #[test]
    fn the_likeliest_to_fail_go_first_until_they_are_a_tenth_of_all() {
        let tests = [(900, 0), (40, 500), (50, 900), (20, 500), (90, 100)];
        // A tenth of 1,100 ms: 50 and 20 and 40 fit, 90 does not.
        assert_eq!(risks(Order::Risk, &tests), [0, 500, 900, 500, 0]);
        assert_eq!(risks(Order::Longest, &tests), [0, 500, 900, 500, 100]);
    }
}
