//! The fold: one function an event. It decides nothing; what an event means was chosen when it was recorded.

use super::State;
use super::file::Listed;
use super::lease::{Lease, Leases};
use super::observed::Observed;
use super::run::{Discovery, Phase, Run, Suite};
use super::shift::{
    Queueing, add_file, add_test, back, close_file, drop_queue, drop_waiting, observe, queue_discovery, queue_groups,
    reopen_discovery, reopen_file, shift, unqueue_discovery, unqueue_file,
};
use super::test::Place;
use crate::event::{Accepted, Blamed, Blameless, Event, LeaseEnd, Then, Work};
use crate::mutant::{self, Mutant};
use regatta_domain::limits::ERRORS_PER_RUN;
use regatta_domain::result::RunError;
use regatta_domain::submission::{FileDraft, Submission, TestDraft};
use regatta_domain::{
    FileIx, Held, Micros, NeedsIx, Outcome, RunId, SlotIx, SuiteIx, TestIx, Time, Token, Verdict, WorkerId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn fold(state: &mut State, event: &Event) {
    match event {
        Event::RunSubmitted { at, submission } => submitted(state, *at, submission),
        Event::SuiteDiscovered { run, suite, files, gone } => discovered(state, *run, *suite, files, gone),
        Event::FileListed { run, token, file, tests, gone } => listed(state, *run, *token, *file, tests, gone),
        Event::FileFailed { run, token, file, gone, error } => file_failed(state, *run, *token, *file, gone, error),
        Event::RunErred { run, suite, error } => erred(state, *run, *suite, error),
        Event::ShardLeased { at, run, token, worker, slot, work, holds } => {
            leased(state, *at, (*run, *token), (*worker, *slot), work, holds);
        }
        Event::ResultsAccepted { run, token, results } => accepted(state, *run, *token, results),
        Event::ResultsRefused { token, results, .. } => {
            state.fenced.refuse(*token, results.iter().map(|refused| refused.test));
        }
        Event::TestsGivenBack { run, token, tests } => given_back(state, *run, *token, tests),
        Event::LeaseEnded { at, run, token, cause, blamed } => {
            lease_ended(state, *at, (*run, *token), *cause, *blamed);
        }
        Event::WaitGivenUp { run, suite, needs, error } => {
            let (run, leases) = live(state, *run);
            keep_error(run, error);
            drop_queue(run, leases, *suite, *needs);
        }
        Event::RunCancelled { run, cause, kill, .. } => {
            let (run, leases) = live(state, *run);
            run.cancelled.get_or_insert(*cause);
            run.kill |= *kill;
            let suites = if mutant::is(Mutant::CancelKeepsWaiting) { 1 } else { run.suites.len() };
            for suite in 0..suites {
                drop_waiting(run, leases, SuiteIx::nth(suite));
            }
        }
        Event::RunClosing { run } => {
            let (run, _) = live(state, *run);
            run.phase = Phase::Closing(run.served.clone());
        }
        Event::WorkerClosed { run, worker } => {
            let (run, _) = live(state, *run);
            if let Phase::Closing(waiting) = &mut run.phase {
                waiting.remove(worker);
            }
        }
        Event::RunEnded { run, outcome, .. } => live(state, *run).0.end(*outcome),
        Event::RunForgotten { run } => {
            state.runs.remove(run);
            state.fenced.forget(*run);
        }
    }
}

/// The run that an event speaks of, and the leases beside it.
fn live(state: &mut State, run: RunId) -> (&mut Run, &mut Leases) {
    let run = state.runs.get_mut(&run).expect("events of a run follow its submission");
    (run, &mut state.leases)
}

fn submitted(state: &mut State, at: Time, submission: &Submission) {
    let mut run = Run::new(submission, at);
    for draft in &submission.suites {
        let suite = SuiteIx::nth(run.suites.len());
        let discovery = if draft.discover { Discovery::Waiting } else { Discovery::Done };
        run.suites.push(Suite {
            suite: draft.suite.clone(),
            costs: draft.costs,
            discovery,
            losses: 0,
            queues: BTreeMap::new(),
            observed: Observed::default(),
            failed: false,
            fruitless: 0,
        });
        if draft.discover {
            run.unlisted += 1;
            queue_discovery(&mut run, suite);
        }
        for file in &draft.files {
            add_file(&mut run, &mut state.leases, suite, file, Queueing::Later);
        }
    }
    queue_groups(&mut run);
    state.runs.insert(run.id, run);
}

fn discovered(state: &mut State, run: RunId, suite: SuiteIx, files: &[FileDraft], gone: &[FileIx]) {
    let (run, leases) = live(state, run);
    if let Discovery::Leased(token) = run.suite(suite).discovery
        && let Some(lease) = leases.get_mut(token)
    {
        lease.discovering = false;
        lease.fruitful = true;
    }
    if run.suite(suite).discovery == Discovery::Waiting {
        unqueue_discovery(run, suite);
    }
    if run.suite(suite).discovery != Discovery::Done {
        run.unlisted -= 1;
    }
    run.suites[suite.at()].discovery = Discovery::Done;
    run.suites[suite.at()].fruitless = 0;
    for &file in gone {
        close_file(run, file, Listed::Gone);
        for test in run.file(file).tests.clone() {
            if matches!(run.test(test).place, Place::Waiting | Place::Delayed(_)) {
                shift(run, leases, test, Place::Gone);
            }
        }
    }
    for file in files {
        add_file(run, leases, suite, file, Queueing::Now);
    }
}

fn listed(state: &mut State, run: RunId, token: Token, file: FileIx, tests: &[TestDraft], gone: &[TestIx]) {
    let (run, leases) = live(state, run);
    finish_listing(run, leases, token, file, Listed::Collected);
    for &test in gone {
        shift(run, leases, test, Place::Gone);
    }
    let place = match leases.get(&token) {
        _ if run.is_over(run.file(file).suite) => Place::Done(Verdict::NotRun),
        Some(_) => Place::Leased(token),
        None => Place::Waiting,
    };
    for draft in tests {
        // What needs resources waits for them: the lease that found it holds none.
        let holds = leases.get(&token).is_some_and(|lease| lease.needs == draft.needs);
        let place = if place == Place::Leased(token) && !holds { Place::Waiting } else { place };
        let test = add_test(run, leases, file, draft, place, Queueing::Now);
        if run.test(test).place == Place::Leased(token)
            && let Some(lease) = leases.get_mut(token)
        {
            lease.tests.push(test);
        }
    }
}

fn file_failed(state: &mut State, run: RunId, token: Token, file: FileIx, gone: &[TestIx], error: &RunError) {
    let (run, leases) = live(state, run);
    let known = run.file(file).listed == Listed::Failed;
    finish_listing(run, leases, token, file, Listed::Failed);
    for &test in gone {
        shift(run, leases, test, Place::Gone);
    }
    if !known && !mutant::is(Mutant::CollectionErrorForgotten) {
        keep_error(run, error);
    }
}

fn erred(state: &mut State, run: RunId, suite: Option<SuiteIx>, error: &RunError) {
    let (run, leases) = live(state, run);
    keep_error(run, error);
    if let Some(suite) = suite {
        if let Discovery::Leased(token) = run.suite(suite).discovery {
            run.suites[suite.at()].discovery = Discovery::Done;
            run.unlisted -= 1;
            if let Some(lease) = leases.get_mut(token) {
                lease.discovering = false;
                lease.fruitful = true;
            }
        }
        run.suites[suite.at()].failed = true;
        drop_waiting(run, leases, suite);
    }
}

fn leased(
    state: &mut State,
    at: Time,
    (run, token): (RunId, Token),
    (worker, slot): (WorkerId, SlotIx),
    work: &Work,
    holds: &[Held],
) {
    state.last_token = token;
    state.slots.entry((worker, slot)).or_default().insert(token);
    let id = run;
    let needs = match work {
        Work::Run(_, tests) => state.runs[&run].test(tests[0]).needs,
        Work::Discover(_) | Work::List(..) | Work::Again(..) => NeedsIx(0),
    };
    for held in holds {
        state.held.entry(Arc::clone(&held.resource)).or_default().take(held, token, worker);
    }
    let (run, leases) = live(state, run);
    run.served_at = at;
    run.leases.insert(token);
    run.served.insert(worker);
    let mut lease = Lease {
        run: id,
        worker,
        slot,
        work: work.clone(),
        needs,
        holds: holds.to_vec(),
        tests: Vec::new(),
        files: Vec::new(),
        discovering: false,
        fruitful: false,
        open: 0,
        left: Micros::ZERO,
    };
    match work {
        Work::Discover(suite) => {
            unqueue_discovery(run, *suite);
            run.suites[suite.at()].discovery = Discovery::Leased(token);
            lease.discovering = true;
            leases.insert(token, lease);
        }
        Work::List(_, files) => {
            for &file in files {
                unqueue_file(run, file);
                run.files[file.at()].listed = Listed::Leased(token);
            }
            lease.files.clone_from(files);
            leases.insert(token, lease);
        }
        Work::Again(_, test) => {
            // The test stays where it is. Whatever becomes of this lease, it says nothing about the suite.
            lease.tests.push(*test);
            lease.fruitful = true;
            leases.insert(token, lease);
            run.twins.insert(*test, token);
        }
        Work::Run(_, tests) => {
            lease.tests.clone_from(tests);
            leases.insert(token, lease);
            for &test in tests {
                shift(run, leases, test, Place::Leased(token));
            }
        }
    }
}

fn accepted(state: &mut State, run: RunId, token: Token, results: &[Accepted]) {
    let (run, leases) = live(state, run);
    for Accepted { result, then } in results {
        let test = &mut run.tests[result.test.at()];
        let counted = match then {
            Then::Anew(_, Blameless::Promoted(level)) => {
                (test.level, test.promotions) = (*level, test.promotions + 1);
                None
            }
            Then::Anew(..) => {
                test.losses += 1;
                result.cause
            }
            _ if result.outcome.is_ok() => None,
            _ => {
                test.failures += 1;
                result.cause
            }
        };
        if let Some(cause) = counted {
            run.spent.entry(result.test).or_default().count(cause);
        }
        let file = run.test(result.test).file;
        run.files[file.at()].losses = 0;
        if matches!(result.outcome, Outcome::Passed | Outcome::Failed) {
            observe(run, result.test, result.duration);
        }
        follow(run, leases, result.test, *then);
    }
    if let Some(lease) = leases.get_mut(token) {
        lease.fruitful = true;
        let suite = lease.work.suite();
        run.suites[suite.at()].fruitless = 0;
    }
}

fn given_back(state: &mut State, run: RunId, token: Token, tests: &[TestIx]) {
    let (run, leases) = live(state, run);
    for &test in tests {
        let back = back(run, test);
        shift(run, leases, test, back);
    }
    if let Some(lease) = leases.get_mut(token) {
        lease.fruitful = true;
        let back: BTreeSet<TestIx> = tests.iter().copied().collect();
        lease.tests.retain(|test| !back.contains(test));
    }
}

fn lease_ended(state: &mut State, now: Time, (run, token): (RunId, Token), cause: LeaseEnd, blamed: Option<Blamed>) {
    if let Some(lease) = state.leases.get(&token) {
        for held in &lease.holds {
            let holding = state.held.get_mut(&held.resource).expect("what a lease holds is counted");
            holding.free(held, token, lease.worker);
            if holding.tokens.is_empty() {
                state.held.remove(&held.resource);
            }
        }
    }
    let State { runs, leases, slots, fenced, .. } = state;
    let run = runs.get_mut(&run).expect("events of a run follow its submission");
    if let Some(lease) = leases.get(&token).filter(|_| cause.fences()) {
        let owes =
            |&test: &TestIx| run.test(test).place == Place::Leased(token) || run.twins.get(&test) == Some(&token);
        fenced.fence(token, (lease.run, lease.worker), lease.tests.iter().copied().filter(owes));
    }
    if let Some(Blamed { test, cause, then, .. }) = blamed {
        run.tests[test.at()].losses += 1;
        run.spent.entry(test).or_default().count(cause);
        follow(run, leases, test, then);
    }
    let lease = leases.get(&token).expect("a lease ends once").clone();
    let (suite, slot) = (lease.work.suite(), (lease.worker, lease.slot));
    let lost = matches!(cause, LeaseEnd::WorkerLost | LeaseEnd::Overdue);
    // A worker may be lost with no test running: while it lists a file, or because its framework takes it down on the way
    // to a test. What the slot was at is charged, so that it cannot do so for ever; a lease that waited behind another of
    // its slot (they end in reverse order) is not, nor one of which nobody knows what it was at.
    let at_work = slots.get(&slot).and_then(BTreeSet::first) == Some(&token);
    let charged = lost && at_work && blamed.is_none();
    let mut forgets = lost && mutant::is(Mutant::LossForgetsTest);
    let at = run.at(&lease, token).filter(|_| charged);
    for &test in &lease.tests {
        if run.twins.get(&test) == Some(&token) {
            run.twins.remove(&test);
        }
        if run.test(test).place == Place::Leased(token) && !std::mem::take(&mut forgets) {
            let back = back(run, test);
            shift(run, leases, test, back);
        }
    }
    if let Some(file) = at {
        run.files[file.at()].lose(lease.worker, now);
    }
    for &file in &lease.files {
        reopen_file(run, file);
    }
    if lease.discovering {
        run.suites[suite.at()].losses += u16::from(charged);
        reopen_discovery(run, suite);
    }
    run.suites[suite.at()].fruitless = match cause {
        _ if lease.fruitful => 0,
        LeaseEnd::Released => run.suite(suite).fruitless + 1,
        _ => run.suite(suite).fruitless,
    };
    run.leases.remove(&token);
    leases.remove(token);
    let held = slots.get_mut(&slot).expect("a lease is counted on its slot");
    held.remove(&token);
    if held.is_empty() {
        slots.remove(&slot);
    }
}

/// A test goes where its result (or its loss) leads it.
fn follow(run: &mut Run, leases: &mut Leases, test: TestIx, then: Then) {
    match then {
        Then::Verdict(verdict) => shift(run, leases, test, Place::Done(verdict)),
        Then::Retry(at) | Then::Anew(at, _) => {
            let free = then.is_free();
            run.retries += u32::from(!free);
            shift(run, leases, test, Place::Delayed(at));
        }
    }
}

fn finish_listing(run: &mut Run, leases: &mut Leases, token: Token, file: FileIx, to: Listed) {
    if run.file(file).is_open() {
        if run.file(file).listed == Listed::Waiting {
            unqueue_file(run, file);
        }
        run.unlisted -= 1;
    }
    let holder = if let Listed::Leased(holder) = run.file(file).listed { holder } else { token };
    run.files[file.at()].losses = 0;
    run.files[file.at()].listed = to;
    if let Some(lease) = leases.get_mut(holder) {
        lease.files.retain(|&listing| listing != file);
        lease.fruitful = true;
    }
    let suite = run.file(file).suite;
    run.suites[suite.at()].fruitless = 0;
}

fn keep_error(run: &mut Run, error: &RunError) {
    run.errors_total += 1;
    if run.errors.len() < ERRORS_PER_RUN {
        run.errors.push(error.clone());
    }
}
