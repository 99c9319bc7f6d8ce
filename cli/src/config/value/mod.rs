//! The kinds of values that keys of `regatta.toml` have: each read, checked, and described in the schema, in one place.

mod argv;
mod memory;
mod name;
mod need;
mod pattern;
mod span;
mod switch;
mod whole;

pub(crate) use argv::Argv;
pub(crate) use memory::Memory;
pub(crate) use name::Name;
pub(crate) use need::{Label, MAX_SEATS, NeedWord};
pub(crate) use pattern::Selected;
pub(crate) use span::{Limit, Wait};
pub(crate) use switch::{FailFast, Shuffle};
pub(crate) use whole::Whole;
