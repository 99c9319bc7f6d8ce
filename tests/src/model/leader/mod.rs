//! Who leads, and for how long, in every interleaving: two or three candidates, the row of the leader in the database, the journal
//! that checks its epoch, and two workers that want the one thing there is.
//!
//! All of it is modelled here, and none of it is the real code: that speaks to a database and sleeps (`coordinator/src/store/postgres`,
//! `worker/src/tenure.rs`), and of the core (`coordinator/core`) it takes so much here that its own model, beside this one, would
//! have to be visited for each of these states. The rules are the same, word for word, and stand beside each other: what the
//! statements in `leader.rs` and in the journal say is in [`store`], what a leader does with leases in [`candidate`], what a worker
//! counts on in [`worker`].
//!
//! Time goes in ticks, and clocks at one rate: the tenths by which terms and leases are cut short for clocks that differ are left
//! to tests of those. In each tick whoever leads, runs and reaches the database asks for its term again; everything else may happen
//! at any time, or never. What is asked of the database is answered at once, unless a fault makes it late: then it is carried out at
//! any time, or never, and nobody hears of it. Signs of life of workers, their answers, and leases are under way for as long as they
//! like. A worker dials whom it asks for work, or tells a result, at that moment: what it did before, without anything to lose, is
//! left out.

mod candidate;
mod moves;
mod store;
mod worker;
mod world;

pub use store::Entry;
pub use world::{Action, Fault};

use super::{Visited, explore_from};
use world::Leaders;

/// A deliberate fault, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// The journal does not check the epoch of whoever appends.
    AppendsUnchecked,
    /// A term is renewed although another one leads.
    RenewsAnothers,
    /// One that resigns late ends the term of another one.
    ResignsAnothers,
    /// A leader is followed before its term has passed.
    TakesEarly,
    /// Workers have no time to come back after a take-over.
    NoGrace,
    /// A worker counts from the answer to its sign of life, and not from when it sent it.
    CountsFromAnswer,
    /// Signs of life are answered by one that may not lead any more.
    AnswersUnvouched,
    /// Workers are taken in by one that may not lead any more.
    AttachesUnvouched,
    /// Results are acknowledged before they are recorded.
    AcknowledgesAhead,
    /// What was appended without an answer counts as written.
    TakesForWritten,
}

impl Wrong {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::AppendsUnchecked,
        Self::RenewsAnothers,
        Self::ResignsAnothers,
        Self::TakesEarly,
        Self::NoGrace,
        Self::CountsFromAnswer,
        Self::AnswersUnvouched,
        Self::AttachesUnvouched,
        Self::AcknowledgesAhead,
        Self::TakesForWritten,
    ];
}

/// Ticks of a term: whoever leads may miss one.
const TERM: u8 = 2;

/// Ticks of a lease.
const LEASE: u8 = 3;

/// Grants of the thing there is, at most.
const GRANTS: u8 = 2;

/// Visits every state that so many candidates can come to with so many faults; `wrong` is what one of them does wrong.
///
/// # Errors
/// What broke, after the actions that led there.
pub fn explore(candidates: usize, faults: u8, wrong: Option<Wrong>) -> Result<Visited, String> {
    explore_from(Leaders::new(candidates, faults, wrong))
}
