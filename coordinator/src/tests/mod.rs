//! The whole coordinator, with clients and workers that are made by hand, over connections within the process.

mod failover;
mod care;
mod harness;
mod history;
mod refusals;
mod resources;
mod restart;
mod run;
mod standing;
