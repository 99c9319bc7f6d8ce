//! The whole coordinator, with clients and workers that are made by hand, over connections within the process.

mod away;
mod care;
mod failover;
mod harness;
mod history;
mod refusals;
mod resources;
mod restart;
mod run;
mod standing;
