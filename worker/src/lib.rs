//! The worker: a process that offers slots. Stateless: it can die at any time and nothing is lost.
//!
//! - [`process`] starts test processes through a small spawner of its own, bounds what they may print and how long they
//!   may live, and leaves none behind.
//! - [`runner`] knows the test frameworks, one folder each.
//!
//! It leaves every decision about what runs where to the coordinator.

pub mod process;
pub mod runner;
