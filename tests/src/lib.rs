//! The test rig: model, simulation, store, wire, cluster, load.

pub mod harness;
pub mod model;
pub mod schedule;
pub mod simulation;
