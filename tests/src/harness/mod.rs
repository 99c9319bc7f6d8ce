//! Real processes under test: a scratch project, the `regatta` binary, a coordinator with workers, and clients whose event
//! stream says when something has happened. Nothing here waits for time: every wait is for a line of output.

mod binary;
mod client;
mod cluster;
mod project;

pub use binary::{regatta, root, test_python};
pub use client::{Client, Ended, Said};
pub use cluster::Cluster;
pub use project::Project;
