//! What was inferred, as people and programs are told.

use super::infer::{Found, Row};
use super::seen::confidence_name;
use crate::render::safe;
use regatta_domain::{Confidence, Level};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Lines for people: each test with its level and why, those without one, and how many there are of each.
pub(super) fn table(found: &Found) -> String {
    let mut text = String::new();
    for row in &found.tests {
        let mut more = String::new();
        if row.confidence < Confidence::Full {
            let _infallible = write!(more, "; confidence {}", confidence_name(row.confidence));
        }
        if let Some((level, by)) = row.declared {
            let _infallible = write!(more, "; declared {} by {}", level.name(), article(by));
        }
        let id = safe::one_line(&row.key.1).into_owned();
        let _infallible = writeln!(text, "{:<11}  {id}  it {}{more}", row.level.name(), row.because);
        for note in &row.notes {
            let _infallible = writeln!(text, "{:<11}    {}", "", safe::one_line(note));
        }
    }
    if !found.without.is_empty() {
        text.push_str("\nno level:\n");
    }
    for test in &found.without {
        let verdict = test.verdict.map_or("not run", |verdict| verdict.name());
        let (id, reason) = (safe::one_line(&test.key.1), safe::one_line(&test.reason));
        let _infallible = writeln!(text, "{verdict:<11}  {id}  {reason}");
    }
    text.push('\n');
    for level in Level::ALL {
        let _infallible = writeln!(text, "{:<11}  {:>6}", level.name(), count(&found.tests, level));
    }
    if !found.without.is_empty() {
        let _infallible = writeln!(text, "{:<11}  {:>6}", "no level", found.without.len());
    }
    text
}

/// One document for programs.
pub(super) fn document(found: &Found) -> Value {
    let test = |row: &Row| {
        json!({
            "suite": row.key.0,
            "id": row.key.1,
            "level": row.level.name(),
            "confidence": confidence_name(row.confidence),
            "because": row.because,
            "facts": row.facts,
            "notes": row.notes,
            "declared": row.declared.map(|(level, by)| json!({ "level": level.name(), "by": by })),
        })
    };
    let without = found.without.iter().map(|test| {
        json!({
            "suite": test.key.0,
            "id": test.key.1,
            "verdict": test.verdict.map(|verdict| verdict.name()),
            "reason": test.reason,
        })
    });
    let counts = Level::ALL.into_iter().map(|level| (level.name().to_owned(), count(&found.tests, level).into()));
    json!({
        "run": found.run,
        "tests": found.tests.iter().map(test).collect::<Vec<_>>(),
        "without": without.collect::<Vec<_>>(),
        "counts": counts.collect::<serde_json::Map<String, Value>>(),
    })
}

fn count(tests: &[Row], level: Level) -> usize {
    tests.iter().filter(|row| row.level == level).count()
}

fn article(by: &str) -> String {
    match by {
        "override" => "an override".to_owned(),
        "marker" => "its marker".to_owned(),
        other => other.to_owned(),
    }
}
