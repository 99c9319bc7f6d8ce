//! The worker: a process that offers slots. It can die at any time and nothing is lost.
//!
//! - [`process`] starts test processes through a small spawner of its own, bounds what they may print and how long they
//!   may live, and leaves none behind.
//! - [`runner`] knows the test frameworks, one folder each.
//! - [`databases`] asks the coordinator for what tests need of databases, and gives it back; `cleanup` performs what tests
//!   asked to be done after them.
//! - `slot` works through shards, `desk` knows what the slots hold and what they said, `outbox` keeps what is not
//!   acknowledged, `spool` keeps it over the end of the process, `session` carries it over one stream after the other, `tenure` knows how long leases are certainly its own.
//!
//! It leaves every decision about what runs where to the coordinator.

mod cleanup;
pub mod databases;
mod desk;
mod outbox;
pub mod process;
pub mod runner;
mod scratch;
mod serve;
mod session;
mod slot;
mod spool;
mod tenure;
mod translate;

pub use serve::{Config, serve, serve_at};
pub use session::Error;
pub use spool::SpoolPlace;
