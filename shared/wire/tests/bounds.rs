//! A message that says what no message may say is refused, and the field is named.

use regatta_domain::listing::ListedTest;
use regatta_domain::result::TestResult;
use regatta_wire::submission::{Override, Request, SuiteRequest};
use regatta_wire::{Failure, v1};

const RUN: &str = "01890000-0000-7000-8000-000000000001";

fn request() -> v1::SubmitRequest {
    let policy = regatta_domain::policy::TestPolicy::default();
    v1::SubmitRequest {
        run: RUN.to_owned(),
        project: "shop".to_owned(),
        policy: Some((&regatta_domain::policy::RunPolicy::default()).into()),
        test_policy: Some((&policy).into()),
        overrides: vec![v1::PolicyOverride { filter: "all()".to_owned(), retries: Some(2), ..Default::default() }],
        suites: vec![v1::SuiteRequest {
            suite: Some(v1::Suite {
                requires: Vec::new(),
                databases: Vec::new(),
                name: "api".to_owned(),
                runner: "pytest".to_owned(),
                root: "/srv/shop".to_owned(),
                settings: "{}".to_owned(),
                env: vec![v1::Variable { name: "TZ".to_owned(), value: "UTC".to_owned() }],
            }),
            tree_key: "abc".to_owned(),
            discover: true,
            files: vec![v1::File { path: "a.py".to_owned(), key: "0a".repeat(16), locator: String::new() }],
            changed: vec!["a.py".to_owned()],
        }],
        filters: vec!["test(x)".to_owned()],
        rerun_of: Some(RUN.to_owned()),
        resume: true,
        branch: Some("feature/x".to_owned()),
        environment: Some("arm".to_owned()),
    }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut v1::SubmitRequest), wanted: &str) {
    let mut request = request();
    change(&mut request);
    let invalid = Request::try_from(request).expect_err("the request is refused");
    assert_eq!(Failure::from(invalid).message(), wanted);
}

#[test]
fn a_submission_survives_the_wire() {
    let read = Request::try_from(request()).expect("the request is well-formed");
    assert_eq!(read.overrides, [Override { filter: "all()".to_owned(), retries: Some(2), ..Default::default() }]);
    assert_eq!(v1::SubmitRequest::from(&read), request());
    let [SuiteRequest { discover: true, .. }] = read.suites.as_slice() else { panic!("one suite, to be discovered") };
}

#[test]
fn the_field_that_is_wrong_is_named() {
    refused(|request| request.run = "x".to_owned(), "field `run` should be a UUID, and is `x`");
    refused(|request| request.project = String::new(), "field `project` is missing");
    refused(|request| request.policy = None, "field `policy` is missing");
    refused(
        |request| request.test_policy.as_mut().expect("it is there").retries = 70_000,
        "field `test_policy.retries` is 70000, and should be between 0 and 65535",
    );
    refused(
        |request| request.suites[0].suite.as_mut().expect("it is there").runner = "nose".to_owned(),
        "field `suites[0].suite.runner` has the value `nose`, which is not known here; is the other side newer?",
    );
    refused(
        |request| request.suites[0].files[0].key = "0A".to_owned(),
        "field `suites[0].files[0].key` should be 32 lower-case hexadecimal digits",
    );
    refused(
        |request| request.suites[0].files[0].path = "x".repeat(5_000),
        "field `suites[0].files[0].path` is 5000 bytes long, and may be 4096",
    );
    refused(
        |request| request.filters = vec!["all()".to_owned(); 101],
        "field `filters` has 101 items, and may have 100",
    );
}

#[test]
fn a_value_of_a_newer_protocol_is_refused_instead_of_guessed() {
    let result = v1::TestResult { test: 1, attempt: 1, outcome: 99, ..Default::default() };
    let invalid = TestResult::try_from(result).expect_err("the outcome is not known");
    assert_eq!(
        invalid.within("entries[2]").to_string(),
        "field `entries[2].outcome` has the value 99, which is not known here; is the other side newer?"
    );
    let result = v1::TestResult { test: 1, attempt: 1, outcome: 5, cause: 11, ..Default::default() };
    assert_eq!(
        TestResult::try_from(result).expect_err("the cause is not known").to_string(),
        "field `cause` has the value 11, which is not known here; is the other side newer?"
    );
    let result = v1::TestResult { test: 1, attempt: 0, outcome: 1, ..Default::default() };
    assert_eq!(
        TestResult::try_from(result).expect_err("attempts count from 1").to_string(),
        "field `attempt` is 0, and should be between 1 and 65535"
    );
    let test = v1::ListedTest { level: 9, ..Default::default() };
    assert!(ListedTest::try_from(test).is_err());
}

#[test]
fn causes_exits_and_budgets_are_read_as_they_were_written() {
    use regatta_domain::policy::{Budgets, TestPolicy};
    use regatta_domain::{Cause, Exit};
    for (cause, exit) in Cause::ALL.into_iter().zip([Exit::Status(3), Exit::Signal(11)].into_iter().cycle()) {
        let result = v1::TestResult { test: 1, attempt: 1, outcome: 5, ..Default::default() };
        let result = TestResult::try_from(result).expect("it is a result");
        assert_eq!((result.cause, result.exit), (None, None), "by a worker that does not tell");
        let result = TestResult { cause: Some(cause), exit: Some(exit), ..result };
        assert_eq!(TestResult::try_from(v1::TestResult::from(&result)).expect("it was one"), result);
    }
    let budgets: Budgets = Cause::ALL.into_iter().zip(0..).collect();
    let policy = TestPolicy { budgets, ..TestPolicy::default() };
    assert_eq!(TestPolicy::try_from(v1::TestPolicy::from(&policy)).expect("it was one"), policy);
}
