//! The exec runner: any command, by template, with what it reports as JUnit XML, TAP or an exit code.
//!
//! - [`settings`] is what may be said, [`template`] makes a command of it, [`listing`] finds the names.
//! - [`attempt`] runs one start of the command; [`junit`] and [`tap`] read what it reports, and [`found`] reconciles
//!   that with what was asked. Those three do no IO.
//!
//! The suite is its only file. Where a command lists the tests, nothing tells that its answer is still the same: the
//! file's key is new each time then, so that no listing is ever remembered.

mod attempt;
mod found;
mod junit;
mod listing;
mod settings;
mod tap;
mod template;

pub use settings::{ExecSettings, ResultFormat};

use super::agenda::{Agenda, Killed, Next};
use super::attempts::Attempts;
use super::{Brief, Control, FileWork, Place, Runner, Shard, Sink, Tell, Work};
use async_trait::async_trait;
use regatta_domain::FileKey;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::result::{RunError, RunErrorKind};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::mpsc;

/// The exec runner.
#[derive(Debug)]
pub struct Exec {
    brief: Arc<Brief>,
    place: Arc<Place>,
    settings: ExecSettings,
    /// How many times the command was started: each start has a directory of its own.
    starts: u64,
}

impl Exec {
    /// A runner for the suite of `brief`.
    ///
    /// # Errors
    /// When the suite's settings make no sense.
    pub fn open(brief: Arc<Brief>, place: Arc<Place>) -> Result<Self, RunError> {
        let settings = ExecSettings::read(&brief.suite.settings)
            .map_err(|wrong| error_of(&brief, RunErrorKind::Runner, &format!("the settings of the suite: {wrong}")))?;
        Ok(Self { brief, place, settings, starts: 0 })
    }

    async fn discover(&self, agenda: &mut Agenda<'_>) -> Result<(), Killed> {
        // Names that are written down are found at once, and say whether the remembered ones still hold.
        let names = match self.settings.list {
            Some(_) => Ok(Vec::new()),
            None => agenda.attend(listing::names(&self.brief, &self.settings, &self.place)).await?,
        };
        let tell = match names {
            Ok(names) => {
                let path = self.brief.suite.name.clone();
                Tell::Discovered(vec![ListedFile { path, key: self.key(&names), locator: "".into() }])
            }
            Err(wrong) => Tell::Error { file: None, error: error_of(&self.brief, RunErrorKind::Collection, &wrong) },
        };
        agenda.sink().tell(tell).await;
        Ok(())
    }

    fn key(&self, names: &[String]) -> FileKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.brief.suite.settings.as_bytes());
        for name in names {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        }
        if self.settings.list.is_some() {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            hasher.update(&now.as_nanos().to_le_bytes()).update(self.brief.run.to_string().as_bytes());
        }
        FileKey(hasher.finalize().as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
    }

    async fn files(&mut self, agenda: &mut Agenda<'_>) -> Result<(), Killed> {
        loop {
            match agenda.next().await {
                Next::Over => return Ok(()),
                Next::List(file) => self.list(agenda, file).await?,
                Next::Run(file, test) => {
                    let attempts = agenda.attempts().clone();
                    // What has databases of its own has a process of its own.
                    let is_own = attempts.is_own(&test);
                    let mut room = if is_own { 0 } else { self.settings.batch.map_or(0, |batch| batch - 1) };
                    let mut tests = agenda.more(&file, |next| {
                        let fits = room > 0 && attempts.joins(next);
                        room = room.saturating_sub(1);
                        fits
                    });
                    tests.insert(0, test);
                    self.run(agenda, &file, tests).await?;
                }
            }
        }
    }

    async fn list(&self, agenda: &mut Agenda<'_>, file: Arc<FileWork>) -> Result<(), Killed> {
        let sink = agenda.sink();
        match agenda.attend(listing::names(&self.brief, &self.settings, &self.place)).await? {
            Ok(names) => {
                let listed = |name: String| ListedTest { name: name.into(), ..ListedTest::default() };
                let tests = names.into_iter().map(listed).collect();
                sink.tell(Tell::Listed { file: file.file, tests }).await;
                agenda.listed(file);
            }
            Err(wrong) => {
                let error = error_of(&self.brief, RunErrorKind::Collection, &wrong);
                sink.tell(Tell::Error { file: Some(file.file), error }).await;
            }
        }
        Ok(())
    }
}

fn error_of(brief: &Brief, kind: RunErrorKind, message: &str) -> RunError {
    RunError { kind, place: brief.suite.name.clone(), message: message.into() }
}

#[async_trait]
impl Runner for Exec {
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
