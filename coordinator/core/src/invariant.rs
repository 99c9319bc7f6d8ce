//! What is always true of the state, checked as a whole. Tests of every kind call this after every step; production does
//! not, since each check visits everything.

use crate::event::Work;
use crate::state::{Discovery, Entry, File, Lease, Listed, Phase, Place, Queue, Run, State};
use regatta_domain::limits::{FENCED_TESTS, LEASES_PER_SLOT, REFUSED_PER_RUN};
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::{Cause, FileIx, GroupIx, Micros, NeedsIx, RunId, SuiteIx, TestIx, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Checks everything.
///
/// # Errors
/// The first rule that does not hold, in words.
pub fn check(state: &State) -> Result<(), String> {
    let mut slots: BTreeMap<_, BTreeSet<Token>> = BTreeMap::new();
    for (&token, lease) in state.leases.iter() {
        slots.entry((lease.worker, lease.slot)).or_default().insert(token);
        check_lease(state, token, lease)?;
    }
    ensure(slots == state.slots, || format!("slots are said to hold {:?}, and hold {slots:?}", state.slots))?;
    ensure(slots.values().all(|held| held.len() <= LEASES_PER_SLOT), || format!("a slot holds too much: {slots:?}"))?;
    check_seats(state)?;
    check_fenced(state)?;
    state.runs.values().try_for_each(|run| check_run(state, run))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// The seats that are taken are those that live leases hold, and every test of a lease needs what the lease holds.
fn check_seats(state: &State) -> Result<(), String> {
    let mut held: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    let mut items = BTreeSet::new();
    for (&token, lease) in state.leases.iter() {
        let run = &state.runs[&lease.run];
        for of in &lease.holds {
            *held.entry(Arc::clone(&of.resource)).or_default() += of.seats;
            for item in &of.items {
                let alone = items.insert((Arc::clone(&of.resource), Arc::clone(item)));
                ensure(alone, || format!("{item} of {} is held twice", of.resource))?;
                let holder = state.held.get(&of.resource).and_then(|holding| holding.items.get(item));
                ensure(holder == Some(&token), || format!("{item} is held by {token}, counted for {holder:?}"))?;
            }
        }
        let alike = lease.tests.iter().all(|&test| run.test(test).needs == lease.needs);
        let listed = matches!(lease.work, Work::List(..));
        ensure(alike || listed, || format!("lease {token} holds tests that need something else"))?;
        let names: BTreeSet<_> = run.needs_of(lease.needs).iter().map(|need| &need.resource).collect();
        let has: BTreeSet<_> = lease.holds.iter().map(|held| &held.resource).collect();
        ensure(names == has, || format!("lease {token} needs {names:?} and holds {has:?}"))?;
    }
    let counted = state.held.iter().map(|(name, holding)| (Arc::clone(name), holding.seats)).collect();
    ensure(held == counted, || format!("{held:?} are held, counted as {counted:?}"))
}

/// What is remembered of lost leases is of runs that are, of leases that are not, and bounded.
fn check_fenced(state: &State) -> Result<(), String> {
    let mut by_run: BTreeMap<RunId, usize> = BTreeMap::new();
    for (token, owed) in state.fenced.iter() {
        let over =
            !state.leases.contains_key(&token) && token <= state.last_token && state.runs.contains_key(&owed.run);
        ensure(over && !owed.tests.is_empty(), || format!("{token} was lost, and owes {owed:?}"))?;
        *by_run.entry(owed.run).or_default() += owed.tests.len();
    }
    let (sum, counted) = (by_run.values().sum::<usize>(), state.fenced.tests());
    ensure(sum == counted && sum <= FENCED_TESTS, || format!("lost leases owe {sum} tests, counted as {counted}"))?;
    by_run.into_iter().try_for_each(|(run, owed)| {
        let ever = state.fenced.remembered(run);
        ensure(owed <= ever && ever <= REFUSED_PER_RUN, || format!("{owed} of {ever} tests of run {run} are owed"))
    })
}

fn check_lease(state: &State, token: Token, lease: &Lease) -> Result<(), String> {
    ensure(token <= state.last_token, || format!("lease {token} is newer than the newest token"))?;
    let run = state.runs.get(&lease.run).ok_or_else(|| format!("lease {token} belongs to no run"))?;
    ensure(run.leases.contains(&token), || format!("run {} does not know lease {token}", run.id))?;
    ensure(!run.has_ended(), || format!("run {} ended under lease {token}", run.id))?;
    let open = lease.tests.iter().filter(|&&test| run.test(test).place == Place::Leased(token));
    let (count, left) = open.fold((0, Micros::ZERO), |(n, left), &test| (n + 1, left + run.test(test).takes()));
    ensure(count == lease.open, || format!("lease {token} counts {} open tests and has {count}", lease.open))?;
    ensure(left == lease.left, || format!("lease {token} has {left} left and says {}", lease.left))?;
    let distinct: BTreeSet<TestIx> = lease.tests.iter().copied().collect();
    ensure(distinct.len() == lease.tests.len(), || format!("lease {token} holds a test twice"))?;
    let listing = lease.files.iter().all(|&file| run.file(file).listed == Listed::Leased(token));
    ensure(listing, || format!("lease {token} lists a file that is not leased to it"))?;
    if let Work::Again(_, test) = lease.work {
        let idle = lease.open == 0 && lease.needs == NeedsIx(0) && run.test(test).place != Place::Leased(token);
        ensure(idle, || format!("lease {token} runs {test} a second time, and holds it"))?;
    }
    let discovers = run.suite(lease.work.suite()).discovery == Discovery::Leased(token);
    ensure(lease.discovering == discovers, || format!("lease {token} and its suite differ on discovery"))?;
    ensure(!lease.discovering || matches!(lease.work, Work::Discover(_)), || format!("lease {token} discovers unasked"))
}

fn check_run(state: &State, run: &Run) -> Result<(), String> {
    let name = run.id;
    ensure(run.leases.iter().all(|token| state.leases.contains_key(token)), || format!("run {name} has a dead lease"))?;
    if let Phase::Ended(outcome) = run.phase {
        return check_ended(run, outcome);
    }
    check_tests(state, run)?;
    check_files(state, run)?;
    check_twins(state, run)?;
    check_queues(run)?;
    ensure(run.retries <= run.policy.max_retries, || format!("run {name} spent {} retries", run.retries))?;
    let closes = matches!(run.phase, Phase::Closing(_));
    ensure(!closes || run.is_settled(), || format!("run {name} closes with work left"))
}

/// Every test is in one place, and every count agrees.
fn check_tests(state: &State, run: &Run) -> Result<(), String> {
    let mut counts = Counts::default();
    let mut open = 0;
    let mut delayed = BTreeSet::new();
    for (at, test) in run.tests.iter().enumerate() {
        let ix = TestIx::nth(at);
        open += u32::from(test.is_open());
        match test.place {
            Place::Done(verdict) => counts.add(verdict),
            Place::Delayed(until) => {
                delayed.insert((until, ix));
            }
            Place::Leased(token) => {
                let holds = state.leases.get(&token).is_some_and(|lease| lease.tests.contains(&ix));
                ensure(holds, || format!("test {ix} is leased under {token}, which does not hold it"))?;
            }
            Place::Waiting | Place::Gone => {}
        }
        check_spent(run, ix)?;
    }
    ensure(counts == run.counts, || format!("the verdicts are {counts:?}, counted as {:?}", run.counts))?;
    ensure(open == run.open, || format!("{open} tests are open, counted as {}", run.open))?;
    ensure(delayed == run.delayed, || format!("{delayed:?} are delayed, noted as {:?}", run.delayed))
}

/// Every attempt that came to nothing is counted for one cause, and no cause is counted more often than it may, and once more.
fn check_spent(run: &Run, ix: TestIx) -> Result<(), String> {
    let (test, spent) = (run.test(ix), run.spent.get(&ix).copied().unwrap_or_default());
    let (total, in_vain) = (spent.total(), u32::from(test.failures) + u32::from(test.losses));
    ensure(total == in_vain, || format!("test {ix} came to nothing {in_vain} times, counted as {total}"))?;
    Cause::ALL.into_iter().try_for_each(|cause| {
        let (spent, budget) = (spent.of(cause), run.budget(ix, cause));
        ensure(spent <= budget.saturating_add(1), || format!("test {ix} spent {spent} of {budget} on {cause}"))
    })
}

/// A test that runs a second time stands under another live lease, and both are this run's.
fn check_twins(state: &State, run: &Run) -> Result<(), String> {
    for (&test, twin) in &run.twins {
        let second = state.leases.get(twin).is_some_and(|lease| lease.run == run.id && lease.tests == [test]);
        let first = matches!(run.test(test).place, Place::Leased(token) if token != *twin);
        ensure(first && second, || {
            format!("{test} runs a second time under {twin}, and stands at {:?}", run.test(test))
        })?;
    }
    Ok(())
}

fn check_files(state: &State, run: &Run) -> Result<(), String> {
    for (at, file) in run.files.iter().enumerate() {
        if let Listed::Leased(token) = file.listed {
            let holds = state.leases.get(&token).is_some_and(|lease| lease.files.contains(&FileIx::nth(at)));
            ensure(holds, || format!("file {at} is listed under {token}, which does not know"))?;
        }
    }
    let files = run.files.iter().filter(|file| file.is_open()).count();
    let suites = run.suites.iter().filter(|suite| suite.discovery != Discovery::Done).count();
    ensure(files + suites == run.unlisted as usize, || {
        format!("{files} files and {suites} suites are to be listed, counted as {}", run.unlisted)
    })
}

/// The queues hold exactly what waits, and every resource knows what waits for it.
fn check_queues(run: &Run) -> Result<(), String> {
    let left: Micros = run.suites.iter().flat_map(|suite| suite.queues.values()).map(Queue::left).sum();
    ensure(left == run.waiting(), || format!("{left} wait, counted as {}", run.waiting()))?;
    let mut rivals = vec![BTreeSet::new(); run.resources.len()];
    for (at, suite) in run.suites.iter().enumerate() {
        for &needs in suite.queues.keys() {
            run.parts(needs).for_each(|(_, ix)| _ = rivals[ix.at()].insert((SuiteIx::nth(at), needs)));
        }
    }
    let known: Vec<_> = run.demands.iter().map(|demand| demand.queues.clone()).collect();
    ensure(rivals == known, || format!("{rivals:?} wait for resources, noted as {known:?}"))?;
    for (at, suite) in run.suites.iter().enumerate() {
        let ix = SuiteIx::nth(at);
        let queued: BTreeSet<Entry> = suite.queues.values().flat_map(Queue::iter).collect();
        let mut waits = BTreeSet::new();
        if suite.discovery == Discovery::Waiting {
            waits.insert(Entry::Discover(ix));
        }
        let mine = |file: &&File| file.suite == ix;
        let waiting = |file: &File| file.listed == Listed::Waiting;
        waits.extend(
            run.files
                .iter()
                .enumerate()
                .filter(|(_, f)| mine(f) && waiting(f))
                .map(|(f, _)| Entry::File(FileIx::nth(f))),
        );
        for (g, group) in run.groups.iter().enumerate().filter(|(_, group)| run.file(group.file).suite == ix) {
            let tests = group.tests.iter().filter(|&test| run.test(test).place == Place::Waiting);
            let (count, estimate) = tests.fold((0, Micros::ZERO), |(n, sum), t| (n + 1, sum + run.test(t).takes()));
            let agrees = count == group.waiting && estimate == group.estimate;
            let alike = group.tests.iter().all(|test| run.test(test).needs == group.needs);
            ensure(alike, || format!("group {g} holds tests that need something else"))?;
            ensure(agrees, || format!("group {g} has {count} waiting, {estimate}, and says {group:?}"))?;
            if count > 0 {
                waits.insert(Entry::Group(GroupIx::nth(g)));
            }
        }
        ensure(queued == waits, || format!("suite {at} queues {queued:?}, and {waits:?} wait"))?;
    }
    Ok(())
}

/// An ended run has no work left, has dropped what it was made of, and is green only if its counts are.
fn check_ended(run: &Run, outcome: RunOutcome) -> Result<(), String> {
    let name = run.id;
    let left = run.waiting() != Micros::ZERO || !run.delayed.is_empty() || !run.twins.is_empty();
    ensure(run.is_settled() && !left, || format!("run {name} ended with work left"))?;
    let kept = [run.files.len(), run.groups.len(), run.tests.len(), run.spent.len()];
    ensure(kept == [0; 4], || format!("run {name} ended, and keeps what it was made of: {kept:?}"))?;
    let unstable = run.policy.flaky_fails && run.counts.flaky > 0;
    let green = run.errors_total == 0 && run.cancelled.is_none() && run.counts.red() == 0 && !unstable;
    ensure(outcome != RunOutcome::Green || green, || format!("run {name} is called green, and is not"))
}

/// Completeness: a run that ends has exactly one verdict for each test of its plan, and is green only if all are.
///
/// # Errors
/// The first rule that does not hold, in words.
pub(crate) fn completes(run: &Run, outcome: RunOutcome) -> Result<(), String> {
    let name = run.id;
    ensure(run.is_settled(), || format!("run {name} ends with work left"))?;
    let mut counts = Counts::default();
    for (at, test) in run.tests.iter().enumerate().filter(|(_, test)| test.place != Place::Gone) {
        let Place::Done(verdict) = test.place else {
            return Err(format!("run {name} ends, and test {at} has no verdict"));
        };
        counts.add(verdict);
        let tolerated = outcome != RunOutcome::Green || run.policy.tolerates(verdict);
        ensure(tolerated, || format!("run {name} is called green, and test {at} is {verdict:?}"))?;
    }
    ensure(counts == run.counts, || format!("run {name} ends with {counts:?}, counted as {:?}", run.counts))
}
