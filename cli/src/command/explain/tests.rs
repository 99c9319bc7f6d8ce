//! What is explained of scripted runs.

use super::record::Record;
use super::{COLUMNS, code, filter, run, test};
use crate::view::script::{Script, asked, came};
use regatta_domain::{Outcome, RunId, TestIx, Verdict};
use regatta_wire::v1::{self, run_event::Event};

const ON: u64 = 1_767_323_045_000_000;

/// The record of some events, one each 100 ms after the start.
fn record(events: Vec<Event>) -> Record {
    let mut record = Record::new(RunId::from_bits(1));
    for (at, event) in events.into_iter().enumerate() {
        let at = at as u64;
        record.take(v1::RunEvent { seq: at + 1, at: ON + at * 100_000, event: Some(event) }).expect("it makes sense");
    }
    record
}

fn beginning() -> Vec<Event> {
    let file = v1::File { path: "t".to_owned(), key: "0".repeat(32), locator: String::new() };
    let test = |at: u32| v1::PlannedTest {
        name: format!("t{at}"),
        key: format!("{at:032x}"),
        estimate: 100_000 * u64::from(4 - at),
        spread: 300,
        source: v1::EstimateSource::Own.into(),
        group: at,
        risk: 20,
        needs: u32::from(at < 2),
        ..v1::PlannedTest::default()
    };
    vec![
        Event::RunSubmitted(v1::RunSubmitted {
            resumes: None,
            project: "shop".to_owned(),
            suites: vec!["api".to_owned()],
            runners: vec!["exec".to_owned()],
            roots: vec![".".to_owned()],
            policies: vec![v1::TestPolicy { timeout: 60_000_000, ..v1::TestPolicy::default() }],
            policy: None,
            costs: Vec::new(),
            requires: vec!["gpu".to_owned()],
            needs: vec![v1::Needs {
                needs: vec![v1::Need { resource: "db".to_owned(), seats: 1, ..Default::default() }],
            }],
        }),
        Event::FilesPlanned(v1::FilesPlanned { suite: 0, files: vec![file], gone: Vec::new() }),
        Event::TestsPlanned(v1::TestsPlanned { file: 0, tests: (0..4).map(test).collect(), gone: Vec::new() }),
    ]
}

fn leased(token: u64, slot: u32, tests: &[u32]) -> Event {
    let (worker, tests) = ("w1".to_owned(), tests.to_vec());
    Event::ShardLeased(v1::ShardLeased { token, worker, slot, tests, ..v1::ShardLeased::default() })
}

fn passed(token: u64, test: u32, at_ms: u64, for_ms: u64) -> Event {
    let result = v1::TestResult {
        test,
        attempt: 1,
        outcome: v1::Outcome::from(Outcome::Passed).into(),
        started: ON + at_ms * 1_000,
        duration: for_ms * 1_000,
        ..v1::TestResult::default()
    };
    let verdict = v1::Verdict::from(Verdict::Passed).into();
    let results = vec![v1::AcceptedResult { result: Some(result), verdict }];
    Event::ResultsAccepted(v1::ResultsAccepted { token, results })
}

#[test]
fn a_test_that_ran_is_told_with_its_shard_and_who_took_it_over() {
    let mut events = beginning();
    events.extend([leased(1, 0, &[0, 1, 3]), leased(2, 1, &[2]), passed(1, 0, 300, 400), passed(2, 2, 400, 200)]);
    events.push(Event::TestsGivenBack(v1::TestsGivenBack { token: 1, tests: vec![3] }));
    events.extend([leased(3, 1, &[3]), passed(3, 3, 800, 100)]);
    let record = record(events);
    let wanted = "\
t::t3 of suite api, in run 00000000: passed
  estimate  0.10s, from its own history, 0.07s to 0.13s in two of three cases
  known     2.0% likely not to pass; its suite requires gpu
  taken     from shard 1 on slot 0 at 0.70s, where it had not begun: another slot had nothing to do
  attempt 1 passed on slot 1, from 0.80s on, for 0.10s
  why       that slot asked at 0.80s and was granted shard 3 of 3: 1 test, 0.10s by estimate, of 0.10s that waited; it ran \
  there alone
";
    assert_eq!(test::text(&record, TestIx(3), None, &[]), wanted);
    let told = test::text(&record, TestIx(0), None, &[]);
    assert!(
        told.contains("3 tests, 0.80s by estimate, of 1.00s that waited; it was number 1 there, with t::t1"),
        "{told}"
    );
    assert!(
        run::text(&record, None, None)
            .contains("still running, 4 tests in 3 shards, 1 test of which idle slots took over")
    );
}

#[test]
fn a_result_that_came_too_late_is_told_with_what_stands_also_behind_the_end() {
    let lost = v1::LeaseEnded { token: 1, cause: v1::LeaseEnd::WorkerLost.into(), ..v1::LeaseEnded::default() };
    let late = |token| {
        let outcome = v1::Outcome::from(Outcome::Failed).into();
        let results = vec![v1::RefusedResult { test: 3, attempt: 1, outcome, started: ON, duration: 250_000 }];
        Event::ResultsRefused(v1::ResultsRefused { token, worker: "w1".to_owned(), results })
    };
    let mut events = beginning();
    events.extend([leased(1, 0, &[3]), Event::LeaseEnded(lost), late(1)]);
    let told = test::text(&record(events.clone()), TestIx(3), None, &[]);
    let wanted =
        "  late      attempt 1 on slot 0 failed after 0.25s, and told so at 0.50s, when its lease had ended: refused; ";
    assert!(told.contains(&format!("{wanted}the test runs once more\n")), "{told}");
    events.pop();
    let outcome = v1::RunOutcome::Green.into();
    events.extend([leased(2, 1, &[3]), passed(2, 3, 500, 100), Event::RunEnded(v1::RunEnded { outcome }), late(1)]);
    let told = test::text(&record(events.clone()), TestIx(3), None, &[]);
    let wanted = wanted.replace("0.50s", "0.80s");
    assert!(told.ends_with(&format!("{wanted}attempt 1 on slot 1 stands\n")), "{told}");
    let told = run::text(&record(events), None, None);
    assert!(told.contains("  refused   1 result that came when its lease had ended"), "{told}");
}

#[test]
fn what_a_test_asked_of_its_databases_is_told() {
    let mut events = beginning();
    let mut ran = passed(1, 0, 300, 400);
    if let Event::ResultsAccepted(accepted) = &mut ran {
        let seen = asked(&[("SELECT *\n  FROM items", 1_200, 240), ("COMMIT", 1, 3)]);
        accepted.results[0].result.as_mut().expect("it has one").observation = Some((&seen).into());
    }
    events.extend([leased(1, 0, &[0]), ran]);
    let told = test::text(&record(events), TestIx(0), None, &[]);
    let wanted = "
  asked     1,201 statements, at which the server worked for 243ms
               240ms 1,200x  SELECT * FROM items
              3.00ms     1x  COMMIT
";
    assert!(told.ends_with(wanted), "{told}");
}

#[test]
fn a_test_that_waits_is_told_why_and_what_would_help() {
    let worker = |labels: &[&str], busy| v1::WorkerInfo {
        slots: 2,
        busy,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..v1::WorkerInfo::default()
    };
    let fleet = |worker| v1::WorkersResponse {
        slots_wanted: 0,
        workers: vec![worker],
        resources: vec![v1::Need { resource: "db".to_owned(), seats: 1, ..Default::default() }],
    };
    let mut events = beginning();
    events.push(leased(1, 0, &[0]));
    let record = record(events);
    let told = |test: u32, worker| test::text(&record, TestIx(test), Some(&fleet(worker)), &[]);
    let lines = told(1, worker(&["gpu"], 1));
    assert!(lines.contains("waits     it needs db (1 seat in all), which slot 0 holds\n"), "{lines}");
    let lines = told(3, worker(&[], 0));
    assert!(lines.contains("waits     its suite requires gpu, and no worker carries that\n"), "{lines}");
    assert!(lines.contains("helps     `regatta worker --label gpu`"), "{lines}");
    let lines = told(3, worker(&["gpu"], 2));
    assert!(lines.contains("waits     no slot is free; it is behind 2 waiting tests that take longer"), "{lines}");
    let lines = run::text(&record, None, Some(&fleet(worker(&[], 0))));
    assert!(
        lines.contains("suite api requires gpu, and no worker carries that; `regatta worker --label gpu`"),
        "{lines}"
    );
    let lines = told(0, worker(&["gpu"], 2));
    assert!(lines.contains("waits     at slot 0, which holds it, behind 0 tests"), "{lines}");

    // A coordinator that tells of its resources knows of other runs, and of what people keep.
    let status = |drained, holds| v1::ResourceStatus {
        resource: Some(v1::Resource { name: "db".to_owned(), ..Default::default() }),
        total: 1,
        taken: 1,
        drained,
        holds,
        ..Default::default()
    };
    let told = |status| {
        let fleet = fleet(worker(&["gpu"], 1));
        test::text(&record, TestIx(1), Some(&fleet), &[status])
    };
    let hold = v1::ResourceHold {
        run: "4f1c22aa-0000".to_owned(),
        seats: 1,
        since: regatta_runtime::clock::now_us(),
        ..Default::default()
    };
    let lines = told(status(false, vec![hold]));
    assert!(lines.contains("waits     it needs db: held by run 4f1c22aa for "), "{lines}");
    let lines = told(status(true, Vec::new()));
    assert!(lines.contains("waits     it needs db, and db is drained\n"), "{lines}");
    assert!(lines.contains("helps     `regatta resources drain db --undo`"), "{lines}");
}

#[test]
fn a_run_is_told_with_what_its_slots_did() {
    let mut script = Script::new(&[("api", "exec")], |_, _, _| {});
    script.file(0, "a", &[("t1", 100), ("t2", 100)]);
    script.run("a::t1", came(Outcome::Passed, 100), Some(Verdict::Passed));
    script.run("a::t2", came(Outcome::Passed, 100), Some(Verdict::Passed));
    script.end(v1::RunOutcome::Green);
    let view = std::mem::replace(&mut script.view, crate::view::View::new(RunId::from_bits(2)));
    let mut record = Record::new(view.run);
    record.view = view;
    let told = run::text(&record, None, None);
    assert!(told.contains("took      0.20s on 1 slot, 1.00 times the bound of 0.20s"), "{told}");
    assert!(told.contains("slot 0    ran tests for 100% of the time: 2 attempts in 0 shards"), "{told}");
}

#[test]
fn a_filter_is_shown_as_it_is_read() {
    let wanted = "\
suite(api) & (tag(db) | failed()) & !test(#*[sqlite*])

all of
  suite(api)
  any of
    tag(db)
    failed()
  not
    test(#*[sqlite*])

It asks history.
";
    let shown = filter("suite(api) and (tag(db) or failed()) - test(#*[sqlite*])");
    assert_eq!(shown.as_deref(), Ok(wanted));
}

#[test]
fn codes_are_explained_by_number_and_name() {
    let by_number = code("4").expect("there is a code 4");
    assert!(by_number.starts_with("4 no-tests\n\nThe selection holds no test. "), "{by_number}");
    assert!(by_number.lines().all(|line| line.chars().count() <= COLUMNS));
    assert_eq!(code("no-tests"), Ok(by_number));
    let refused = code("no-test").expect_err("there is none").render(false);
    assert!(refused.contains("did you mean `no-tests`?"), "{refused}");
}
