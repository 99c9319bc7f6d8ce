//! The configuration: found, read into types, checked whole, and resolved into the rules of a run.
//!
//! - [`discover`] finds `regatta.toml`; [`assume`] stands in where there is none.
//! - [`mod@file`] and the sections beside it are the types; [`decode`] reads them and collects every mistake.
//! - [`resolve`] decides between flags, environment, overrides, profiles and defaults, and remembers which one it was.
//!
//! Nothing here starts a run. What is wrong is told before anything is run, all of it together.

mod assume;
mod at;
pub(crate) mod database;
pub(crate) mod decode;
pub(crate) mod discover;
pub(crate) mod file;
mod load;
pub(crate) mod origin;
mod policy;
pub(crate) mod profile;
pub(crate) mod resolve;
pub(crate) mod resource;
mod rules;
mod schema;
pub(crate) mod settings;
pub(crate) mod suite;
pub(crate) mod value;

pub(crate) use at::At;
pub(crate) use load::Config;
pub(crate) use origin::Set;

pub(crate) use schema::schema;

#[cfg(test)]
mod tests;
