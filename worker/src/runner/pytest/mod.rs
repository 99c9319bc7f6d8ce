//! The pytest runner.

use super::{Brief, Control, Place, Runner, Shard, Sink};
use async_trait::async_trait;
use regatta_domain::result::RunError;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The pytest runner.
#[derive(Debug)]
pub struct Pytest {
    brief: Arc<Brief>,
    place: Arc<Place>,
}

impl Pytest {
    /// A runner for the suite of `brief`.
    ///
    /// # Errors
    /// When the suite's settings make no sense.
    pub fn open(brief: Arc<Brief>, place: Arc<Place>) -> Result<Self, RunError> {
        Ok(Self { brief, place })
    }
}

#[async_trait]
impl Runner for Pytest {
    async fn work(&mut self, _shard: Shard, _control: &mut mpsc::Receiver<Control>, _sink: &Sink) {
        let _ = (&self.brief, &self.place);
    }

    async fn close(&mut self, _sink: &Sink) {}
}
