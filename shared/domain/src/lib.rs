//! What each noun of Regatta is.
//!
//! A *suite* becomes a *plan*, cut into *shards*; a shard is granted to a worker's slot as a *lease*; what comes back
//! are *results*, one per *attempt*; the accepted ones become *verdicts*, exactly one per planned test.
//!
//! This crate leaves all movement to `regatta-core`, and all bytes to `regatta-wire`. It does no IO, reads no clock,
//! and draws no random numbers; its short dependency list is the proof.

pub mod cause;
pub mod cost;
pub mod database;
pub mod duration;
pub mod estimate;
pub mod evidence;
pub mod filter;
pub mod history;
pub mod ids;
pub mod level;
pub mod limits;
pub mod listing;
pub mod needs;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod report;
pub mod resource;
pub mod result;
pub mod runner;
pub mod submission;
pub mod time;
pub mod verdict;

pub use cause::{Cause, Exit};
pub use cost::Costs;
pub use estimate::{Estimate, Source};
pub use evidence::{Confidence, Evidence, Fact, Facts};
pub use ids::{
    Digest, FileIx, FileKey, GroupIx, NeedsIx, PolicyIx, RunId, SlotIx, SuiteIx, TestIx, TestKey, Token, WorkerId,
};
pub use level::Level;
pub use needs::{Need, Needs, Relation, Want};
pub use outcome::{Nuance, Outcome};
pub use resource::{Held, Item, Offer, Resource, ResourceKind};
pub use runner::RunnerKind;
pub use time::{Micros, Time};
pub use verdict::Verdict;
