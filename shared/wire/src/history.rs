//! What is remembered of tests, and timings of other tools, on the wire.

use crate::invalid::{each, label, text};
use crate::limits::{ITEMS_PER_EVENT, LABEL_BYTES, NAME_BYTES, PATH_BYTES};
use crate::{Invalid, v1};
use regatta_domain::Micros;
use regatta_domain::history::{LONGEST, Queried, Queries, TestHistory};
use std::sync::Arc;

/// Timings of a suite that are to be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The namespace of history.
    pub project: Arc<str>,
    /// The suite's name.
    pub suite: Arc<str>,
    /// The class of machines; empty where none is told apart.
    pub environment: Arc<str>,
    /// The timings.
    pub timings: Vec<Timing>,
}

/// How long a test takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The path of its file.
    pub file: Arc<str>,
    /// Its name; empty for the whole file.
    pub name: Arc<str>,
    /// How long it takes.
    pub mean: Micros,
    /// See [`regatta_domain::Estimate::spread`].
    pub spread: Option<u16>,
}

impl TryFrom<v1::ImportRequest> for Import {
    type Error = Invalid;

    fn try_from(request: v1::ImportRequest) -> Result<Self, Invalid> {
        Ok(Self {
            project: label("project", request.project, LABEL_BYTES)?,
            suite: label("suite", request.suite, LABEL_BYTES)?,
            environment: text("environment", request.environment, LABEL_BYTES)?,
            timings: each("timings", request.timings, ITEMS_PER_EVENT)?,
        })
    }
}

impl From<Import> for v1::ImportRequest {
    fn from(import: Import) -> Self {
        Self {
            project: import.project.to_string(),
            suite: import.suite.to_string(),
            environment: import.environment.to_string(),
            timings: import.timings.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Timing> for Timing {
    type Error = Invalid;

    fn try_from(timing: v1::Timing) -> Result<Self, Invalid> {
        Ok(Self {
            file: label("file", timing.file, PATH_BYTES)?,
            name: text("name", timing.name, NAME_BYTES)?,
            // What nobody believes does not make the rest worthless.
            mean: Micros(timing.mean).clamp(Micros(1), LONGEST),
            spread: timing.spread.map(|spread| u16::try_from(spread).unwrap_or(u16::MAX)),
        })
    }
}

impl From<&Timing> for v1::Timing {
    fn from(timing: &Timing) -> Self {
        Self {
            file: timing.file.to_string(),
            name: timing.name.to_string(),
            mean: timing.mean.0,
            spread: timing.spread.map(u32::from),
        }
    }
}

/// A test that is remembered.
#[must_use]
pub fn remembered(file: &str, name: &str, known: &TestHistory) -> v1::Remembered {
    let estimate = known.estimate();
    v1::Remembered {
        file: file.to_owned(),
        name: name.to_owned(),
        mean: estimate.map(|estimate| estimate.mean.0),
        spread: estimate.map_or(0, |estimate| estimate.spread.into()),
        source: estimate.map_or(0, |estimate| v1::EstimateSource::from(estimate.source).into()),
        runs: known.runs,
        passes: known.passes,
        flakes: known.flakes,
        failures: known.failures,
        skips: known.skips,
        failing: thousandths(known.failing),
        recent: known.recent.0,
        last: known.last.map_or(0, |last| v1::Verdict::from(last).into()),
        seen: known.seen.0,
        queried: known.queries.iter().map(|one| v1::Queried { calls: one.calls, time: one.time.0 }).collect(),
    }
}

/// How much a test asked of its databases in its last runs.
#[must_use]
pub fn queries(test: &v1::Remembered) -> Queries {
    test.queried.iter().map(|one| Queried { calls: one.calls, time: Micros(one.time) }).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn thousandths(share: f64) -> u32 {
    (share * 1_000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_survives_the_wire_and_stays_within_its_bounds() {
        let timing = Timing { file: "a.py".into(), name: "t[1]".into(), mean: Micros(5), spread: Some(300) };
        let import =
            Import { project: "shop".into(), suite: "api".into(), environment: "".into(), timings: vec![timing] };
        let sent = v1::ImportRequest::from(import.clone());
        assert_eq!(Import::try_from(sent.clone()), Ok(import));

        let refused = |change: fn(&mut v1::ImportRequest)| {
            let mut sent = sent.clone();
            change(&mut sent);
            Import::try_from(sent).expect_err("it is refused").to_string()
        };
        assert_eq!(refused(|sent| sent.suite.clear()), "field `suite` is missing");
        assert_eq!(refused(|sent| sent.timings[0].file.clear()), "field `timings[0].file` is missing");
        let many = refused(|sent| sent.timings = vec![v1::Timing::default(); 5_001]);
        assert_eq!(many, "field `timings` has 5001 items, and may have 5000");

        let huge = v1::Timing { mean: u64::MAX, spread: Some(u32::MAX), ..sent.timings[0].clone() };
        let huge = Timing::try_from(huge).expect("it is believed as far as anybody believes");
        assert_eq!((huge.mean, huge.spread), (LONGEST, Some(u16::MAX)));
    }
}
