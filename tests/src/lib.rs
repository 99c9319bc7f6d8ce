//! The test rig: model, simulation, store, wire, cluster, load.

pub mod simulation;
pub mod harness;
