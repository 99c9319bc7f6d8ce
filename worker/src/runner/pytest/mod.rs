//! The pytest runner: a warm pytest process per slot, which collects and runs what it is asked to.
//!
//! - `regatta_host.py` is what runs inside of pytest; [`host`] is the process around it, [`message`] what the two say to
//!   each other (docs/runner-protocol.md), [`connection`] how.
//! - [`zygote`] makes start-up cheap: it imports pytest once, and forks the hosts of all slots. [`body`] is a process of
//!   either kind.
//! - [`shift`] works through a shard: [`entry`] is a file of it, [`window`] how far the host may be ahead.
//! - [`settings`], [`mod@environment`] and [`keys`] are what can be known of a suite without pytest: which interpreter it has,
//!   and the content addresses under which its listings are remembered.
//!
//! It leaves to pytest everything about tests, and to the coordinator what runs where, how often, and for how long.

mod body;
mod connection;
mod entry;
mod environment;
mod host;
mod keys;
mod limits;
mod message;
mod settings;
mod shift;
mod window;
mod zygote;

pub use environment::{Environment, environment};
pub use keys::{file_key, tree_key};
pub use settings::PytestSettings;

use super::attempts::{Attempts, REGISTRIES};
use super::{Brief, Control, Place, Runner, Shard, Sink, Tell, Work, exports};
use crate::cleanup;
use crate::process::Command;
use async_trait::async_trait;
use host::Host;
use regatta_domain::result::{RunError, RunErrorKind};
use shift::Shift;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The pytest runner.
#[derive(Debug)]
pub struct Pytest {
    brief: Arc<Brief>,
    place: Arc<Place>,
    settings: Arc<PytestSettings>,
    root: Arc<Path>,
    zygote: Arc<zygote::Shared>,
    host: Option<Host>,
    /// How many hosts there have been.
    hosts: u32,
}

impl Pytest {
    /// A runner for the suite of `brief`.
    ///
    /// # Errors
    /// When the suite's settings make no sense.
    pub fn open(brief: Arc<Brief>, place: Arc<Place>) -> Result<Self, RunError> {
        let settings = Arc::new(PytestSettings::of(&brief.suite)?);
        let root = Path::new(&*brief.suite.root).into();
        let zygote = zygote::Shared::of(&brief);
        Ok(Self { brief, place, settings, root, zygote, host: None, hosts: 0 })
    }

    /// Whether the host has run as much as one may.
    fn is_due(&self) -> bool {
        self.host.as_ref().zip(self.settings.recycle_after).is_some_and(|(host, most)| host.ran >= most)
    }

    /// Has the host tear down what is its own, and tells what went wrong in that.
    async fn finish(&mut self, sink: &Sink) {
        let Some(mut host) = self.host.take() else { return };
        tell_teardown(sink, host.finish().await).await;
    }
}

/// Tells what went wrong when a host tore down what was its own.
async fn tell_teardown(sink: &Sink, errors: Vec<(String, String)>) {
    for (place, message) in errors {
        let error = RunError { kind: RunErrorKind::Teardown, place: place.into(), message: message.into() };
        sink.tell(Tell::Error { file: None, error: shift::bounded(error) }).await;
    }
}

#[async_trait]
impl Runner for Pytest {
    async fn work(&mut self, shard: Shard, control: &mut mpsc::Receiver<Control>, sink: &Sink) {
        let attempts = match Attempts::of(&self.brief, &self.place, &shard, sink) {
            Ok(attempts) => attempts,
            Err(error) => return sink.tell(Tell::Error { file: None, error }).await,
        };
        match shard.work {
            Work::Discover => Shift::new(self, Vec::new(), control, sink, attempts).find().await,
            Work::Files(files) => Shift::new(self, files, control, sink, attempts).run().await,
        }
    }

    async fn close(&mut self, sink: &Sink) {
        self.finish(sink).await;
        // What fixtures asked for when they went, after the last shard.
        for path in cleanup::left(&self.place.scratch.join(REGISTRIES), "") {
            let env = exports::of_slot(&self.brief, &self.place);
            let pattern = Command { cwd: self.root.to_path_buf(), env, ..Command::default() };
            for note in cleanup::perform(&path, &self.place.spawner, &pattern).await {
                tell_teardown(sink, vec![("clean-up after the last test".to_owned(), note)]).await;
            }
            let _left_to_the_end_of_the_slot = std::fs::remove_file(&path);
        }
    }
}
