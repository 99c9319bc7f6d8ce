use super::*;
use crate::store::projection::TestHistory;
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::{RunPolicy, TestPolicy};
use regatta_domain::{FileKey, Level, PolicyIx, RunId, RunnerKind, Time};
use regatta_wire::submission::{Override, SuiteRequest};

const API: SuiteIx = SuiteIx(0);

fn request() -> Request {
    let suite = PlannedSuite {
        name: "api".into(),
        runner: RunnerKind::Pytest,
        root: "".into(),
        settings: "{}".into(),
        requires: Vec::new(),
        env: Vec::new(),
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
    }
}

fn listed(names: &[&str]) -> Vec<ListedTest> {
    names.iter().map(|name| ListedTest { name: (*name).into(), ..Default::default() }).collect()
}

fn key_of(path: &str, name: &str) -> TestKey {
    key(&key_prefix("shop", "api", path), name)
}

fn known(verdict: Verdict, ms: u64) -> TestHistory {
    let mut history = TestHistory::default();
    history.learn(verdict, Some(Micros::from_ms(ms)), Time(1));
    history
}

fn history(path: &str, tests: &[(&str, TestHistory)]) -> FileHistory {
    tests.iter().map(|(name, history)| (key_of(path, name), *history)).collect()
}

fn names(drafts: &[TestDraft]) -> Vec<&str> {
    drafts.iter().map(|draft| &*draft.name).collect()
}

fn selected(filter: &str, path: &str, tests: &[ListedTest], history: &FileHistory) -> Vec<String> {
    let planning = Planning::new(&Request { filters: vec![filter.to_owned()], ..request() }, None).unwrap();
    let drafts = planning.tests(API, &path.into(), tests, history);
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
    let estimates = |planning: &Planning, history: &FileHistory| {
        let drafts = planning.tests(API, &"a.py".into(), &tests, history);
        drafts.iter().map(|draft| (draft.estimate.mean.0 / 1_000, draft.estimate.source.is_own())).collect::<Vec<_>>()
    };
    let nothing = FileHistory::default();
    assert_eq!(estimates(&planning, &nothing), [(100, false), (100, false)]);

    let of_a = history("a.py", &[("old", known(Verdict::Passed, 40)), ("gone", known(Verdict::Failed, 80))]);
    assert_eq!(estimates(&planning, &of_a), [(40, true), (60, false)]);

    let of_b = history("b.py", &[("x", known(Verdict::Passed, 30))]);
    planning.learn(API, [&of_a, &of_b, &nothing].into_iter());
    assert_eq!(estimates(&planning, &nothing), [(50, false), (50, false)]);

    // A file that has to be listed: as long as its tests were, else as the files of its suite.
    let file = ListedFile { path: "a.py".into(), key: FileKey([1; 16]), locator: "".into() };
    assert_eq!(planning.file(API, &file, None, &of_a).unwrap().estimate, Micros::from_ms(120));
    assert_eq!(planning.file(API, &file, None, &nothing).unwrap().estimate, Micros::from_ms(75));
    let fresh = Planning::new(&request(), None).unwrap();
    assert_eq!(fresh.file(API, &file, None, &nothing).unwrap().estimate, Micros::from_secs(1));
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
    let drafts = planning.tests(API, &"a.py".into(), &listed(&["plain", "flaky"]), &FileHistory::default());
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
    let known = history(path, &[("good", known(Verdict::Passed, 10)), ("bad", known(Verdict::Failed, 9_000))]);
    assert_eq!(selected("failed()", path, &tests, &known), ["bad"]);
    assert_eq!(selected("new()", path, &tests, &known), ["new"]);
    assert_eq!(selected("slow(>5s)", path, &tests, &known), ["bad"]);
    assert_eq!(selected("changed()", path, &tests, &known), Vec::<String>::new());
    assert_eq!(selected("changed()", "changed.py", &tests, &FileHistory::default()), ["good", "bad", "new"]);
}

#[test]
fn a_rerun_takes_what_was_red_there_and_what_nobody_knows() {
    let verdicts = [("green", Verdict::Passed), ("red", Verdict::Failed), ("unrun", Verdict::NotRun)];
    let verdicts = verdicts.map(|(name, verdict)| (key_of("a.py", name), verdict));
    let planning = Planning::new(&request(), Some(verdicts.into_iter().collect())).unwrap();
    let known = history("a.py", &[("elsewhere", known(Verdict::Passed, 10))]);
    let tests = listed(&["green", "red", "unrun", "elsewhere", "new"]);
    assert_eq!(names(&planning.tests(API, &"a.py".into(), &tests, &known)), ["red", "unrun", "new"]);
}

#[test]
fn a_file_is_dropped_only_where_nothing_of_it_can_be_selected() {
    let file = ListedFile { path: "a.py".into(), key: FileKey([1; 16]), locator: "x".into() };
    let draft = |filter: &str, remembered: Option<&[ListedTest]>| {
        let planning = Planning::new(&Request { filters: vec![filter.to_owned()], ..request() }, None).unwrap();
        planning.file(API, &file, remembered, &FileHistory::default())
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
    let drafts = planning.tests(API, &"a.py".into(), &listed(&["a", "b", "a"]), &FileHistory::default());
    assert_eq!(names(&drafts), ["a", "b"]);
    assert!(drafts.iter().all(|draft| draft.policy == PolicyIx(0)));
}
