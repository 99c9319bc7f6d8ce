//! What is expected of scripted plans.

use super::target::{before, reach};
use super::*;
use crate::needs::Resources;
use crate::view::script::Script;
use regatta_wire::v1::{self, run_event::Event};

/// A run of tests in milliseconds, half of which need a database where `db` says so.
fn view(tests: &[u64], db: bool) -> View {
    let mut script = Script::new(&[], |_, _, _| {});
    let needs = vec![v1::Needs { needs: vec![v1::Need { resource: "db".to_owned(), seats: 1, ..Default::default() }] }];
    script.event(Event::RunSubmitted(v1::RunSubmitted {
        resumes: None,
        project: "shop".to_owned(),
        suites: vec!["api".to_owned()],
        runners: vec!["exec".to_owned()],
        roots: vec![".".to_owned()],
        policies: vec![v1::TestPolicy { timeout: 60_000_000, ..v1::TestPolicy::default() }],
        policy: Some((&RunPolicy { list_only: true, ..RunPolicy::default() }).into()),
        costs: vec![v1::Costs::default()],
        requires: vec!["gpu".to_owned()],
        needs,
    }));
    let file = script.unlisted(0, "t");
    let planned = tests.iter().enumerate().map(|(at, ms)| v1::PlannedTest {
        name: format!("t{at}"),
        key: format!("{at:032x}"),
        estimate: ms * 1_000,
        known: true,
        group: u32::try_from(at).expect("few tests"),
        source: v1::EstimateSource::from(if at % 2 == 0 { Source::Own } else { Source::File }).into(),
        needs: u32::from(db && at % 2 == 1),
        ..v1::PlannedTest::default()
    });
    let tests = planned.collect();
    script.event(Event::TestsPlanned(v1::TestsPlanned { file, tests, gone: Vec::new() }));
    script.view
}

fn fleet(slots: u32) -> Fleet {
    Fleet::here(slots, &["gpu".to_owned()], Resources::from([("db".into(), regatta_domain::Resource::of_seats(1))]))
}

#[test]
fn every_test_is_played_once_and_near_the_bound() {
    let view = view(&[500; 40], false);
    let prospect = Prospect::new(&view, fleet(4));
    let outlook = prospect.on(4);
    let mut played: Vec<usize> = outlook.shifts.iter().map(|shift| shift.test.at()).collect();
    played.sort_unstable();
    assert_eq!(played, (0..40).collect::<Vec<_>>());
    assert_eq!(outlook.bound.least(), Micros::from_secs(5));
    assert!(outlook.ratio() < 1.05, "{}", outlook.ratio());
    assert_eq!(prospect.binds(&outlook.bound.binds()), "plain work (5.00s for each slot)");
    let sources: Vec<(Source, usize)> = prospect.sources().iter().map(|&(source, tests, _)| (source, tests)).collect();
    assert_eq!(sources, [(Source::Own, 20), (Source::File, 20)]);
}

#[test]
fn what_binds_is_named() {
    let mut long = vec![100; 20];
    long[3] = 9_000;
    let view_of_long = view(&long, false);
    let prospect = Prospect::new(&view_of_long, fleet(8));
    assert_eq!(prospect.binds(&prospect.on(8).bound.binds()), "its longest test, t::t3 (9.00s)");
    let view_of_db = view(&[500; 20], true);
    let prospect = Prospect::new(&view_of_db, fleet(8));
    assert_eq!(prospect.binds(&prospect.on(8).bound.binds()), "the resource db, busy for 5.00s");
}

#[test]
fn a_table_ends_where_more_slots_do_not_help() {
    let view = view(&[1_000; 8], false);
    let table = Prospect::new(&view, fleet(2)).table();
    let slots: Vec<u32> = table.iter().map(|(slots, _)| *slots).collect();
    assert_eq!(slots, [1, 2, 4, 8]);
    assert!(table.windows(2).all(|pair| pair[1].1 < pair[0].1), "{table:?}");
}

#[test]
fn the_least_number_of_slots_for_a_target_is_found() {
    let view = view(&[1_000; 12], false);
    let prospect = Prospect::new(&view, fleet(2));
    let target = Micros::from_ms(3_200);
    let Reach::On(slots, time) = reach(&prospect, target) else { panic!("it can be met") };
    assert_eq!(slots, 4);
    assert!(time <= target && prospect.makespan(3) > target);
    let line = before(&prospect, target);
    assert!(
        line.starts_with("target 3.20s: 4 slots reach it (3.0") && line.ends_with("predicted on 2 slots"),
        "{line}"
    );
    assert!(before(&prospect, Micros::from_secs(60)).starts_with("target 1m 00s: 6.0"));
}

#[test]
fn a_target_that_cannot_be_met_says_why() {
    let mut long = vec![100; 20];
    long[3] = 9_000;
    let view_of_long = view(&long, false);
    let prospect = Prospect::new(&view_of_long, fleet(8));
    let target = Micros::from_secs(5);
    let line = reach(&prospect, target).line(&prospect, target);
    assert_eq!(line, "target 5.00s cannot be met: t::t3 alone takes 9.00s");
    let view_of_db = view(&[500; 40], true);
    let prospect = Prospect::new(&view_of_db, fleet(8));
    let line = reach(&prospect, target).line(&prospect, target);
    assert_eq!(line, "target 5.00s cannot be met: the tests that need db keep it busy for 10.0s");
}

#[test]
fn labels_that_nobody_carries_leave_tests_stranded() {
    let view = view(&[100; 4], false);
    let bare = Fleet::here(2, &[], Resources::new());
    assert_eq!(Prospect::new(&view, bare).on(2).stranded, 4);
}
