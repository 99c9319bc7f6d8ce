//! Databases for tests: servers that are found or started, templates, pools of clones, and what tests did to them.
//!
//! It knows nothing of scheduling: whoever leases decides who may ask; here a lease of a database begins, is watched, and
//! ends verified.

pub mod audit;
pub mod binaries;
mod broker;
mod desk;
mod external;
mod lease;
pub mod limits;
pub mod mysql;
pub mod names;
mod pool;
mod private;
pub mod redis;
mod server;
mod settings;
pub mod sqlite;
mod status;
mod stock;
mod template;
mod throwaway;
pub mod watch;

pub use broker::{Adopted, Postgres, Shelf};
pub use lease::{Ask, DatabaseLease, Fate, Leased, Refused, Released, Unknown};
pub use server::Error;
pub use server::breaker::Health;
pub use settings::{Choice, Settings};
pub use status::{Status, TemplateStatus};
pub use template::{BuildId, BuildOrder, Building, Place, Prepared, Wanted};
pub use throwaway::Throwaway;
pub use watch::Account;
