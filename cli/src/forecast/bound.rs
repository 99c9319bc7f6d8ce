//! What nobody can beat on so many slots, and what it is made of.

use super::Prospect;
use regatta_domain::{Micros, Resource, TestIx};
use std::collections::BTreeMap;

/// The least time that a plan takes on so many slots, whoever schedules it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// The first process has to start before anything runs.
    pub(crate) start: Micros,
    /// All tests, with what each costs beside itself, over the slots.
    pub(crate) work: Micros,
    /// The longest test.
    pub(crate) longest: Option<(TestIx, Micros)>,
    /// The resource that is busy longest: the work behind it, over its seats.
    pub(crate) resource: Option<(String, Micros)>,
}

/// What a bound is bound by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binds {
    /// There is that much to do.
    Work(Micros),
    /// One test takes that long.
    Test(TestIx, Micros),
    /// What is behind a resource takes that long.
    Resource(String, Micros),
}

impl Bound {
    /// The bound of a plan on so many slots.
    pub(super) fn of(prospect: &Prospect, slots: u32) -> Self {
        let tests = || prospect.tests();
        let work: Micros = tests().map(|test| test.takes + test.costs.test).sum();
        let longest = tests()
            .map(|test| (test.takes + test.costs.test, test.ix))
            .max_by_key(|&(takes, ix)| (takes, std::cmp::Reverse(ix)));
        let start = tests().map(|test| test.costs.start).min().unwrap_or_default();
        let mut behind: BTreeMap<&str, u64> = BTreeMap::new();
        for test in tests() {
            for need in test.needs {
                let total = prospect.fleet.resources.get(&need.resource).map_or(1, Resource::total);
                let busy = behind.entry(&need.resource).or_default();
                *busy = busy.saturating_add(test.takes.0.saturating_mul(need.of(total.max(1)).into()));
            }
        }
        let resources = behind.into_iter().map(|(name, busy)| {
            let seats = prospect.fleet.resources.get(name).map_or(1, Resource::total).max(1);
            (name.to_owned(), Micros(busy / u64::from(seats)))
        });
        Self {
            start,
            work: work / u64::from(slots.max(1)),
            longest: longest.map(|(takes, ix)| (ix, takes)),
            resource: resources.max_by_key(|(_, busy)| *busy),
        }
    }

    /// The least time.
    pub(crate) fn least(&self) -> Micros {
        self.start + self.work.max(self.however_many())
    }

    /// What holds on any number of slots, beside the start.
    pub(super) fn however_many(&self) -> Micros {
        let longest = self.longest.map_or(Micros::ZERO, |(_, takes)| takes);
        longest.max(self.resource.as_ref().map_or(Micros::ZERO, |(_, busy)| *busy))
    }

    /// What it is that binds.
    pub(crate) fn binds(&self) -> Binds {
        if self.work >= self.however_many() {
            return Binds::Work(self.work);
        }
        self.firm().unwrap_or(Binds::Work(self.work))
    }

    /// What binds on any number of slots.
    pub(crate) fn firm(&self) -> Option<Binds> {
        match (&self.resource, self.longest) {
            (Some((name, busy)), longest) if longest.is_none_or(|(_, takes)| *busy > takes) => {
                Some(Binds::Resource(name.clone(), *busy))
            }
            (_, longest) => longest.map(|(test, takes)| Binds::Test(test, takes)),
        }
    }
}
