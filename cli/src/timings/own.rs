//! What `regatta history export` writes: one JSON object a line, one line a test.

use super::json::without_nan;
use super::{Broken, Named, Timings};
use regatta_domain::Micros;
use regatta_wire::v1;
use serde_json::{Value, json};

/// The version of the lines. It grows when a key changes its meaning.
const VERSION: u64 = 1;

const EXPECTED: &str = "what `regatta history export` writes: a line like {\"v\": 1, \"suite\": \"api\", \"file\": \
    \"tests/test_a.py\", \"name\": \"test_b\", \"mean_s\": 1.5} for each test";

/// A test as a line.
pub(crate) fn line(suite: &str, test: &v1::Remembered) -> Option<Value> {
    let mean = Micros(test.mean?);
    Some(json!({
        "v": VERSION,
        "suite": suite,
        "file": test.file,
        "name": test.name,
        "mean_s": mean.as_secs_f64(),
        "spread": f64::from(test.spread) / 1_000.0,
        "runs": test.runs,
        "failures": test.failures,
    }))
}

/// Whether the first line is one of these.
pub(super) fn is_own(text: &str) -> bool {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let value: Option<Value> = serde_json::from_str(&without_nan(first)).ok();
    value.is_some_and(|value| value.get("v").is_some_and(Value::is_u64) && value.get("file").is_some())
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Timings, Broken> {
    let mut timings = Timings::default();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let broken = |what: String| Broken::new(format!("line {}{what}", at + 1)).expected(EXPECTED);
        let value: Value = serde_json::from_str(&without_nan(line)).map_err(|error| {
            let what = error.to_string();
            let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
            broken(format!(", column {}: {what}", error.column()))
        })?;
        match value.get("v").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(newer) => return Err(broken(format!(" is of version {newer}; this Regatta reads version {VERSION}"))),
            None => return Err(broken(" has no version `v`".to_owned())),
        }
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let (Some(suite), Some(file)) = (text("suite"), text("file")) else {
            return Err(broken(" has no `suite` or no `file`".to_owned()));
        };
        let named = Named::Own { suite, file, name: text("name").unwrap_or_default() };
        let spread = value.get("spread").and_then(Value::as_f64).filter(|spread| *spread >= 0.0).map(thousandths);
        timings.add(named, value.get("mean_s").and_then(Value::as_f64), spread);
    }
    Ok(timings)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn thousandths(spread: f64) -> u16 {
    (spread * 1_000.0).round() as u16
}
