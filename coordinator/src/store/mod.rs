//! What the coordinator must not forget: the journal (the truth for live runs) and the projection (what queries read).
//!
//! Both stand on SQLite files of their own. It leaves to others what is worth remembering. Its invariant: a file that a
//! newer version wrote is refused and left as it is, and an error never leaves half a batch behind.

pub mod care;
mod database;
mod error;
pub mod journal;
pub mod lock;
pub(crate) mod papers;
pub mod postgres;
pub mod projection;
pub mod snapshot;

pub use error::Error;
pub use journal::{Base, Batch, Commit, Durable, Journal, MemoryJournal, PostgresJournal, Reader, SqliteJournal};
