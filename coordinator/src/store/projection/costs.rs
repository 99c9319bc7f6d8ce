//! What suites cost a slot beside their tests, as it was measured run by run.

use regatta_domain::{Costs, Micros};

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

    /// As the columns `start`, `batch`, `file` and `test` say, in microseconds.
    pub(super) fn of(columns: [Option<f64>; 4]) -> Self {
        let [start, batch, file, test] = columns.map(|part| part.map(micros));
        Self { start, batch, file, test }
    }

    /// The columns.
    pub(super) fn columns(mut self) -> [Option<f64>; 4] {
        self.parts().map(|part| part.map(real))
    }

    /// Takes in what another run measured.
    pub(super) fn blend(&mut self, mut measured: Self) {
        for (known, measured) in self.parts().into_iter().zip(measured.parts()) {
            let Some(measured) = measured.map(|measured| measured.min(LONGEST)) else { continue };
            *known = Some(known.map_or(measured, |known| micros(real(known) + ALPHA * (real(measured) - real(known)))));
        }
    }

    const fn parts(&mut self) -> [&mut Option<Micros>; 4] {
        [&mut self.start, &mut self.batch, &mut self.file, &mut self.test]
    }
}

#[expect(clippy::cast_precision_loss, reason = "costs are far below 2^52 microseconds")]
const fn real(span: Micros) -> f64 {
    span.0 as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn micros(real: f64) -> Micros {
    Micros(real.round() as u64).min(LONGEST)
}
