//! What suites cost a slot beside their tests, as it was measured run by run.

use super::write::Ids;
use regatta_domain::{Costs, Micros};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::sync::Arc;

/// The weight of the newest run.
const ALPHA: f64 = 0.3;

/// No start of a runner takes longer, and no other cost: more is a clock that jumped, or a machine that slept.
const LONGEST: Micros = Micros::from_secs(600);

/// Costs that were measured, each where there was anything to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Learnt {
    /// See [`Costs::start`].
    pub start: Option<Micros>,
    /// See [`Costs::batch`].
    pub batch: Option<Micros>,
    /// See [`Costs::file`].
    pub file: Option<Micros>,
    /// See [`Costs::test`].
    pub test: Option<Micros>,
}

impl Learnt {
    /// Whether nothing was measured.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self { start: None, batch: None, file: None, test: None })
    }

    /// What was measured, and `assumed` for the rest.
    #[must_use]
    pub fn over(self, assumed: Costs) -> Costs {
        Costs {
            start: self.start.unwrap_or(assumed.start),
            batch: self.batch.unwrap_or(assumed.batch),
            file: self.file.unwrap_or(assumed.file),
            group: assumed.group,
            test: self.test.unwrap_or(assumed.test),
        }
    }

    fn parts(&mut self) -> [&mut Option<Micros>; 4] {
        [&mut self.start, &mut self.batch, &mut self.file, &mut self.test]
    }
}

/// What is known of a suite: on this class, else on the one that comes first.
pub(super) fn read(connection: &Connection, suite: Option<i64>, class: &str) -> rusqlite::Result<Learnt> {
    let find = "SELECT start, batch, file, test FROM costs WHERE suite = ? ORDER BY class = ? DESC, class LIMIT 1";
    let learnt = |row: &Row<'_>| {
        let mut learnt = Learnt::default();
        for (at, part) in learnt.parts().into_iter().enumerate() {
            *part = row.get::<_, Option<f64>>(at)?.map(micros);
        }
        Ok(learnt)
    };
    let found = connection.prepare_cached(find)?.query_row(params![suite, class], learnt).optional()?;
    Ok(found.unwrap_or_default())
}

impl Ids<'_> {
    /// What a run measured.
    pub(super) fn costs(
        &self,
        project: &Arc<str>,
        suite: &Arc<str>,
        class: &str,
        mut measured: Learnt,
    ) -> rusqlite::Result<()> {
        let suite = self.suite(project, suite)?;
        let find = "SELECT 1 FROM costs WHERE suite = ? AND class = ?";
        let is_known = self.transaction.prepare_cached(find)?.exists(params![suite, class])?;
        let mut known = if is_known { read(self.transaction, Some(suite), class)? } else { Learnt::default() };
        for (known, measured) in known.parts().into_iter().zip(measured.parts()) {
            let Some(measured) = measured.map(|measured| measured.min(LONGEST)) else { continue };
            *known = Some(known.map_or(measured, |known| blend(known, measured)));
        }
        let [start, batch, file, test] = known.parts().map(|part| part.map(real));
        self.execute(
            "INSERT OR REPLACE INTO costs (suite, class, start, batch, file, test) VALUES (?, ?, ?, ?, ?, ?)",
            params![suite, class, start, batch, file, test],
        )
    }
}

fn blend(known: Micros, measured: Micros) -> Micros {
    micros(real(known) + ALPHA * (real(measured) - real(known)))
}

#[expect(clippy::cast_precision_loss, reason = "costs are far below 2^52 microseconds")]
const fn real(span: Micros) -> f64 {
    span.0 as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn micros(real: f64) -> Micros {
    Micros(real.round() as u64).min(LONGEST)
}
