//! The rust runner: libtest binaries built by cargo, and doc tests.
//!
//! - [`discover`] builds, and names the binaries; [`listing`] asks them for their tests.
//! - [`single`] gives each test a process of its own; [`batch`] gives many one, doc tests always.
//! - [`judge`] and [`transcript`] read what they print. Neither does any IO.
//!
//! Test names travel in argv here, the one exception to the rule that ids never do: libtest has no other input. So a
//! batch is bounded by the bytes of its names.

mod batch;
mod config;
mod discover;
mod facts;
mod judge;
mod listing;
mod locator;
mod messages;
mod settings;
mod single;
mod transcript;

pub use settings::{Ignored, Isolation, RustSettings};

use super::agenda::{Agenda, Killed, Next};
use super::attempts::Attempts;
use super::{Brief, Control, FileWork, Place, Runner, Shard, Sink, Tell, TestWork, Work};
use async_trait::async_trait;
use locator::{Locator, Stamp};
use regatta_domain::FileIx;
use regatta_domain::listing::ListedTest;
use regatta_domain::result::{RunError, RunErrorKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The rust runner.
#[derive(Debug)]
pub struct Rust {
    brief: Arc<Brief>,
    place: Arc<Place>,
    settings: RustSettings,
    /// The files that were looked at in this run.
    files: BTreeMap<FileIx, Arc<Locator>>,
    /// The suite was built here, because binaries were missing.
    built: bool,
}

impl Rust {
    /// A runner for the suite of `brief`.
    ///
    /// # Errors
    /// When the suite's settings make no sense.
    pub fn open(brief: Arc<Brief>, place: Arc<Place>) -> Result<Self, RunError> {
        let settings = serde_json::from_str(&brief.suite.settings).map_err(|error| RunError {
            kind: RunErrorKind::Runner,
            place: brief.suite.name.clone(),
            message: format!("the settings of the suite make no sense to the rust runner: {error}").into(),
        })?;
        Ok(Self { brief, place, settings, files: BTreeMap::new(), built: false })
    }

    async fn discover(&self, agenda: &mut Agenda<'_>) -> Result<(), Killed> {
        let sink = agenda.sink();
        let found = agenda.attend(discover::discover(&self.brief, &self.settings, &self.place, sink)).await?;
        sink.tell(match found {
            Ok(files) => Tell::Discovered(files),
            Err(error) => Tell::Error { file: None, error },
        })
        .await;
        Ok(())
    }

    async fn files(&mut self, agenda: &mut Agenda<'_>) -> Result<(), Killed> {
        loop {
            match agenda.next().await {
                Next::Over => return Ok(()),
                Next::List(file) => self.list(agenda, file).await?,
                Next::Run(file, test) => self.run(agenda, &file, test).await?,
            }
        }
    }

    async fn list(&mut self, agenda: &mut Agenda<'_>, file: Arc<FileWork>) -> Result<(), Killed> {
        let sink = agenda.sink();
        self.build_missing(agenda, &file).await?;
        match agenda.attend(self.listing(&file)).await? {
            Ok((locator, tests)) => {
                self.files.insert(file.file, locator);
                sink.tell(Tell::Listed { file: file.file, tests }).await;
                agenda.listed(file);
            }
            Err(error) => {
                agenda.dropped(file.file);
                sink.tell(Tell::Error { file: Some(file.file), error }).await;
            }
        }
        Ok(())
    }

    /// Builds the suite, once, when a binary is not here: it was discovered on another machine, or has been cleaned away.
    /// Whether that helped shows when the binary is started.
    async fn build_missing(&mut self, agenda: &mut Agenda<'_>, file: &FileWork) -> Result<(), Killed> {
        let is_missing = match Locator::parse(&file.path, &file.locator) {
            Ok(Locator::Binary(binary)) => !binary.executable.exists(),
            _ => false,
        };
        if is_missing && !std::mem::replace(&mut self.built, true) {
            let sink = agenda.sink();
            let built = agenda.attend(discover::discover(&self.brief, &self.settings, &self.place, sink)).await?;
            if let Err(error) = built {
                sink.tell(Tell::Error { file: Some(file.file), error }).await;
            }
        }
        Ok(())
    }

    async fn listing(&self, file: &FileWork) -> Result<(Arc<Locator>, Vec<ListedTest>), RunError> {
        let locator = Locator::parse(&file.path, &file.locator)?;
        let tests = listing::list(&self.brief, &self.settings, &self.place, &file.path, &locator).await?;
        Ok((Arc::new(locator), tests))
    }

    async fn run(&mut self, agenda: &mut Agenda<'_>, file: &Arc<FileWork>, test: TestWork) -> Result<(), Killed> {
        let Some(locator) = self.files.get(&file.file).cloned() else {
            return self.look_at(agenda, file, test).await;
        };
        let is_own = agenda.attempts().is_own(&test);
        match &*locator {
            // What has databases of its own has a process of its own.
            Locator::Binary(binary) if is_own || self.settings.isolation == Isolation::Process => {
                self.alone(agenda, file, binary, test, false).await
            }
            locator => self.together(agenda, file, locator, test).await,
        }
    }

    /// Before the first test of a file whose listing is remembered: whether it is still what was remembered. When it is
    /// not, it is listed anew, and the answer says what to run.
    async fn look_at(&mut self, agenda: &mut Agenda<'_>, file: &Arc<FileWork>, test: TestWork) -> Result<(), Killed> {
        let locator = match Locator::parse(&file.path, &file.locator) {
            Ok(locator) => Arc::new(locator),
            Err(error) => {
                agenda.dropped(file.file);
                agenda.sink().tell(Tell::Error { file: Some(file.file), error }).await;
                return Ok(());
            }
        };
        self.build_missing(agenda, file).await?;
        if file.remembered != 0 && self.has_changed(&locator, file) {
            agenda.dropped(file.file);
            return self.list(agenda, Arc::clone(file)).await;
        }
        self.files.insert(file.file, locator);
        Box::pin(self.run(agenda, file, test)).await
    }

    /// Discovery has just hashed it, so that a look at its size and time is enough, and its content decides where they
    /// differ. The sources of doc tests are read by rustdoc anew in any case.
    fn has_changed(&self, locator: &Locator, file: &FileWork) -> bool {
        let Locator::Binary(binary) = locator else { return false };
        let same = Stamp::of(&binary.executable).is_ok_and(|stamp| stamp == binary.stamp);
        !same
            && locator::hash(&binary.executable).map_or(true, |(hash, _)| {
                locator::key("binary", &discover::listing_settings(&self.settings), [hash]) != file.key
            })
    }
}

#[async_trait]
impl Runner for Rust {
    async fn work(&mut self, shard: Shard, control: &mut mpsc::Receiver<Control>, sink: &Sink) {
        let attempts = match Attempts::of(&self.brief, &self.place, &shard, sink) {
            Ok(attempts) => attempts,
            Err(error) => return sink.tell(Tell::Error { file: None, error }).await,
        };
        let (files, discovers) = match shard.work {
            Work::Discover => (Vec::new(), true),
            Work::Files(files) => (files, false),
        };
        let mut agenda = Agenda::new(files, control, sink, attempts);
        let _stopped = if discovers { self.discover(&mut agenda).await } else { self.files(&mut agenda).await };
        agenda.close().await;
    }

    async fn close(&mut self, _sink: &Sink) {}
}
