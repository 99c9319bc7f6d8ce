//! Whose history is read and written, and how it ages: on every kind of store.

use super::*;
use regatta_domain::Source;
use regatta_domain::history::{Queried, Queries};

const DAY: Micros = Micros::from_secs(24 * 3600);

promises!(
    what_was_not_run_teaches_nothing,
    a_branch_reads_the_main_line_and_lays_its_own_over_it,
    of_a_file_that_only_other_branches_ran_the_newest_is_read,
    a_class_of_machines_has_its_own_history_and_else_that_of_another_scaled,
    durations_are_those_of_a_worker_of_speed_1,
    what_was_measured_is_never_overridden_by_an_import,
    tests_that_were_not_seen_for_ninety_days_of_activity_are_dropped,
    a_clock_that_jumped_neither_wipes_nor_pins_anything,
    of_too_many_tests_the_oldest_are_dropped,
    what_a_suite_costs_is_blended_over_runs_and_stays_within_reason,
    the_last_that_a_test_asked_is_kept_a_branch_for_itself,
);

/// A store, and the number of the last run.
pub(super) struct Store {
    writer: Writer,
    reader: Reader,
    runs: u64,
    at: Time,
}

impl Store {
    fn new(world: &World, keep: Keep) -> Self {
        Self::of(world.open(keep))
    }

    pub(super) fn of((writer, reader): (Writer, Reader)) -> Self {
        Self { writer, reader, runs: 0, at: Time(DAY.0 * 20_000) }
    }

    fn write(&mut self, rows: &[Row]) {
        self.writer.write(rows, self.runs).unwrap();
    }

    /// A run of one file: name, verdict, milliseconds.
    fn run_at(&mut self, scope: &Scope, speed: f64, tests: &[(&str, Verdict, u64)]) {
        self.runs += 1;
        let (id, at) = (run(self.runs), self.at);
        let begun = Row::Run { run: id, project: "shop".into(), submitted: at, listing: false, scope: scope.clone() };
        let verdicts = tests.iter().enumerate().map(|(ix, (name, verdict, ms))| Row::Verdict {
            run: id,
            project: "shop".into(),
            suite: "api".into(),
            path: "a.py".into(),
            name: (*name).into(),
            test: TestIx::nth(ix),
            key: key(name),
            verdict: *verdict,
            cause: None,
            attempts: 1,
            duration: Some(Micros::from_ms(*ms)),
            speed,
            observed: None,
            queried: None,
            at,
        });
        let rows: Vec<Row> = std::iter::once(begun).chain(verdicts).collect();
        self.write(&rows);
    }

    /// A run of one test that asked so much of its databases.
    pub(super) fn ask(&mut self, scope: &Scope, name: &str, queried: Queried) {
        self.runs += 1;
        let begun = Row::Run {
            run: run(self.runs),
            project: "shop".into(),
            submitted: self.at,
            listing: false,
            scope: scope.clone(),
        };
        let mut asked = verdict(self.runs, name, Verdict::Passed);
        if let Row::Verdict { key: of, queried: told, .. } = &mut asked {
            (*of, *told) = (key(name), Some(queried));
        }
        self.write(&[begun, asked]);
    }

    pub(super) fn run(&mut self, scope: &Scope, tests: &[(&str, u64)]) {
        let passed: Vec<_> = tests.iter().map(|(name, ms)| (*name, Verdict::Passed, *ms)).collect();
        self.run_at(scope, 1.0, &passed);
    }

    fn import(&mut self, name: &str, ms: u64) {
        let (project, suite, path) = ("shop".into(), "api".into(), "a.py".into());
        let (mean, at) = (Micros::from_ms(ms), self.at);
        let (key, name, scope) = (key(name), name.into(), Scope::default());
        self.write(&[Row::Imported { project, suite, path, name, key, scope, mean, spread: None, at }]);
    }

    pub(super) fn known(&self, scope: &Scope) -> Vec<Remembered> {
        let mut known = self.reader.histories("shop", "api", scope, ["a.py"].into_iter()).unwrap();
        let mut known = known.remove("a.py").unwrap_or_default();
        known.sort_by(|a, b| a.name.cmp(&b.name));
        known
    }

    /// Name, milliseconds, runs.
    fn told(&self, scope: &Scope) -> Vec<(String, u64, u32)> {
        let told = |test: Remembered| (test.name.into(), test.history.typical().0 / 1_000, test.history.runs);
        self.known(scope).into_iter().map(told).collect()
    }

    fn prune(&mut self) {
        self.writer.prune(self.at).unwrap();
    }

    /// Time passes as it does, with a run a day.
    fn days(&mut self, days: u64) {
        for _ in 0..days {
            self.at = self.at + DAY;
            self.prune();
        }
    }
}

fn key(name: &str) -> TestKey {
    let mut key = TestKey::default();
    key.0[..name.len()].copy_from_slice(name.as_bytes());
    key
}

pub(super) fn scope(branch: &str, class: &str) -> Scope {
    Scope { branch: branch.into(), class: class.into() }
}

fn told(name: &str, ms: u64, runs: u32) -> (String, u64, u32) {
    (name.to_owned(), ms, runs)
}

fn what_was_not_run_teaches_nothing(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.run_at(&scope("", ""), 1.0, &[("a", Verdict::Failed, 5)]);
    store.run_at(&scope("", ""), 1.0, &[("a", Verdict::NotRun, 9)]);
    assert_eq!(store.known(&scope("", ""))[0].history.last, Some(Verdict::Failed));
}

fn a_branch_reads_the_main_line_and_lays_its_own_over_it(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.run(&scope("", ""), &[("a", 100), ("b", 200)]);
    let branch = scope("feature", "");
    assert_eq!(store.told(&branch), [told("a", 100, 1), told("b", 200, 1)]);

    store.run(&branch, &[("a", 100), ("c", 300)]);
    assert_eq!(store.told(&branch), [told("a", 100, 2), told("b", 200, 1), told("c", 300, 1)]);
    assert_eq!(store.told(&scope("", "")), [told("a", 100, 1), told("b", 200, 1)], "the main line knows nothing of it");
    assert_eq!(store.told(&scope("other", "")), [told("a", 100, 1), told("b", 200, 1)]);
}

fn of_a_file_that_only_other_branches_ran_the_newest_is_read(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.run(&scope("new", ""), &[("a", 100)]);
    store.at = store.at + DAY;
    store.run(&scope("newer", ""), &[("a", 400)]);
    assert_eq!(store.told(&scope("another", "")), [told("a", 400, 1)]);
    assert_eq!(store.told(&scope("new", "")), [told("a", 100, 1)]);
}

fn a_class_of_machines_has_its_own_history_and_else_that_of_another_scaled(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.run(&scope("", "arm"), &[("a", 100), ("b", 200), ("c", 1_000)]);
    store.run(&scope("", "x86"), &[("a", 200), ("b", 400)]);
    assert_eq!(store.told(&scope("", "x86")), [told("a", 200, 1), told("b", 400, 1), told("c", 2_000, 1)]);
    assert_eq!(store.told(&scope("", "arm"))[2], told("c", 1_000, 1));
    assert_eq!(store.told(&scope("", "riscv"))[2], told("c", 1_000, 1), "nothing is in common");
}

fn durations_are_those_of_a_worker_of_speed_1(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.run_at(&scope("", ""), 0.5, &[("slow", Verdict::Passed, 2_000)]);
    store.run_at(&scope("", ""), f64::NAN, &[("unknown", Verdict::Passed, 2_000)]);
    assert_eq!(store.told(&scope("", "")), [told("slow", 1_000, 1), told("unknown", 2_000, 1)]);
}

fn what_was_measured_is_never_overridden_by_an_import(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.run(&scope("", ""), &[("a", 100)]);
    ["a", "b"].into_iter().for_each(|name| store.import(name, 900));
    let sources: Vec<Source> =
        store.known(&scope("", "")).iter().map(|test| test.history.estimate().unwrap().source).collect();
    assert_eq!(sources, [Source::Own, Source::Imported]);
    assert_eq!(store.told(&scope("", "")), [told("a", 100, 1), told("b", 900, 0)]);
    store.import("b", 700);
    assert_eq!(store.told(&scope("", ""))[1], told("b", 700, 0), "a newer file counts");
}

fn tests_that_were_not_seen_for_ninety_days_of_activity_are_dropped(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.run(&scope("", ""), &[("gone", 1), ("stays", 1)]);
    store.days(80);
    store.run(&scope("", ""), &[("stays", 1)]);
    store.days(10);
    assert_eq!(store.told(&scope("", "")).len(), 2);
    store.days(2);
    assert_eq!(store.told(&scope("", "")), [told("stays", 1, 2)]);
}

fn a_clock_that_jumped_neither_wipes_nor_pins_anything(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    store.prune();
    store.run(&scope("", ""), &[("a", 1)]);
    store.at = store.at + Micros(1_000 * DAY.0);
    store.prune();
    store.run(&scope("", ""), &[("future", 1)]);
    assert_eq!(store.told(&scope("", "")).len(), 2, "nothing is old because the clock says so");

    store.at = Time(store.at.0 - 1_000 * DAY.0);
    store.days(89);
    store.run(&scope("", ""), &[("a", 1)]);
    store.days(3);
    assert_eq!(store.told(&scope("", "")), [told("a", 1, 2)], "what was seen in the future ages, too");
}

fn of_too_many_tests_the_oldest_are_dropped(world: &World) {
    const ROWS: usize = 10_000;
    let mut store = Store::new(world, Keep::LOCAL);
    for part in 0..4 {
        let names: Vec<String> = (0..ROWS / 4).map(|at| format!("{part}-{at}")).collect();
        let tests: Vec<(&str, u64)> = names.iter().map(|name| (&**name, 1)).collect();
        store.run(&scope("", ""), &tests);
        store.days(1);
    }
    assert_eq!(store.told(&scope("", "")).len(), ROWS);
    let at = store.at;
    drop(store);
    let mut store = Store::new(world, Keep { history: 3_000, ..Keep::LOCAL });
    store.at = at;
    store.days(1);
    let left = store.told(&scope("", ""));
    let newest = left.iter().filter(|(name, ..)| name.starts_with("3-")).count();
    assert_eq!((left.len(), newest), (3_000, ROWS / 4));
    assert_eq!(store.reader.paths("shop", "api").unwrap(), ["a.py"]);
}

fn what_a_suite_costs_is_blended_over_runs_and_stays_within_reason(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    let mut measure = |class: &str, measured| {
        store.run(&scope("", class), &[]);
        let (project, suite) = ("shop".into(), "api".into());
        store.write(&[Row::Costs { run: run(store.runs), project, suite, measured }]);
        store.reader.costs("shop", "api", "").unwrap()
    };
    let ms = |ms| Some(Micros::from_ms(ms));
    let of = |start, batch| Learnt { start, batch, ..Learnt::default() };
    assert_eq!(measure("", of(ms(1_000), None)), of(ms(1_000), None));
    assert_eq!(measure("", of(ms(2_000), ms(50))), of(ms(1_300), ms(50)));
    assert_eq!(measure("", of(None, Some(Micros(u64::MAX)))).batch, ms(180_035), "ten minutes are the most");
    assert_eq!(measure("arm", of(ms(9), None)).start, ms(1_300), "another class is another suite");
    assert_eq!(store.reader.costs("shop", "api", "arm").unwrap(), of(ms(9), None));
    assert_eq!(store.reader.costs("shop", "api", "x86").unwrap().start, ms(1_300), "better than nothing");
    assert!(store.reader.costs("shop", "web", "").unwrap().is_empty());
}

fn the_last_that_a_test_asked_is_kept_a_branch_for_itself(world: &World) {
    let mut store = Store::new(world, Keep::LOCAL);
    let asked = |calls| Queried { calls, time: Micros(calls * 10) };
    (1..=9).for_each(|calls| store.ask(&scope("", ""), "a", asked(calls)));
    let wanted: Queries = (2..=9).map(asked).collect();
    assert_eq!(store.known(&scope("", ""))[0].history.queries, wanted, "the last eight");
    store.ask(&scope("feature", ""), "a", asked(50));
    assert_eq!(store.known(&scope("", ""))[0].history.queries, wanted, "a branch asks for itself");
    let of_branch: Queries = (3..=9).chain([50]).map(asked).collect();
    assert_eq!(store.known(&scope("feature", ""))[0].history.queries, of_branch);
}
