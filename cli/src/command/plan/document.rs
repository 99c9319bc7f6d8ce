//! A prediction for machines: what it comes to, and the whole schedule.

use super::Prediction;
use crate::forecast::{Binds, Reach};
use regatta_domain::{Costs, Micros};
use serde_json::{Value, json};

fn seconds(span: Micros) -> f64 {
    span.as_secs_f64()
}

/// What a prediction comes to.
pub(super) fn summary(prediction: &Prediction<'_>) -> Value {
    let Prediction { prospect, outlook, table, target } = prediction;
    let view = prospect.view();
    let binds = match outlook.bound.binds() {
        Binds::Work(share) => json!({ "kind": "work", "seconds": seconds(share) }),
        Binds::Test(test, takes) => json!({ "kind": "test", "name": view.id(test), "seconds": seconds(takes) }),
        Binds::Resource(name, busy) => json!({ "kind": "resource", "name": name, "seconds": seconds(busy) }),
    };
    let sources = prospect
        .sources()
        .into_iter()
        .map(|(source, tests, share)| json!({ "source": source.name(), "tests": tests, "share": share }));
    let suites = view.suites.iter().map(|suite| {
        let Costs { start, batch, file, group, test } = suite.costs;
        json!({
            "suite": suite.name, "start_s": seconds(start), "batch_s": seconds(batch), "file_s": seconds(file),
            "group_s": seconds(group), "test_s": seconds(test),
        })
    });
    let table = table.iter().map(|(slots, makespan)| json!({ "slots": slots, "makespan_s": seconds(*makespan) }));
    json!({
        "v": 1,
        "tests": prospect.count(),
        "work_s": seconds(prospect.work()),
        "slots": outlook.slots,
        "makespan_s": seconds(outlook.makespan),
        "bound_s": seconds(outlook.bound.least()),
        "ratio": outlook.ratio(),
        "binds": binds,
        "stranded": outlook.stranded,
        "estimates": sources.collect::<Vec<_>>(),
        "costs": suites.collect::<Vec<_>>(),
        "table": table.collect::<Vec<_>>(),
        "target": target.as_ref().map(|(target, reach)| aim(prediction, *target, reach)),
    })
}

fn aim(prediction: &Prediction<'_>, target: Micros, reach: &Reach) -> Value {
    let why = reach.line(prediction.prospect, target);
    match reach {
        Reach::On(slots, time) => {
            json!({ "target_s": seconds(target), "slots": slots, "makespan_s": seconds(*time), "why": why })
        }
        Reach::Never(_) | Reach::Best(..) => json!({ "target_s": seconds(target), "slots": null, "why": why }),
    }
}

/// The whole schedule.
pub(super) fn schedule(prediction: &Prediction<'_>) -> Value {
    let Prediction { prospect, outlook, .. } = prediction;
    let view = prospect.view();
    let tests = outlook.shifts.iter().map(|shift| {
        let test = view.test(shift.test);
        json!({
            "suite": view.suite_of(shift.test).name,
            "id": view.id(shift.test),
            "slot": shift.slot,
            "start_s": seconds(shift.began),
            "end_s": seconds(shift.ended),
            "estimate_s": seconds(test.estimate),
            "source": test.source.name(),
        })
    });
    json!({
        "v": 1,
        "slots": outlook.slots,
        "bound_s": seconds(outlook.bound.least()),
        "makespan_s": seconds(outlook.makespan),
        "tests": tests.collect::<Vec<_>>(),
    })
}
