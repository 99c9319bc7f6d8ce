//! Databases for tests: servers that are found or started, templates, pools of clones, and what tests did to them.
//!
//! It knows nothing of scheduling: whoever leases decides who may ask; here a lease of a database begins, is watched, and
//! ends verified.

pub mod audit;
pub mod watch;
