//! The process of a host: started by the slot's spawner, or forked by the zygote. To be dealt with alike.

use super::limits::GRACE;
use super::zygote::Forked;
use crate::process::{Captured, Exit, Process, SpawnError};
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::time::Instant;

/// The process of a host. Dropping it before it ended kills it, with everything it started.
#[derive(Debug)]
pub(super) enum Body {
    Spawned(Process),
    Forked(Forked),
}

impl Body {
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Spawned(process) => process.pid(),
            Self::Forked(process) => process.pid(),
        }
    }

    /// Waits for its end, and reads what it prints meanwhile. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> Result<Exit, SpawnError> {
        match self {
            Self::Spawned(process) => process.wait().await,
            Self::Forked(process) => process.wait().await,
        }
    }

    /// Waits for its end until `deadline`, then ends it.
    pub(super) async fn wait_until(&mut self, deadline: Instant) -> Result<Exit, SpawnError> {
        if let Ok(exit) = tokio::time::timeout_at(deadline, self.wait()).await {
            return exit;
        }
        self.kill(GRACE);
        self.wait().await
    }

    /// Terminates its group and, after `grace`, kills it with everything it started; it has to be waited for.
    pub(super) fn kill(&mut self, grace: Duration) {
        match self {
            Self::Spawned(process) => process.kill(grace),
            Self::Forked(process) => process.kill(grace),
        }
    }

    /// Sends it a signal, and to it alone.
    pub(super) fn signal(&self, signal: Signal) {
        match self {
            Self::Spawned(process) => process.signal(signal),
            Self::Forked(process) => process.signal(signal),
        }
    }

    /// What it printed since this was last called.
    pub(super) fn take_output(&mut self) -> Captured {
        match self {
            Self::Spawned(process) => {
                let [stdout, _merged] = process.take_output();
                stdout
            }
            Self::Forked(process) => process.take_output(),
        }
    }
}
