//! How well a fleet is kept busy: suites whose durations are known, run on a virtual clock by Regatta's own core and by what
//! others do, and measured against what nobody can beat.
//!
//! A [`Case`] is all there is to know of one run. [`bound`] says how long it takes at least, [`peers`] and [`regatta`] how
//! long it takes with them. [`trace`] and [`synth`] bring the suites, [`cases`] makes the named cases of them, and
//! [`laboratory`] runs all of it into the cells of a [`table`].

pub mod arguments;
pub mod bound;
pub mod case;
pub mod cases;
mod chance;
pub mod contended;
pub mod cost;
pub mod laboratory;
#[cfg(test)]
mod optimum;
pub mod peers;
pub mod properties;
pub mod regatta;
pub mod suites;
pub mod synth;
pub mod table;
pub mod trace;

pub use case::{Case, Known, Slot, Test};
