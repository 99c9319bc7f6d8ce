//! Runners: the adapters for test frameworks, and what every one of them promises.
//!
//! A runner belongs to one slot, one run and one suite; it may keep a framework warm between shards. It is handed
//! [`Shard`]s and tells a [`Sink`] everything that happens, in order. It decides nothing about retries, and never reports
//! a test that it did not see end.

mod agenda;
mod attempts;
mod clock;
mod contract;
pub mod exec;
mod exports;
mod holdings;
pub mod pytest;
mod reason;
pub mod rust;
mod snapshot;

pub use contract::{
    Brief, Control, FileWork, Finished, HeldItem, Holding, Numbered, Place, Runner, Shard, Sink, Tell, TestWork, Work,
};

pub use snapshot::Snapshot;

use regatta_domain::RunnerKind;
use regatta_domain::result::RunError;
use std::sync::Arc;

/// Opens runners on one slot. A [`Place`] opens those of the frameworks.
pub trait Bench: Send + Sync {
    /// Makes a runner for `brief`. Starts nothing yet.
    ///
    /// # Errors
    /// When the suite's settings make no sense to its runner: terminal for the suite.
    fn open(&self, brief: Arc<Brief>) -> Result<Box<dyn Runner>, RunError>;
}

impl Bench for Arc<Place> {
    fn open(&self, brief: Arc<Brief>) -> Result<Box<dyn Runner>, RunError> {
        open(brief, Self::clone(self))
    }
}

/// Makes a runner for `brief` at `place`. Starts nothing yet.
///
/// # Errors
/// When the suite's settings make no sense to its runner: terminal for the suite.
pub fn open(brief: Arc<Brief>, place: Arc<Place>) -> Result<Box<dyn Runner>, RunError> {
    Ok(match brief.suite.runner {
        RunnerKind::Pytest => Box::new(pytest::Pytest::open(brief, place)?),
        RunnerKind::Rust => Box::new(rust::Rust::open(brief, place)?),
        RunnerKind::Exec => Box::new(exec::Exec::open(brief, place)?),
    })
}
