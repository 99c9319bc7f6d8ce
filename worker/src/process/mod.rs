//! Test processes: started cheaply, bounded in time and in what they print, and gone without a trace when they end.
//!
//! Every slot has a *spawner*: a small single-threaded process (this same binary, started as `regatta spawner`) that
//! starts test processes on request. It exists because forking from a large process is slow, because it can be the
//! sub-reaper to which daemonised children fall, and because it can kill all of them when the worker itself is gone.
//!
//! - [`Command`] says what to start, [`Process`] is what was started, [`Exit`] how it ended.
//! - `memory` tells whether one was killed for want of memory.
//! - [`Spawner`] is the worker's end, with the task `link` behind it; `service` is the process at the other end;
//!   `protocol` is what they say.
//!
//! The invariant: an [`Exit`] is told only after everything that the process left behind is dead too.

mod captured;
mod command;
mod error;
mod limits;
mod link;
mod memory;
mod protocol;
mod running;
mod service;
mod spawner;

pub use captured::Captured;
pub use command::{Command, Ending, Exit, Streams};
pub use error::SpawnError;
pub(crate) use memory::Before;
pub use protocol::Containment;
pub use running::{Pipes, Printed, Process, Ran};
pub use service::spawner_main;
pub use spawner::Spawner;
