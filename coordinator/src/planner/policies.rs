//! Which rules a test runs under: of each rule, what the first override says that selects the test.
//!
//! The rules of a run are fixed when it is handed in, and tests point at them; so every combination that overrides can
//! make is laid out at once. There are few: each override has a say in few rules.

use super::selection;
use regatta_domain::database::PlannedDatabase;
use regatta_domain::filter::{Filter, Subject};
use regatta_domain::policy::TestPolicy;
use regatta_domain::{Level, Need, Needs, NeedsIx, PolicyIx, SuiteIx};
use regatta_wire::submission::Override;
use regatta_wire::{Invalid, Why};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Combinations that a run may hold.
const POLICIES: usize = 4_096;

/// The rules of a run. The first of them are those of a test that no override selects.
#[derive(Debug)]
pub(super) struct Policies {
    base: TestPolicy,
    overrides: Vec<(Filter, Override)>,
    all: Vec<TestPolicy>,
    places: HashMap<TestPolicy, PolicyIx>,
    needs: Vec<Needs>,
    /// What tests need that also need the databases of a suite, by what they need else.
    with_databases: HashMap<(NeedsIx, SuiteIx), NeedsIx>,
}

/// What a test runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) policy: PolicyIx,
    /// Its level, where an override says it.
    pub(super) level: Option<Level>,
    /// What it needs beside a slot.
    pub(super) needs: NeedsIx,
}

impl Policies {
    /// The rules of a run whose suites use these databases.
    pub(super) fn new(
        base: TestPolicy,
        overrides: &[Override],
        databases: &[&[PlannedDatabase]],
    ) -> Result<Self, Invalid> {
        let parse = |(at, other): (usize, &Override)| {
            let filter = selection::parse(&format!("overrides[{at}].filter"), &other.filter)?;
            Ok((filter, other.clone()))
        };
        let overrides: Vec<(Filter, Override)> = overrides.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        let all = combinations(&base, overrides.iter().map(|(_, other)| other))?;
        let places = all.iter().enumerate().map(|(at, policy)| (policy.clone(), PolicyIx::nth(at))).collect();
        let mut needs: Vec<Needs> = Vec::new();
        for (_, other) in overrides.iter().filter(|(_, other)| !other.needs.is_empty()) {
            if !needs.contains(&other.needs) {
                needs.push(other.needs.clone());
            }
        }
        let with_databases = lay_out(&mut needs, databases);
        Ok(Self { base, overrides, all, places, needs, with_databases })
    }

    /// What a test needs that also needs the databases of its suite.
    pub(super) fn with_databases(&self, needs: NeedsIx, suite: SuiteIx) -> NeedsIx {
        self.with_databases.get(&(needs, suite)).copied().unwrap_or(needs)
    }

    /// All of them, for a submission.
    pub(super) fn all(&self) -> &[TestPolicy] {
        &self.all
    }

    /// Everything that tests may need, for a submission.
    pub(super) fn needs(&self) -> &[Needs] {
        &self.needs
    }

    /// Whether filters are asked at all, and a subject needs its id.
    pub(super) const fn asks(&self) -> bool {
        !self.overrides.is_empty()
    }

    pub(super) fn of(&self, subject: &Subject<'_>) -> Rules {
        if self.overrides.is_empty() {
            return Rules { policy: PolicyIx::default(), level: None, needs: NeedsIx::default() };
        }
        let selecting = self.overrides.iter().filter(|(filter, _)| filter.matches(subject));
        let said = selecting.fold(Override::default(), |said, (_, other)| add(said, other));
        let policy = apply(&self.base, &said);
        let policy = *self.places.get(&policy).expect("every combination of overrides was laid out");
        let needs = self.needs.iter().position(|needs| *needs == said.needs).map_or(0, |at| at + 1);
        Rules { policy, level: said.level, needs: NeedsIx::nth(needs) }
    }
}

/// Adds to `needs` what tests need beside each of them that use the databases of a suite: a seat of each.
fn lay_out(needs: &mut Vec<Needs>, databases: &[&[PlannedDatabase]]) -> HashMap<(NeedsIx, SuiteIx), NeedsIx> {
    let mut places = HashMap::new();
    let plain = needs.len();
    for (at, databases) in databases.iter().enumerate().filter(|(_, databases)| !databases.is_empty()) {
        let seats = databases.iter().map(|database| Need::new(Arc::clone(&database.resource), 1));
        let seats: Vec<Need> = seats.collect();
        for base in 0..=plain {
            let others = base.checked_sub(1).map(|at| needs[at].clone()).unwrap_or_default();
            let all = Needs::all(others.iter().cloned().chain(seats.iter().cloned()));
            let place = needs.iter().position(|known| *known == all).unwrap_or_else(|| {
                needs.push(all);
                needs.len() - 1
            });
            places.insert((NeedsIx::nth(base), SuiteIx::nth(at)), NeedsIx::nth(place + 1));
        }
    }
    places
}

/// What overrides say together: the earlier one has the say.
fn add(said: Override, other: &Override) -> Override {
    Override {
        filter: String::new(),
        timeout: said.timeout.or(other.timeout),
        grace: said.grace.or(other.grace),
        slow: said.slow.or(other.slow),
        retries: said.retries.or(other.retries),
        level: said.level.or(other.level),
        needs: if said.needs.is_empty() { other.needs.clone() } else { said.needs },
    }
}

fn apply(base: &TestPolicy, said: &Override) -> TestPolicy {
    TestPolicy {
        timeout: said.timeout.unwrap_or(base.timeout),
        grace: said.grace.unwrap_or(base.grace),
        slow: said.slow.unwrap_or(base.slow),
        retries: said.retries.unwrap_or(base.retries),
        budgets: base.budgets,
        ..base.clone()
    }
}

/// Every combination that some tests might be under, the base first.
fn combinations<'a>(
    base: &TestPolicy,
    overrides: impl Iterator<Item = &'a Override>,
) -> Result<Vec<TestPolicy>, Invalid> {
    type Said = (Option<u64>, Option<u64>, Option<u64>, Option<u16>);
    let rules = |said: &Override| -> Said {
        let micros = |span: Option<regatta_domain::Micros>| span.map(|span| span.0);
        (micros(said.timeout), micros(said.grace), micros(said.slow), said.retries)
    };
    let mut seen: BTreeSet<Said> = BTreeSet::from([Said::default()]);
    let mut all = vec![Override::default()];
    for other in overrides {
        let more: Vec<Override> = all.iter().map(|said| add(said.clone(), other)).collect();
        all.extend(more.into_iter().filter(|said| seen.insert(rules(said))));
        if all.len() > POLICIES {
            let why =
                format!("make more than {POLICIES} different combinations of rules; let them say less, or merge some");
            return Err(Invalid::new("overrides", Why::Other(why)));
        }
    }
    let mut places = HashMap::new();
    let mut policies = Vec::new();
    for policy in all.iter().map(|said| apply(base, said)) {
        places.entry(policy.clone()).or_insert_with(|| policies.push(policy));
    }
    Ok(policies)
}
