//! What history makes of durations, as data.

use super::*;
use crate::{Estimate, Micros, Source, Time, Verdict};

fn after(millis: &[u64]) -> TestHistory {
    let mut history = TestHistory::default();
    for &ms in millis {
        history.learn(Verdict::Passed, Some(Micros::from_ms(ms)), Time(1));
    }
    history
}

fn estimate(millis: &[u64]) -> Estimate {
    after(millis).estimate().expect("it was measured")
}

fn ms(span: Micros) -> u64 {
    (span.0 + 500) / 1_000
}

#[test]
fn the_first_duration_is_the_estimate_and_runs_make_it_sure() {
    let first = estimate(&[1_000]);
    assert_eq!(first, Estimate { mean: Micros::from_secs(1), spread: Estimate::SPREAD, source: Source::Own });
    let spreads = [1, 2, 4, 9, 100].map(|runs| estimate(&vec![1_000; runs]).spread);
    assert_eq!(spreads, [300, 212, 150, 100, 30]);
    assert_eq!(TestHistory::default().estimate(), None);
}

#[test]
fn a_restless_test_has_the_spread_that_was_seen() {
    let restless = estimate(&[1_000, 2_000].repeat(20));
    assert!((1_000..2_000).contains(&ms(restless.mean)), "{restless:?}");
    // The deviation of ln 1 and ln 2 is 0.35.
    assert!((280..420).contains(&restless.spread), "{restless:?}");
}

#[test]
fn one_odd_duration_moves_little_and_a_second_one_like_it_is_a_step() {
    let mut durations = vec![1_000; 10];
    durations.push(60_000);
    assert!(ms(estimate(&durations).mean) < 1_400, "{:?}", estimate(&durations));
    durations.push(50_000);
    assert!((50_000..60_000).contains(&ms(estimate(&durations).mean)), "{:?}", estimate(&durations));
    assert!(estimate(&durations).spread >= 212, "of the new level little is known");

    let back = estimate(&[1_000, 1_000, 1_000, 60_000, 1_000, 1_000]);
    assert!(ms(back.mean) < 1_200, "an odd one is over when it is over: {back:?}");
    let both = estimate(&[1_000, 1_000, 1_000, 60_000, 10]);
    assert!((500..1_400).contains(&ms(both.mean)), "two odd ones on different sides are no step: {both:?}");
}

#[test]
fn a_slow_drift_is_followed() {
    let drift: Vec<u64> = (0..30).map(|run| 1_000 + run * 40).collect();
    let drifted = ms(estimate(&drift).mean);
    assert!((2_000..2_200).contains(&drifted), "{drifted}");
}

#[test]
fn outcomes_are_counted_and_only_runs_are_measured() {
    let mut history = after(&[5_000]);
    history.learn(Verdict::Skipped, Some(Micros(10)), Time(2));
    history.learn(Verdict::Crashed, Some(Micros(10)), Time(3));
    history.learn(Verdict::Flaky, None, Time(4));
    let before = history;
    history.learn(Verdict::NotRun, Some(Micros(10)), Time(5));
    assert_eq!(history, before, "what was not run teaches nothing");
    assert_eq!(history.typical(), Micros::from_secs(5));
    let TestHistory { runs, passes, flakes, failures, skips, last, seen, recent, .. } = history;
    assert_eq!((runs, passes, flakes, failures, skips), (1, 1, 1, 1, 1));
    assert_eq!((last, seen, recent.to_string().as_str()), (Some(Verdict::Flaky), Time(4), ".x~"));

    let mut skipped = TestHistory::default();
    skipped.learn(Verdict::Skipped, Some(Micros(10)), Time(1));
    assert_eq!(skipped.estimate().map(|estimate| estimate.mean), Some(Micros(10)), "it will be skipped again");
    skipped.learn(Verdict::TimedOut, Some(Micros::from_secs(9)), Time(1));
    assert_eq!(skipped.typical(), Micros::from_secs(9), "until it runs");
}

#[test]
fn impossible_durations_stay_within_what_is_believed() {
    let mut history = TestHistory::default();
    for duration in [0, u64::MAX, u64::MAX, u64::MAX] {
        history.learn(Verdict::Passed, Some(Micros(duration)), Time(1));
        assert!(history.mean.is_finite() && history.variance.is_finite());
    }
    assert!(history.typical() <= LONGEST, "{:?}", history.typical());
    assert_eq!(TestHistory::imported(Micros::ZERO, Some(u16::MAX), Time(1)).typical(), Micros(1));
}

#[test]
fn an_imported_timing_is_worth_one_run_and_gives_way_to_measurements() {
    let mut history = TestHistory::imported(Micros::from_secs(4), None, Time(1));
    let wanted = Estimate { mean: Micros::from_secs(4), spread: 300, source: Source::Imported };
    assert_eq!(history.estimate(), Some(wanted));
    assert_eq!(TestHistory::imported(Micros(9), Some(700), Time(1)).spread(), 700);
    assert!(history.import(Micros::from_secs(3), None, Time(2)), "a newer file counts");
    history.learn(Verdict::Passed, Some(Micros::from_secs(2)), Time(2));
    assert!(!history.import(Micros::from_secs(9), None, Time(3)), "what was measured stays");
    let measured = history.estimate().expect("it was measured");
    assert_eq!((measured.source, history.runs), (Source::Own, 1));
    assert!((2_000..3_000).contains(&ms(measured.mean)), "{measured:?}");

    let mut another = TestHistory::imported(Micros::from_secs(60), None, Time(1));
    another.learn(Verdict::Passed, Some(Micros::from_ms(50)), Time(2));
    assert_eq!(another.typical(), Micros::from_ms(50), "it was about something else");

    let mut crashed = TestHistory::default();
    crashed.learn(Verdict::Crashed, None, Time(1));
    assert!(crashed.import(Micros::from_secs(3), None, Time(2)));
    assert_eq!((crashed.failures, crashed.typical()), (1, Micros::from_secs(3)));
}

#[test]
fn a_history_of_another_class_of_machines_is_scaled_and_is_less_sure() {
    let there = after(&[1_000; 50]);
    let here = there.scaled(2.0).estimate().expect("it was measured");
    assert_eq!((ms(here.mean), here.spread), (2_000, 300));
    assert_eq!(TestHistory::default().scaled(2.0), TestHistory::default());
}

/// Path, group, name, milliseconds.
type Known = (&'static str, Option<&'static str>, &'static str, u64);

fn estimator(tests: &[Known]) -> Estimator {
    let known: Vec<TestHistory> = tests.iter().map(|(.., ms)| after(&[*ms])).collect();
    let samples = tests.iter().zip(&known);
    Estimator::of(samples.map(|((file, group, name, _), known)| Sample { file, group: *group, name, known }))
}

#[test]
fn an_unknown_test_takes_as_long_as_what_is_most_like_it() {
    let suite = estimator(&[
        ("a/x.py", Some("db"), "test_db", 500),
        ("a/x.py", Some("db"), "test_db_too", 500),
        ("a/x.py", None, "test_p[1]", 2_000),
        ("a/x.py", None, "test_p[2]", 2_000),
        ("a/x.py", None, "T::test_q", 50),
        ("a/y.py", None, "test_r", 100),
        ("b/z.py", None, "test_s", 1),
    ]);
    let of = |file, group, name| suite.estimate(file, group, name, None);
    let near = |found: Estimate, wanted: u64, source| {
        assert_eq!(found.source, source, "{found:?}");
        let off = (found.mean.as_secs_f64() * 1e3 / wanted as f64).ln().abs();
        assert!(off < 0.7, "{found:?} is not about {wanted} ms");
    };
    near(of("a/x.py", None, "test_p[3]"), 2_000, Source::Group);
    near(of("a/x.py", Some("db"), "test_new"), 500, Source::Group);
    near(of("a/x.py", None, "T::test_new"), 200, Source::Group);
    near(of("a/x.py", None, "test_new"), 700, Source::File);
    near(of("a/new.py", None, "test_new"), 500, Source::Suite);
    near(of("b/new.py", None, "test_new"), 70, Source::Suite);
    near(of("c/new.py", None, "test_new"), 400, Source::Suite);
    near(Estimator::default().estimate("x", None, "t", None), 100, Source::Default);

    let own = after(&[7]);
    assert_eq!(suite.estimate("a/x.py", None, "test_p[3]", Some(&own)), own.estimate().expect("it was measured"));
    let crashed = TestHistory { failures: 1, ..TestHistory::default() };
    assert_eq!(suite.estimate("a/x.py", None, "test_p[3]", Some(&crashed)).source, Source::Group);
}

#[test]
fn the_estimates_of_many_unknown_tests_add_up_to_what_they_take() {
    // Ninety quick tests and ten slow ones: the mean of the logarithm would be a fifth of the average.
    let known: Vec<Known> = (0..100).map(|at| ("a.py", None, "test", if at % 10 == 0 { 5_000 } else { 100 })).collect();
    let unknown = estimator(&known).estimate("a.py", None, "test_new", None);
    let average = (90 * 100 + 10 * 5_000) / 100;
    let off = (unknown.mean.as_secs_f64() * 1e3 / f64::from(average)).ln().abs();
    assert!(off < 0.1, "{unknown:?} is not {average} ms");
    assert!((1_000..1_600).contains(&unknown.spread), "tests of the file lie far apart: {unknown:?}");
}

#[test]
fn tests_that_are_alike_make_a_new_one_sure_and_few_of_them_do_not() {
    let alike: Vec<Known> = vec![("a.py", None, "test", 100); 50];
    let sure = estimator(&alike).estimate("a.py", None, "test_new", None);
    let hardly = estimator(&alike[..1]).estimate("a.py", None, "test_new", None);
    assert!(sure.spread < 400 && hardly.spread > 700, "{sure:?} {hardly:?}");
}

#[test]
fn a_file_takes_what_its_tests_take_else_as_long_as_other_files() {
    let suite = estimator(&[
        ("a/x.py", None, "test_1", 1_000),
        ("a/x.py", None, "test_2", 3_000),
        ("b/y.py", None, "test_1", 10),
    ]);
    assert_eq!(ms(suite.file("a/x.py").whole()), 4_000);
    let like_a = ms(suite.file("a/new.py").whole());
    let like_b = ms(suite.file("b/new.py").whole());
    assert!(4_000 > like_a && like_a > like_b && like_b > 10, "{like_a} {like_b}");
    assert_eq!(Estimator::default().file("x.py").whole(), UNKNOWN_FILE);

    let whole = TestHistory::imported(Micros::from_secs(9), None, Time(1));
    let timed = Estimator::of([Sample { file: "a.py", group: None, name: "", known: &whole }]);
    assert_eq!(ms(timed.file("a.py").whole()), 9_000);
    assert_eq!(timed.estimate("a.py", None, "test", None).source, Source::Default, "no test of it is known");
}

#[test]
fn a_suite_where_every_test_has_one_name_up_to_parameters_is_one_family() {
    let known: Vec<Known> = vec![("a.py", None, "test[x]", 300); 1_000];
    let unknown = estimator(&known).estimate("a.py", None, "test[new]", None);
    assert_eq!((ms(unknown.mean), unknown.source), (300, Source::Group));
}

#[test]
fn a_moved_test_takes_over_the_history_of_the_only_one_that_vanished() {
    let (long, short) = (after(&[9_000; 20]), after(&[10]));
    let moves = Moves::of([
        ("old/test_a.py", "T::test_x[1]", &long),
        ("old/test_a.py", "test_both", &long),
        ("old/test_b.py", "test_both", &short),
    ]);
    let found = moves.find("new/test_c.py", "T::test_x[1]").expect("there is only one");
    assert_eq!((ms(found.mean), found.spread, found.source), (9_000, 300, Source::Renamed));
    assert_eq!(moves.find("new/test_c.py", "T::test_x[2]"), None, "other parameters are another test");
    assert_eq!(moves.find("new/test_c.py", "test_both"), None, "two could be meant");
    let by_file = moves.find("new/test_b.py", "test_both").expect("one stood in a file of that name");
    assert_eq!(ms(by_file.mean), 10);
    assert!(Moves::default().is_empty());
}

#[test]
fn a_renamed_test_takes_over_where_one_came_and_one_went() {
    let (long, short) = (after(&[9_000; 20]), after(&[10]));
    let found = renamed(
        ["T::test_new", "test_n[1]", "test_n[2]", "U::test_a", "U::test_b", "V::test_a"],
        [
            ("T::test_old", &long),
            ("test_o[1]", &long),
            ("test_o[2]", &short),
            // Two came for one, and one came for two.
            ("U::test_c", &long),
            ("V::test_b", &long),
            ("V::test_c", &long),
        ],
    );
    let mut found: Vec<(&str, u64)> = found.into_iter().map(|(name, estimate)| (name, ms(estimate.mean))).collect();
    found.sort_unstable();
    assert_eq!(found, [("T::test_new", 9_000), ("test_n[1]", 9_000), ("test_n[2]", 10)]);
}
