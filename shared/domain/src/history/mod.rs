//! What is remembered of tests, and what follows from it for the next run: how long a test may take, how sure that is,
//! how likely it is not to pass, and how much it usually asks of its databases.
//!
//! It leaves keeping it to the coordinator's projection, and reading files of timings to the client. It is pure: the
//! proof bench and `regatta split` estimate by the same rules as the planner. Why the rules are these, with the figures,
//! is in `docs/history.md`.

mod estimator;
mod level;
mod levels;
mod queries;
mod recent;
mod renames;
mod risk;
mod test;
#[cfg(test)]
mod tests;

pub use estimator::{Estimator, InFile, Sample, UNKNOWN_FILE, UNKNOWN_TEST};
pub use levels::Levels;
pub use queries::{Queried, Queries, Slower};
pub use recent::Recent;
pub use renames::{Moves, renamed};
pub use risk::risk;
pub use test::{LONGEST, TestHistory};
