//! The nouns on the wire: the code generated from `proto/`, and the conversions to and from `regatta-domain`, one file
//! per noun.
//!
//! It leaves all movement to others. Its invariant: what comes out of a conversion from the wire is within every bound of
//! `limits.rs`, here and in the domain; what is not is an [`Invalid`] that names the field.

pub mod database;
pub mod event;
pub mod history;
mod ids;
mod invalid;
pub mod level;
pub mod limits;
pub mod listing;
pub mod needs;
pub mod policy;
pub mod report;
pub mod resource;
pub mod result;
mod status;
pub mod submission;
pub mod suite;
pub mod verdict;

pub use ids::{digest, file_key, run_id, test_key, worker_id};
pub use invalid::{Invalid, Why};
pub use status::Failure;

/// The version of the protocol between worker and coordinator. Each side refuses another one, and says both.
pub const PROTOCOL: u32 = 1;

/// The generated code. Its documentation is the comments of the protos.
#[allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    reason = "generated"
)]
pub mod v1 {
    include!("gen/regatta.v1.rs");
}
