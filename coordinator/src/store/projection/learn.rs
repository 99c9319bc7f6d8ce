//! What verdicts and imported timings teach of tests. Where that is kept is left to the kinds of stores.

use super::row::Row;
use regatta_domain::history::TestHistory;
use regatta_domain::{Micros, RunId, TestKey, Verdict};
use std::sync::Arc;

/// A row that teaches something of a test.
#[derive(Clone, Copy)]
pub(super) struct Lesson<'a> {
    pub(super) project: &'a Arc<str>,
    pub(super) suite: &'a Arc<str>,
    pub(super) path: &'a Arc<str>,
    pub(super) name: &'a Arc<str>,
    pub(super) key: TestKey,
    row: &'a Row,
}

impl<'a> Lesson<'a> {
    /// What a row teaches. A test that was not run teaches nothing.
    pub(super) const fn of(row: &'a Row) -> Option<Self> {
        match row {
            Row::Verdict { verdict: Verdict::NotRun, .. } => None,
            Row::Verdict { project, suite, path, name, key, .. }
            | Row::Imported { project, suite, path, name, key, .. } => {
                Some(Self { project, suite, path, name, key: *key, row })
            }
            _ => None,
        }
    }

    /// The run whose history it is; none where the row says itself whose.
    pub(super) const fn run(&self) -> Option<RunId> {
        match self.row {
            Row::Verdict { run, .. } => Some(*run),
            _ => None,
        }
    }

    /// Teaches: with the duration on a worker of speed 1, and with what was seen of the test's databases. Whether anything
    /// is known now that was not.
    pub(super) fn teach(&self, history: &mut TestHistory) -> bool {
        match self.row {
            Row::Verdict { verdict, duration, speed, observed, queried, at, .. } => {
                history.learn(*verdict, duration.map(|duration| at_speed_1(duration, *speed)), *at);
                if let Some(observed) = observed {
                    history.levels.push(*observed);
                }
                if let Some(queried) = queried {
                    history.queries.push(*queried);
                }
                true
            }
            Row::Imported { mean, spread, at, .. } => history.import(*mean, *spread, *at),
            _ => false,
        }
    }
}

/// What took `duration` on a worker of this speed, on one of speed 1.
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and speeds are positive"
)]
fn at_speed_1(duration: Micros, speed: f64) -> Micros {
    if speed.is_finite() && speed > 0.0 { Micros((duration.0 as f64 * speed) as u64) } else { duration }
}
