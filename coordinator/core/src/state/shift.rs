//! How tests, files and suites move from place to place, and every count, queue and lease with them. The only way to move
//! one: the fold says what moves where, and this keeps the books.

use super::lease::Leases;
use super::members::Members;
use super::queue::{Entry, Queue, Rank, Waiting};
use super::run::{Discovery, Group, Run};
use super::test::{Place, Test};
use super::{File, Listed};
use regatta_domain::policy::Order;
use regatta_domain::submission::{FileDraft, TestDraft};
use regatta_domain::{FileIx, GroupIx, Micros, NeedsIx, Source, SuiteIx, TestIx, Verdict};

/// A file is asked for one of its tests first where nothing is known of it, unless taking it up costs more than this part
/// of a test.
const PROBE_COST: u64 = 10;

/// How unsure the mean of one test is for the others of its file, in thousandths of the logarithm; half of that after four,
/// and so on. What is little known is tried before what is known to be short: the upper confidence bound of bandit problems
/// (Auer, Cesa-Bianchi, Fischer 2002).
const DOUBT: u16 = 1_333;

/// After so many of its tests, what a file's tests without history may take is believed.
const BELIEVED: u32 = 32;

/// When new tests are queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queueing {
    /// Each as it comes.
    Now,
    /// All that have come at once, by [`queue_groups`].
    Later,
}

/// Moves a test from the place where it stands to another.
pub(super) fn shift(run: &mut Run, leases: &mut Leases, test: TestIx, to: Place) {
    let found = &run.tests[test.at()];
    let (group, takes) = (found.group, found.takes());
    match found.place {
        Place::Waiting => regroup(run, group, |group, test| group.take(test), test),
        Place::Delayed(at) => {
            run.delayed.remove(&(at, test));
        }
        Place::Leased(token) => {
            if let Some(lease) = leases.get(&token) {
                let (open, left) = (lease.open - 1, lease.left.saturating_sub(takes));
                leases.count(token, open, left);
            }
            run.leased = run.leased.saturating_sub(takes);
        }
        Place::Done(_) | Place::Gone => unreachable!("a test with a verdict stays where it is"),
    }
    run.tests[test.at()].place = to;
    // Where it moves, a second run of it is of no use.
    run.twins.remove(&test);
    settle(run, leases, test, to, Queueing::Now);
    run.open -= u32::from(!run.test(test).is_open());
}

/// The half of [`shift`] that is also how a new test arrives.
fn settle(run: &mut Run, leases: &mut Leases, test: TestIx, to: Place, queueing: Queueing) {
    let (group, takes) = (run.tests[test.at()].group, run.tests[test.at()].takes());
    match to {
        Place::Waiting if queueing == Queueing::Later => {
            let Run { groups, tests, .. } = run;
            groups[group.at()].add(&tests[test.at()]);
        }
        Place::Waiting => regroup(run, group, |group, test| group.add(test), test),
        Place::Delayed(at) => {
            run.delayed.insert((at, test));
        }
        Place::Leased(token) => {
            let lease = leases.get(&token).expect("tests are leased under live leases");
            let (open, left) = (lease.open + 1, lease.left + takes);
            leases.count(token, open, left);
            run.leased += takes;
        }
        Place::Done(verdict) => run.counts.add(verdict),
        Place::Gone => {}
    }
}

impl Group {
    /// One more of its tests waits.
    fn add(&mut self, test: &Test) {
        self.waiting += 1;
        self.estimate += test.takes();
        self.upper += test.upper();
        self.guesses += u32::from(!test.source.is_own());
    }

    /// One of its tests does not wait any more.
    fn take(&mut self, test: &Test) {
        self.waiting -= 1;
        self.estimate = self.estimate.saturating_sub(test.takes());
        self.upper = self.upper.saturating_sub(test.upper());
        self.guesses -= u32::from(!test.source.is_own());
    }
}

/// Changes what waits of a group, and moves it in the queue accordingly.
fn regroup(run: &mut Run, group: GroupIx, change: impl FnOnce(&mut Group, &Test), test: TestIx) {
    if run.group(group).waiting > 0 {
        unqueue(run, waiting_group(run, group), run.group(group).needs);
    }
    let Run { groups, tests, .. } = run;
    change(&mut groups[group.at()], &tests[test.at()]);
    if run.group(group).waiting > 0 {
        let (waiting, needs) = (waiting_group(run, group), run.group(group).needs);
        queue(run, waiting, needs);
    }
}

/// Learns how long a test without history took, and what follows for those of its file that wait and are like it. Each
/// time as many have come as were known before, so that it costs little however many there are.
pub(super) fn observe(run: &mut Run, test: TestIx, duration: Micros) {
    let found = run.test(test);
    if found.source.is_own() {
        return;
    }
    let file = found.file;
    let suite = run.file(file).suite;
    run.suites[suite.at()].observed.add(duration);
    probed(run, file);
    let observed = &mut run.files[file.at()].observed;
    observed.add(duration);
    if !observed.tests.is_power_of_two() || observed.tests > BELIEVED {
        return;
    }
    let (observed, like) = (*observed, run.suite(suite).observed);
    let spread = DOUBT / u16::try_from(observed.tests.isqrt()).unwrap_or(u16::MAX);
    for at in 0..run.file(file).tests.len() {
        let test = run.file(file).tests[at];
        let found = run.test(test);
        if found.place != Place::Waiting || found.source.is_own() {
            continue;
        }
        let (belief, weight) = match found.source {
            // Nothing was known of the suite: what its other files have shown is a better belief than a constant.
            Source::Default => (like.mean(found.estimate, 0), 2),
            Source::Suite => (found.estimate, 2),
            _ => (found.estimate, 3),
        };
        let estimate = observed.mean(belief, weight);
        reestimate(run, test, estimate, spread);
    }
}

/// A test that waits may take longer or shorter than was thought.
fn reestimate(run: &mut Run, test: TestIx, estimate: Micros, spread: u16) {
    let group = run.test(test).group;
    let needs = run.group(group).needs;
    unqueue(run, waiting_group(run, group), needs);
    let Run { groups, tests, .. } = run;
    groups[group.at()].take(&tests[test.at()]);
    tests[test.at()].estimate = estimate;
    tests[test.at()].spread = spread;
    groups[group.at()].add(&tests[test.at()]);
    queue(run, waiting_group(run, group), needs);
}

/// Something is known of a file: none of its tests goes before others any more.
fn probed(run: &mut Run, file: FileIx) {
    let Some(group) = run.file(file).probe else { return };
    let Group { needs, waiting, .. } = *run.group(group);
    if waiting > 0 {
        unqueue(run, waiting_group(run, group), needs);
    }
    run.files[file.at()].probe = None;
    if waiting > 0 {
        queue(run, waiting_group(run, group), needs);
    }
}

pub(super) fn add_test(
    run: &mut Run,
    leases: &mut Leases,
    file: FileIx,
    draft: &TestDraft,
    place: Place,
    queueing: Queueing,
) -> TestIx {
    let costs = run.suite(run.file(file).suite).costs;
    // Whoever comes first sets up what the others find there.
    let mut setup = if run.file(file).tests.is_empty() { costs.file } else { Micros::ZERO };
    let test = TestIx::nth(run.tests.len());
    let known = draft.group.as_ref().and_then(|key| run.file(file).groups.get(&(key.clone(), draft.needs)).copied());
    // The queue is told of a group by its first waiting test, so the group must hold it before it is queued.
    let group = match known {
        Some(group) => {
            run.groups[group.at()].tests.push(test);
            group
        }
        None => {
            let group = add_group(run, file, draft.needs, draft.group.is_some(), test);
            if let Some(key) = &draft.group {
                setup += costs.group;
                run.files[file.at()].groups.insert((key.clone(), draft.needs), group);
            }
            group
        }
    };
    let place = if draft.ignored || run.policy.list_only { Place::Done(Verdict::Skipped) } else { place };
    run.tests.push(Test::new(draft, file, group, place, setup));
    if queueing == Queueing::Now && run.policy.order == Order::Risk {
        // Only what was weighed against all the work may go before what is longer.
        run.tests[test.at()].risk = 0;
    }
    run.files[file.at()].tests.push(test);
    if place == Place::Waiting && run.group(group).waiting == 0 && probes(run, file, draft) {
        run.files[file.at()].probe = Some(group);
    }
    settle(run, leases, test, place, queueing);
    run.open += u32::from(run.test(test).is_open());
    test
}

/// Whether a test of the file goes before others, to find out how long they may take.
fn probes(run: &Run, file: FileIx, draft: &TestDraft) -> bool {
    let costs = run.suite(run.file(file).suite).costs;
    let cheap = (costs.file + costs.group) * PROBE_COST <= draft.estimate.mean;
    let unknown = run.file(file).probe.is_none() && run.file(file).observed.tests == 0;
    unknown && cheap && matches!(draft.estimate.source, Source::Default | Source::Suite)
}

fn add_group(run: &mut Run, file: FileIx, needs: NeedsIx, shared: bool, first: TestIx) -> GroupIx {
    let group = GroupIx::nth(run.groups.len());
    run.groups.push(Group {
        file,
        needs,
        shared,
        tests: Members::of(first),
        waiting: 0,
        estimate: Micros::ZERO,
        upper: Micros::ZERO,
        guesses: 0,
    });
    group
}

pub(super) fn add_file(run: &mut Run, leases: &mut Leases, suite: SuiteIx, draft: &FileDraft, queueing: Queueing) {
    let file = FileIx::nth(run.files.len());
    run.files.push(File::new(draft, suite));
    match &draft.tests {
        Some(tests) => {
            let place = if run.is_over(suite) { Place::Done(Verdict::NotRun) } else { Place::Waiting };
            for test in tests {
                add_test(run, leases, file, test, place, queueing);
            }
        }
        None if run.is_over(suite) => run.files[file.at()].listed = Listed::Failed,
        None => {
            run.unlisted += 1;
            queue_file(run, file);
        }
    }
}

/// Queues every group that was held back, all at once.
pub(super) fn queue_groups(run: &mut Run) {
    let mut waiting: Vec<(SuiteIx, NeedsIx, Waiting)> = Vec::with_capacity(run.groups.len());
    for group in (0..run.groups.len()).map(GroupIx::nth).filter(|&group| run.group(group).waiting > 0) {
        let Group { file, needs, .. } = *run.group(group);
        waiting.push((run.file(file).suite, needs, waiting_group(run, group)));
    }
    waiting.sort_by_key(|&(suite, needs, _)| (suite, needs));
    for alike in waiting.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (suite, needs, _) = alike[0];
        let left: Micros = alike.iter().map(|(.., waiting)| waiting.estimate).sum();
        let queue = run.suites[suite.at()].queues.entry(needs).or_default();
        queue.fill(alike.iter().map(|&(.., waiting)| waiting).collect());
        run.demand(suite, needs, left);
    }
}

/// Where a test goes that comes back from a lease.
pub(super) fn back(run: &Run, test: TestIx) -> Place {
    let file = run.file(run.test(test).file);
    match file.listed {
        _ if run.is_over(file.suite) => Place::Done(Verdict::NotRun),
        Listed::Gone => Place::Gone,
        _ => Place::Waiting,
    }
}

/// What waits in a suite will not run: its tests are not run, its files are not listed.
pub(super) fn drop_waiting(run: &mut Run, leases: &mut Leases, suite: SuiteIx) {
    let tests: Vec<TestIx> = (0..run.tests.len())
        .map(TestIx::nth)
        .filter(|&test| matches!(run.test(test).place, Place::Waiting | Place::Delayed(_)))
        .filter(|&test| run.file(run.test(test).file).suite == suite)
        .collect();
    for test in tests {
        shift(run, leases, test, Place::Done(Verdict::NotRun));
    }
    for file in (0..run.files.len()).map(FileIx::nth) {
        if run.file(file).suite == suite && run.file(file).listed == Listed::Waiting {
            close_file(run, file, Listed::Failed);
        }
    }
    if run.suite(suite).discovery == Discovery::Waiting {
        unqueue_discovery(run, suite);
        run.suites[suite.at()].discovery = Discovery::Done;
        run.unlisted -= 1;
    }
}

/// What waits in a suite and needs the same will not run.
pub(super) fn drop_queue(run: &mut Run, leases: &mut Leases, suite: SuiteIx, needs: NeedsIx) {
    if needs == NOTHING {
        return drop_waiting(run, leases, suite);
    }
    let waits = |&test: &TestIx| {
        let found = run.test(test);
        let waits = matches!(found.place, Place::Waiting | Place::Delayed(_));
        waits && found.needs == needs && run.file(found.file).suite == suite
    };
    let tests: Vec<TestIx> = (0..run.tests.len()).map(TestIx::nth).filter(waits).collect();
    for test in tests {
        shift(run, leases, test, Place::Done(Verdict::NotRun));
    }
}

/// A file that waits to be listed (or is listed) will not be listed any more.
pub(super) fn close_file(run: &mut Run, file: FileIx, to: Listed) {
    if run.file(file).listed == Listed::Waiting {
        unqueue_file(run, file);
        run.unlisted -= 1;
    }
    run.files[file.at()].listed = to;
}

pub(super) fn reopen_file(run: &mut Run, file: FileIx) {
    if run.is_over(run.file(file).suite) {
        run.files[file.at()].listed = Listed::Failed;
        run.unlisted -= 1;
    } else {
        run.files[file.at()].listed = Listed::Waiting;
        queue_file(run, file);
    }
}

pub(super) fn reopen_discovery(run: &mut Run, suite: SuiteIx) {
    if run.is_over(suite) {
        run.suites[suite.at()].discovery = Discovery::Done;
        run.unlisted -= 1;
    } else {
        run.suites[suite.at()].discovery = Discovery::Waiting;
        queue_discovery(run, suite);
    }
}

fn waiting_group(run: &Run, group: GroupIx) -> Waiting {
    let Group { file, estimate, upper, guesses, ref tests, .. } = *run.group(group);
    let first = run.test(tests.first());
    let rank = match run.policy.shuffle {
        Some(seed) => Rank::by_chance(seed, group.0),
        None if run.policy.order == Order::Risk && first.risk > 0 => Rank::by_risk(first.risk),
        None if run.file(file).probe == Some(group) => Rank::PROBE,
        None => Rank::by_length(upper),
    };
    Waiting { rank, entry: Entry::Group(group), file: Some(file), estimate, guesses }
}

fn waiting_file(run: &Run, file: FileIx) -> Waiting {
    let estimate = run.file(file).estimate;
    let rank = match run.policy.shuffle {
        Some(seed) => Rank::by_chance(seed, file.0),
        None => Rank::by_length(estimate),
    };
    Waiting { rank, entry: Entry::File(file), file: None, estimate, guesses: 1 }
}

const fn waiting_discovery(suite: SuiteIx) -> Waiting {
    Waiting { rank: Rank::FIRST, entry: Entry::Discover(suite), file: None, estimate: Micros::ZERO, guesses: 1 }
}

/// What needs nothing beside a slot.
const NOTHING: NeedsIx = NeedsIx(0);

pub(super) fn queue_discovery(run: &mut Run, suite: SuiteIx) {
    run.suites[suite.at()].queues.entry(NOTHING).or_default().insert(waiting_discovery(suite));
}

pub(super) fn unqueue_discovery(run: &mut Run, suite: SuiteIx) {
    remove(run, suite, waiting_discovery(suite), NOTHING);
}

fn queue_file(run: &mut Run, file: FileIx) {
    queue(run, waiting_file(run, file), NOTHING);
}

pub(super) fn unqueue_file(run: &mut Run, file: FileIx) {
    unqueue(run, waiting_file(run, file), NOTHING);
}

fn queue(run: &mut Run, waiting: Waiting, needs: NeedsIx) {
    let suite = suite_of(run, waiting.entry);
    run.suites[suite.at()].queues.entry(needs).or_default().insert(waiting);
    run.demand(suite, needs, waiting.estimate);
}

fn unqueue(run: &mut Run, waiting: Waiting, needs: NeedsIx) {
    let suite = suite_of(run, waiting.entry);
    remove(run, suite, waiting, needs);
}

fn remove(run: &mut Run, suite: SuiteIx, waiting: Waiting, needs: NeedsIx) {
    let queues = &mut run.suites[suite.at()].queues;
    let queue: &mut Queue = queues.get_mut(&needs).expect("what waits has a queue");
    queue.remove(waiting);
    let last = queue.is_empty();
    if last {
        queues.remove(&needs);
    }
    run.sate(suite, needs, waiting.estimate, last);
}

fn suite_of(run: &Run, entry: Entry) -> SuiteIx {
    match entry {
        Entry::Discover(suite) => suite,
        Entry::File(file) => run.file(file).suite,
        Entry::Group(group) => run.file(run.group(group).file).suite,
    }
}
