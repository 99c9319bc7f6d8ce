//! The clean-up registry: what a test asked to be done after it, however it ended.
//!
//! A test appends lines to the file that `REGATTA_CLEANUP` names; any language can, and the lines outlive a crash. After the
//! attempt they are performed, the last first.
//!
//! - [`registry`] reads the file, [`entry`] a line of it; [`http`] speaks to servers.
//! - [`mod@perform`] does what they say, each with its limit and its tries, and tells what failed.

mod entry;
mod http;
mod perform;
mod registry;

pub(crate) use perform::perform;
pub(crate) use registry::left;
