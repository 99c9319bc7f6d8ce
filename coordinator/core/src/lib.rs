//! How each noun of Regatta moves: a deterministic state machine.
//!
//! [`Core::step`] takes a moment, a source of chance and a [`Command`], and gives [`Event`]s and [`Effect`]s.
//! [`State::fold`] is the only place where durable state changes, and replaying the events gives the same state. What is
//! known only while connections stand (who is attached, who asks, what runs right now) is [`presence`], and is lost at a
//! restart by design.
//!
//! This crate does no IO, reads no clock, draws no random numbers, and never sees a byte of test output.

pub mod agenda;
pub mod command;
pub mod effect;
pub mod entropy;
pub mod event;
pub mod invariant;
mod ledger;
mod mutant;
pub mod presence;
pub mod rehearsal;
pub mod state;
mod step;
#[cfg(test)]
mod tests;
mod wanted;

pub use command::{Command, Entry, Refusal, ReplyTo, SessionId, Setup, Share, Tuning};
pub use effect::{Effect, Grant, GrantedTest, GrantedWork, ToWorker};
pub use entropy::Entropy;
pub use event::{Accepted, Blamed, Blameless, Event, LeaseEnd, Refused, Then, Work};
pub use ledger::{Health, Ledger};
#[cfg(feature = "mutants")]
pub use mutant::{Mutant, turn_on};
pub use state::{Lease, Run, State};
pub use step::{Core, Step};
