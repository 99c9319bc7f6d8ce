//! What was predicted of a run before its start, what became of it, and why.

use super::{safe, status, words};
use crate::forecast::{Binds, Fleet, Outlook, Prospect, QUICK};
use crate::view::View;
use regatta_domain::{Micros, TestIx};

/// A run, as it was to be expected from what was known before its start; `None` where not all of its tests were.
pub(crate) fn foreseen(view: &View, fleet: &Fleet, slots: u32) -> Option<Outlook> {
    let whole = view.ended.is_some() && view.cancelled.is_none() && !view.grew && view.files_to_list() == 0;
    if !whole || view.planned_count() > QUICK || !view.tests.iter().any(|test| test.source.is_own()) {
        return None;
    }
    let outlook = Prospect::new(view, fleet.clone()).on(slots.max(1));
    (outlook.makespan > Micros::ZERO && outlook.stranded == 0).then_some(outlook)
}

/// Predicted and actual, with what made the difference.
pub(crate) fn words(view: &View, outlook: &Outlook) -> String {
    let took = view.ended.map_or(Micros::ZERO, |ended| ended.since(view.submitted));
    let predicted = outlook.makespan;
    let said = format!("{}, took {}", words::span(predicted), words::span(took));
    let late = took.saturating_sub(predicted);
    if late.0 <= predicted.0 / 20 + 50_000 {
        return said;
    }
    let why = why(view, outlook, took, late);
    if why.is_empty() { said } else { format!("{said}: {}", why.join("; ")) }
}

/// What made a run take longer than predicted, in at most two clauses, the most telling ones first.
fn why(view: &View, outlook: &Outlook, took: Micros, late: Micros) -> Vec<String> {
    let mut why = Vec::new();
    let weighs = |span: Micros| span.0 > late.0 / 4;
    if let Some((test, excess)) = surprise(view)
        && weighs(excess)
    {
        let found = view.test(test);
        let (duration, estimate) = (found.duration(), found.estimate);
        let factor = duration.as_secs_f64() / estimate.as_secs_f64().max(1e-6);
        let id = status::id(view, test);
        why.push(format!(
            "{id} took {} instead of {} ({factor:.1} times)",
            words::span(duration),
            words::span(estimate)
        ));
    }
    if view.lost > 0 {
        why.push(format!("{} lost with their workers", words::count_of(view.lost as usize, "lease")));
    }
    let first = view.tests.iter().flat_map(|test| &test.attempts).map(|attempt| attempt.started).min();
    let start = first.map_or(Micros::ZERO, |first| first.since(view.submitted)).saturating_sub(outlook.bound.start);
    if weighs(start) {
        why.push(format!("the first test began {} later than thought", words::span(start)));
    }
    if let Binds::Resource(name, busy) = outlook.bound.binds()
        && busy.0 > took.0 / 4 * 3
    {
        why.push(format!("the resource {} is busy for {}", safe::one_line(&name), words::span(busy)));
    }
    let work: Micros = view.planned().map(|(_, test)| test.duration()).sum();
    let others = work.saturating_sub(surprise(view).map_or(Micros::ZERO, |(_, excess)| excess));
    let estimated: Micros = view.planned().filter(|(_, test)| !test.ignored).map(|(_, test)| test.estimate).sum();
    if others.0 > estimated.0 + estimated.0 / 10 {
        let factor = others.as_secs_f64() / estimated.as_secs_f64().max(1e-6);
        why.push(format!("tests on the whole took {factor:.1} times as long as thought"));
    }
    let whole = took.as_secs_f64() * f64::from(outlook.slots);
    let idle = 1.0 - work.as_secs_f64() / whole.max(1e-6);
    if idle > 0.25 {
        why.push(format!("slots ran no test for {:.0}% of the time", idle * 100.0));
    }
    why.truncate(2);
    why
}

/// The test that exceeded its estimate by most, where it took at least twice as long.
fn surprise(view: &View) -> Option<(TestIx, Micros)> {
    let excess = |(ix, test): (TestIx, &crate::view::Test)| {
        let duration = test.duration();
        (duration.0 > test.estimate.0.saturating_mul(2)).then(|| (ix, duration.saturating_sub(test.estimate)))
    };
    view.planned().filter_map(excess).max_by_key(|&(_, excess)| excess)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs::Resources;
    use crate::view::script::{Script, came};
    use regatta_domain::{Outcome, Source, Verdict};
    use regatta_wire::v1;

    /// A run of four tests on two slots, 100 ms each; the last takes `last_ms`, and the first begins after `start_ms`.
    fn told(last_ms: u64, start_ms: u64) -> Option<String> {
        let mut script = Script::new(&[("api", "exec")], |_, _, _| {});
        script.file(0, "a", &[("t1", 100), ("t2", 100), ("t3", 100), ("t4", 100)]);
        script.view.tests.iter_mut().for_each(|test| test.source = Source::Own);
        script.pass_ms(start_ms);
        let shards = [script.lease(0, &["a::t1", "a::t2"]), script.lease(1, &["a::t3", "a::t4"])];
        script.pass_ms(100);
        script.result(shards[0], "a::t1", came(Outcome::Passed, 100), Some(Verdict::Passed));
        script.result(shards[1], "a::t3", came(Outcome::Passed, 100), Some(Verdict::Passed));
        script.pass_ms(100);
        script.result(shards[0], "a::t2", came(Outcome::Passed, 100), Some(Verdict::Passed));
        script.pass_ms(last_ms - 100);
        script.result(shards[1], "a::t4", came(Outcome::Passed, last_ms), Some(Verdict::Passed));
        script.end(v1::RunOutcome::Green);
        let outlook = foreseen(&script.view, &Fleet::here(2, &[], Resources::new()), 2)?;
        Some(words(&script.view, &outlook))
    }

    #[test]
    fn a_run_that_went_as_predicted_is_told_in_two_numbers() {
        assert_eq!(told(110, 0).as_deref(), Some("0.20s, took 0.21s"));
    }

    #[test]
    fn what_made_the_difference_is_named_in_two_clauses() {
        let wanted =
            "0.20s, took 2.10s: a::t4 took 2.00s instead of 0.10s (20.0 times); slots ran no test for 45% of the time";
        assert_eq!(told(2_000, 0).as_deref(), Some(wanted));
        let wanted =
            "0.20s, took 1.20s: the first test began 1.00s later than thought; slots ran no test for 83% of the time";
        assert_eq!(told(100, 1_000).as_deref(), Some(wanted));
    }
}
