//! What running tests costs beside the tests: the start of a batch, a file, a group, each test.

use crate::{Micros, RunnerKind};
use serde::{Deserialize, Serialize};

/// What a suite costs a slot beside its tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Costs {
    /// The first shard of the suite on a slot: its processes start.
    pub start: Micros,
    /// Each further shard on that slot. As much as `start` where nothing is kept warm.
    pub batch: Micros,
    /// A file that the slot was not at.
    pub file: Micros,
    /// The set-up of a group that shares fixtures.
    pub group: Micros,
    /// A test, beyond what it measures of itself.
    pub test: Micros,
}

impl Costs {
    /// What is assumed until it was measured. From the runners' own suites on two cores: a pytest process is up after 0.4
    /// s and takes a file in 20 ms; a Rust test binary starts in 2 ms; a command is nothing but its own process.
    #[must_use]
    pub const fn of(runner: RunnerKind) -> Self {
        let none = Self {
            start: Micros::ZERO,
            batch: Micros::ZERO,
            file: Micros::ZERO,
            group: Micros::ZERO,
            test: Micros::ZERO,
        };
        match runner {
            RunnerKind::Pytest => Self {
                start: Micros::from_ms(400),
                file: Micros::from_ms(20),
                group: Micros::from_ms(5),
                test: Micros(150),
                ..none
            },
            RunnerKind::Rust => Self { file: Micros::from_ms(2), test: Micros::from_ms(2), ..none },
            RunnerKind::Exec => Self { test: Micros::from_ms(1), ..none },
        }
    }

    /// What it costs where nothing is kept from one shard to the next: each begins as the first one did.
    #[must_use]
    pub const fn afresh(self) -> Self {
        Self { batch: self.start, ..self }
    }
}
