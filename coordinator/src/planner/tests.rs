use super::*;
use crate::store::projection::TestHistory;
use regatta_domain::database::{Per, PlannedDatabase};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::report::Counts;
use regatta_domain::{Cause, Costs, FileKey, Level, Micros, PolicyIx, RunId, RunnerKind, Time, Verdict};
use regatta_wire::submission::{Override, SuiteRequest};
use std::collections::HashMap;

const API: SuiteIx = SuiteIx(0);

fn request() -> Request {
    let suite = PlannedSuite {
        name: "api".into(),
        runner: RunnerKind::Pytest,
        root: "".into(),
        settings: "{}".into(),
        requires: Vec::new(),
        env: Vec::new(),
        databases: Vec::new(),
    };
    Request {
        run: RunId::from_bits(1),
        project: "shop".into(),
        policy: RunPolicy::default(),
        test_policy: TestPolicy::default(),
        overrides: Vec::new(),
        suites: vec![SuiteRequest {
            suite,
            tree_key: "".into(),
            discover: false,
            files: Vec::new(),
            changed: vec!["changed.py".into()],
        }],
        filters: Vec::new(),
        rerun_of: None,
        resume: false,
        branch: None,
        environment: None,
    }
}

fn listed(names: &[&str]) -> Vec<ListedTest> {
    names.iter().map(|name| ListedTest { name: (*name).into(), ..Default::default() }).collect()
}

fn key_of(path: &str, name: &str) -> TestKey {
    key(&key_prefix("shop", "api", path), name)
}

fn known_as(verdict: Verdict, ms: u64) -> TestHistory {
    let mut history = TestHistory::default();
    history.learn(verdict, Some(Micros::from_ms(ms)), Time(1));
    history
}

fn remembered(path: &str, name: &str, ms: u64) -> Remembered {
    Remembered { key: key_of(path, name), name: name.into(), history: known_as(Verdict::Passed, ms) }
}

fn file(path: &str) -> ListedFile {
    ListedFile { path: path.into(), key: FileKey([1; 16]), locator: "".into() }
}

fn learn(
    planning: &mut Planning,
    files: &[ListedFile],
    known: &HashMap<&str, Vec<Remembered>>,
    vanished: &HashMap<&str, Vec<Remembered>>,
) {
    planning.learn(API, &Seen { files, known, listings: &HashMap::new(), vanished });
}

const ONE_DAY: Micros = Micros::from_secs(24 * 3600);

fn history(path: &str, tests: &[(&str, TestHistory)]) -> FileHistory {
    tests.iter().map(|(name, history)| (key_of(path, name), *history)).collect()
}

fn names(drafts: &[TestDraft]) -> Vec<&str> {
    drafts.iter().map(|draft| &*draft.name).collect()
}

fn selected(filter: &str, path: &str, tests: &[ListedTest], history: &FileHistory) -> Vec<String> {
    let planning = Planning::new(&Request { filters: vec![filter.to_owned()], ..request() }, None).unwrap();
    let drafts = planning.tests(API, &path.into(), tests, history, &[]);
    names(&drafts).into_iter().map(ToOwned::to_owned).collect()
}

#[test]
fn a_test_has_the_same_key_in_every_run_and_no_two_tests_share_one() {
    assert_eq!(key_of("a.py", "test_a"), key_of("a.py", "test_a"));
    assert_ne!(key_of("a.py", "test_a"), key_of("a.pyt", "est_a"));
    // Written down once: history hangs on it.
    assert_eq!(key_of("a.py", "test_a").to_string(), "7980e8533b96b939f86c85c0959e3ac3");
}

#[test]
fn estimates_come_from_the_test_else_from_what_is_like_it() {
    let mut planning = Planning::new(&request(), None).unwrap();
    let tests = listed(&["old", "new"]);
    let estimates = |planning: &Planning, path: &str, history: &FileHistory| {
        let drafts = planning.tests(API, &path.into(), &tests, history, &[]);
        let told = |draft: &TestDraft| (draft.estimate.mean.0 / 1_000, draft.estimate.source);
        drafts.iter().map(told).collect::<Vec<_>>()
    };
    let nothing = FileHistory::default();
    assert_eq!(estimates(&planning, "a.py", &nothing), [(100, Source::Default), (100, Source::Default)]);

    let of_a: Vec<Remembered> = (0..20).map(|at| remembered("a.py", &format!("t{at}"), 60)).collect();
    let of_b = vec![remembered("b.py", "x", 30)];
    let known = HashMap::from([("a.py", of_a.clone()), ("b.py", of_b)]);
    let files = ["a.py", "b.py", "c.py"].map(file);
    learn(&mut planning, &files, &known, &HashMap::new());
    let of_old = history("a.py", &[("old", known_as(Verdict::Passed, 40))]);
    assert_eq!(estimates(&planning, "a.py", &of_old), [(40, Source::Own), (60, Source::File)]);
    let elsewhere = estimates(&planning, "c.py", &nothing);
    assert!(elsewhere.iter().all(|(ms, source)| (50..65).contains(ms) && *source == Source::Suite), "{elsewhere:?}");

    // A file that has to be listed: as long as its tests were, else as the files of its suite.
    let estimate = |planning: &Planning, path: &str, history: &FileHistory| {
        planning.file(API, &file(path), None, history, &[]).unwrap().estimate
    };
    let of_a = of_a.iter().map(|test| (test.key, test.history)).collect();
    assert_eq!(estimate(&planning, "a.py", &of_a).0 / 1_000, 1_200);
    let like_others = estimate(&planning, "c.py", &nothing);
    assert!((Micros::from_ms(100)..Micros::from_ms(900)).contains(&like_others), "{like_others}");
    let fresh = Planning::new(&request(), None).unwrap();
    assert_eq!(estimate(&fresh, "a.py", &nothing), Micros::from_secs(1));
}

#[test]
fn a_test_that_was_renamed_or_moved_takes_its_history_along() {
    let mut planning = Planning::new(&request(), None).unwrap();
    let vanished = HashMap::from([("old/a.py", vec![remembered("old/a.py", "T::test_moved[1]", 7_000)])]);
    learn(&mut planning, &[], &HashMap::new(), &vanished);
    let sources = |drafts: &[TestDraft]| {
        drafts
            .iter()
            .map(|draft| (draft.estimate.mean.0 / 1_000, draft.estimate.source, draft.risk))
            .collect::<Vec<_>>()
    };
    let nothing = FileHistory::default();
    let moved = listed(&["T::test_moved[1]", "T::test_moved[2]"]);
    let drafts = planning.tests(API, &"new/a.py".into(), &moved, &nothing, &[]);
    assert_eq!(sources(&drafts), [(7_000, Source::Renamed, 0), (100, Source::Default, 250)]);

    let names = [remembered("a.py", "stays", 5), remembered("a.py", "test_old", 9_000)];
    let mut long_gone = remembered("a.py", "test_older", 1);
    let known = names.iter().map(|test| (test.key, test.history)).collect();
    let now = listed(&["stays", "test_new"]);
    let drafts = planning.tests(API, &"a.py".into(), &now, &known, &names);
    assert_eq!(sources(&drafts), [(5, Source::Own, 0), (9_000, Source::Renamed, 0)]);

    // Two that vanished together could both be meant; one that vanished in an earlier run is not.
    let later = |test: &Remembered| {
        let seen = Time(ONE_DAY.0 + test.history.seen.0);
        Remembered { history: TestHistory { seen, ..test.history }, ..test.clone() }
    };
    let both = [names[0].clone(), names[1].clone(), long_gone.clone()];
    assert_eq!(sources(&planning.tests(API, &"a.py".into(), &now, &known, &both))[1].1, Source::Default);
    long_gone.history.seen = Time(1);
    let apart = [later(&names[0]), later(&names[1]), long_gone];
    assert_eq!(sources(&planning.tests(API, &"a.py".into(), &now, &known, &apart))[1].1, Source::Renamed);
}

#[test]
fn a_timing_of_a_whole_file_is_shared_by_its_tests_until_they_are_known() {
    let planning = Planning::new(&request(), None).unwrap();
    let whole = TestHistory::imported(Micros::from_secs(6), None, Time(1));
    let timed = history("a.py", &[("", whole)]);
    assert_eq!(planning.file(API, &file("a.py"), None, &timed, &[]).unwrap().estimate, Micros::from_secs(6));
    let drafts = planning.tests(API, &"a.py".into(), &listed(&["x", "y", "z"]), &timed, &[]);
    assert!(drafts.iter().all(|draft| draft.estimate.mean == Micros::from_secs(2)), "{drafts:?}");
    assert!(drafts.iter().all(|draft| draft.estimate.source == Source::Imported), "{drafts:?}");

    let measured = history("a.py", &[("", whole), ("x", known_as(Verdict::Passed, 10))]);
    assert_eq!(planning.file(API, &file("a.py"), None, &measured, &[]).unwrap().estimate, Micros::from_ms(10));
    let drafts = planning.tests(API, &"a.py".into(), &listed(&["x", "y"]), &measured, &[]);
    assert_eq!(drafts[1].estimate.source, Source::Default);
}

#[test]
fn a_test_that_is_known_from_a_file_of_timings_only_is_new_and_may_be_slow() {
    let timed = history("a.py", &[("x", TestHistory::imported(Micros::from_secs(60), None, Time(1)))]);
    assert_eq!(selected("new()", "a.py", &listed(&["x"]), &timed), ["x"]);
    assert_eq!(selected("slow(>5s)", "a.py", &listed(&["x"]), &timed), ["x"]);
}

#[test]
fn the_first_override_that_has_a_rule_decides_it() {
    let other = |filter: &str| Override { filter: filter.to_owned(), ..Override::default() };
    let overrides = vec![
        Override { retries: Some(3), ..other("test(~flaky)") },
        Override { retries: Some(1), timeout: Some(Micros(9)), level: Some(Level::Read), ..other("all()") },
        Override { timeout: Some(Micros(7)), level: Some(Level::Exclusive), ..other("all()") },
    ];
    let planning = Planning::new(&Request { overrides, ..request() }, None).unwrap();
    let drafts = planning.tests(API, &"a.py".into(), &listed(&["plain", "flaky"]), &FileHistory::default(), &[]);
    let rules = |draft: &TestDraft| {
        let policy = &planning.policies.all()[draft.policy.at()];
        (policy.retries, policy.timeout.0, policy.grace, draft.level)
    };
    let grace = TestPolicy::default().grace;
    assert_eq!(rules(&drafts[0]), (1, 9, grace, Level::Read));
    assert_eq!(rules(&drafts[1]), (3, 9, grace, Level::Read));
    assert_eq!(planning.policies.all()[0], TestPolicy::default(), "the first rules are those without an override");
}

#[test]
fn rules_are_few_however_many_overrides_there_are() {
    let other = |at: u16| Override { filter: format!("test(={at})"), retries: Some(at % 3), ..Override::default() };
    let planning = Planning::new(&Request { overrides: (0..500).map(other).collect(), ..request() }, None).unwrap();
    assert_eq!(planning.policies.all().len(), 3);

    let all_different = |at: u16| Override {
        filter: "all()".to_owned(),
        timeout: Some(Micros(u64::from(at) + 1)),
        retries: at.is_multiple_of(2).then_some(at),
        grace: at.is_multiple_of(3).then_some(Micros(at.into())),
        ..Override::default()
    };
    let overrides = (0..200).map(all_different).collect();
    let invalid = Planning::new(&Request { overrides, ..request() }, None).unwrap_err();
    assert!(invalid.to_string().contains("make more than 4096 different combinations"), "{invalid}");
}

#[test]
fn filters_see_what_history_and_the_client_know() {
    let tests = listed(&["good", "bad", "new"]);
    let path = "a.py";
    let known = history(path, &[("good", known_as(Verdict::Passed, 10)), ("bad", known_as(Verdict::Failed, 9_000))]);
    assert_eq!(selected("failed()", path, &tests, &known), ["bad"]);
    assert_eq!(selected("new()", path, &tests, &known), ["new"]);
    assert_eq!(selected("slow(>5s)", path, &tests, &known), ["bad"]);
    assert_eq!(selected("changed()", path, &tests, &known), Vec::<String>::new());
    assert_eq!(selected("changed()", "changed.py", &tests, &FileHistory::default()), ["good", "bad", "new"]);
}

#[test]
fn a_rerun_takes_what_was_red_there_and_what_nobody_knows() {
    let verdicts = [("green", Verdict::Passed), ("red", Verdict::Failed), ("unrun", Verdict::NotRun)];
    let verdicts = verdicts.map(|(name, verdict)| (key_of("a.py", name), (verdict, None)));
    let earlier = Earlier { verdicts: verdicts.into_iter().collect(), ..Earlier::default() };
    let planning = Planning::new(&request(), Some(earlier)).unwrap();
    let known = history("a.py", &[("elsewhere", known_as(Verdict::Passed, 10))]);
    let tests = listed(&["green", "red", "unrun", "elsewhere", "new"]);
    assert_eq!(names(&planning.tests(API, &"a.py".into(), &tests, &known, &[])), ["red", "unrun", "new"]);
}

#[test]
fn a_run_that_is_resumed_owes_what_it_did_not_get_to_and_what_was_no_fault_of_the_test() {
    let verdicts = [
        ("green", Verdict::Passed, None),
        ("red", Verdict::Failed, Some(Cause::Test)),
        ("broken", Verdict::Crashed, Some(Cause::Crash)),
        ("stranded", Verdict::Crashed, Some(Cause::WorkerLost)),
        ("unrun", Verdict::NotRun, Some(Cause::Cancelled)),
    ];
    let verdicts = verdicts.map(|(name, verdict, cause)| (key_of("a.py", name), (verdict, cause)));
    let unlisted = [("api".to_owned(), ["b.py".to_owned()].into())].into();
    let before = Counts { passed: 7, failed: 1, ..Counts::default() };
    let earlier =
        Earlier { verdicts: verdicts.into_iter().collect(), unlisted, before, resume: true, ..Earlier::default() };
    let stands = earlier.stands(RunId::from_bits(9));
    assert_eq!(stands.stand, Counts { passed: 8, failed: 2, crashed: 1, ..Counts::default() });
    // A filter says nothing of what is owed, and everything of what was not known.
    let filters = vec!["test(=elsewhere)".to_owned()];
    let planning = Planning::new(&Request { filters, ..request() }, Some(earlier)).unwrap();
    let tests = listed(&["green", "red", "broken", "stranded", "unrun", "elsewhere", "new"]);
    let known = history("a.py", &[("elsewhere", known_as(Verdict::Passed, 10))]);
    assert_eq!(names(&planning.tests(API, &"a.py".into(), &tests, &known, &[])), ["stranded", "unrun"]);
    let known = history("b.py", &[("elsewhere", known_as(Verdict::Passed, 10))]);
    assert_eq!(names(&planning.tests(API, &"b.py".into(), &tests, &known, &[])), ["elsewhere"]);
}

#[test]
fn a_file_is_dropped_only_where_nothing_of_it_can_be_selected() {
    let file = ListedFile { path: "a.py".into(), key: FileKey([1; 16]), locator: "x".into() };
    let draft = |filter: &str, remembered: Option<&[ListedTest]>| {
        let planning = Planning::new(&Request { filters: vec![filter.to_owned()], ..request() }, None).unwrap();
        planning.file(API, &file, remembered, &FileHistory::default(), &[])
    };
    assert!(draft("file(b.py)", None).is_none());
    assert!(draft("test(=x)", None).is_some(), "nobody knows what it holds");
    assert!(draft("test(=x)", Some(&listed(&["y"]))).is_none());
    let kept = draft("test(=x)", Some(&listed(&["x", "y"]))).unwrap();
    assert_eq!(names(kept.tests.as_deref().unwrap()), ["x"]);
    let whole = listing::digest(["x", "y"].into_iter());
    assert_eq!(kept.digest, whole, "the digest is of the whole listing");
}

#[test]
fn a_name_that_is_listed_twice_is_one_test() {
    let planning = Planning::new(&request(), None).unwrap();
    let drafts = planning.tests(API, &"a.py".into(), &listed(&["a", "b", "a"]), &FileHistory::default(), &[]);
    assert_eq!(names(&drafts), ["a", "b"]);
    assert!(drafts.iter().all(|draft| draft.policy == PolicyIx(0)));
}

#[test]
fn a_shard_that_has_databases_to_itself_begins_as_the_first_one_did() {
    use crate::store::projection::Learnt;
    let mut suite = request().suites.remove(0).suite;
    let learnt = Learnt { start: Some(Micros::from_ms(1_900)), batch: Some(Micros::from_ms(3)), ..Learnt::default() };
    let batch = |suite: &PlannedSuite, learnt| desk::costs(suite, learnt).batch;
    suite.databases = vec![database(Per::Test)];
    assert_eq!((batch(&suite, Learnt::default()), batch(&suite, learnt)), (Micros::ZERO, Micros::from_ms(3)));
    suite.databases.push(database(Per::Shard));
    assert_eq!(batch(&suite, Learnt::default()), Costs::of(RunnerKind::Pytest).start);
    assert_eq!(batch(&suite, learnt), Micros::from_ms(1_900));
}

fn database(per: Per) -> PlannedDatabase {
    PlannedDatabase {
        resource: "app".into(),
        template: regatta_domain::Digest::default(),
        build: Vec::new(),
        build_limit: Micros::ZERO,
        extensions: Vec::new(),
        per,
        lazy: false,
    }
}

#[test]
fn a_test_of_a_suite_with_databases_needs_a_seat_of_each_unless_it_is_known_to_need_none() {
    use regatta_domain::evidence::Observed;
    use regatta_domain::history::Levels;
    use regatta_domain::{Need, Needs};
    let mut asked = request();
    asked.suites[0].suite.databases = vec![database(Per::Test)];
    let stripe = Needs::all([Need::new("stripe", 1)]);
    asked.overrides = vec![
        Override { filter: "test(/pays/)".to_owned(), needs: stripe.clone(), ..Override::default() },
        Override { filter: "test(/pure/)".to_owned(), level: Some(Level::None), ..Override::default() },
    ];
    let planning = Planning::new(&asked, None).unwrap();
    let path: Arc<str> = "a.py".into();
    let mut listed: Vec<ListedTest> = Vec::new();
    for (name, level) in
        [("t_new", Level::None), ("t_pays", Level::Read), ("t_pure", Level::Read), ("t_known", Level::Read)]
    {
        listed.push(ListedTest { name: name.into(), level, ..Default::default() });
    }
    let mut levels = Levels::default();
    for _ in 0..3 {
        levels.push(Observed { level: Level::None, sure: true });
    }
    let known = TestHistory { levels, ..TestHistory::default() };
    let history = history(&path, &[("t_known", known)]);
    let drafts = planning.tests(API, &path, &listed, &history, &[]);
    let needs = |draft: &TestDraft| draft.needs.at().checked_sub(1).map(|at| planning.policies.needs()[at].clone());
    let got: Vec<(&str, Level, Option<Needs>)> =
        drafts.iter().map(|draft| (&*draft.name, draft.level, needs(draft))).collect();
    let app = || Need::new("app", 1);
    assert_eq!(
        got,
        [
            ("t_new", Level::Isolated, Some(Needs::all([app()]))),
            ("t_pays", Level::Read, Some(Needs::all([app(), Need::new("stripe", 1)]))),
            ("t_pure", Level::None, None),
            ("t_known", Level::None, None),
        ]
    );
}
