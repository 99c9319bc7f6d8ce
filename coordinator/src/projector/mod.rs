//! The projector: a thread that follows the journal, tells whoever watches, and fills the tables.
//!
//! It is told of each commit as it is made, and reads what it missed from the journal, so that the driver never waits for
//! it. Watchers are told at once; tables are written a little later, many commits in one transaction. It decides nothing.

mod feed;
mod meter;
#[cfg(test)]
mod tests;
mod translate;

pub use feed::{Feed, Feeds, Mark, Next};

use crate::blobs::Blobs;
use crate::outage::Outage;
use crate::store::projection::{Row, Scope, Writer};
use crate::store::{Commit, Error, Reader};
use prost::Message as _;
use regatta_core::{Event, State};
use regatta_domain::{RunId, SlotIx, TestIx, Time, WorkerId};
use regatta_wire::v1;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use translate::{Meaning, Translator};

/// News that may wait for the projector. Beyond it commits are read from the journal instead, and the rest is lost.
const NEWS: usize = 1_024;

/// How long rows wait for company: queries may be so far behind.
const LINGER: Duration = Duration::from_millis(200);

/// Rows that are written at once at the latest: some tens of milliseconds, and a few megabytes.
const ROWS: usize = 20_000;

/// Commits that are read from the journal at once.
const COMMITS: usize = 64;

/// What the projector is told.
#[derive(Debug)]
pub(crate) enum News {
    /// A commit was made.
    Commit(Commit),
    /// Tests began; told to whoever watches, and kept nowhere.
    Started { run: RunId, at: Time, worker: WorkerId, slot: SlotIx, tests: Vec<TestIx> },
    /// A line for people; told to whoever watches, and kept nowhere.
    Note { run: RunId, at: Time, text: String },
    /// Something for a cache.
    Remember(Row),
    /// Rows should not wait any longer.
    Hurry,
    /// Rows should not wait any longer; whoever asks waits until those that were told before are in the tables.
    Settle(oneshot::Sender<()>),
    /// There will be no more.
    Stop,
}

/// How far the projector is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last commit that watchers were told of.
    pub(crate) told: u64,
    /// The last commit that is in the tables.
    pub(crate) written: u64,
}

/// How the projector is reached.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    to: mpsc::Sender<News>,
    feeds: Feeds,
    progress: watch::Receiver<Progress>,
}

impl Desk {
    /// Tells it something, unless it is too far behind to be told.
    pub(crate) fn tell(&self, news: News) {
        if self.to.try_send(news).is_err() {
            tracing::trace!("the projector is behind; it reads the journal, and fleeting news is lost");
        }
    }

    /// Tells it something, and waits for room.
    pub(crate) async fn tell_surely(&self, news: News) {
        // Where nobody listens any more there is nothing left to do.
        let _gone = self.to.send(news).await;
    }

    pub(crate) const fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// Waits until watchers can see what was committed. `false` when the projector is gone.
    pub(crate) async fn told(&self, commit: u64) -> bool {
        self.progress.clone().wait_for(|progress| progress.told >= commit).await.is_ok()
    }

    /// Waits until queries can see what was committed. `false` when the projector is gone.
    pub(crate) async fn written(&self, commit: u64) -> bool {
        self.tell_surely(News::Hurry).await;
        self.progress.clone().wait_for(|progress| progress.written >= commit).await.is_ok()
    }

    /// Waits until queries can see what was told before. `false` when the projector is gone.
    pub(crate) async fn settled(&self) -> bool {
        let (done, settled) = oneshot::channel();
        self.tell_surely(News::Settle(done)).await;
        settled.await.is_ok()
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }
}

/// The projector before it has a thread: it is brought up to the end of the journal first.
pub(crate) struct Projector {
    translator: Translator,
    journal: Box<dyn Reader>,
    writer: Writer,
    blobs: Blobs,
    feeds: Feeds,
    rows: Vec<Row>,
    /// Runs whose progress is not in the tables, and whether they ended.
    touched: BTreeMap<RunId, bool>,
    told: u64,
    at: Time,
    progress: watch::Sender<Progress>,
}

impl Projector {
    /// A projector that follows `journal` from the commit after `base` on.
    ///
    /// # Errors
    /// When a store refuses, or the journal is damaged.
    pub(crate) fn catch_up(journal: Box<dyn Reader>, base: u64, writer: Writer, blobs: Blobs) -> Result<Self, Error> {
        let mut projector = Self {
            translator: Translator::default(),
            journal,
            writer,
            blobs,
            feeds: Feeds::default(),
            rows: Vec::new(),
            touched: BTreeMap::new(),
            told: base,
            at: Time::default(),
            progress: watch::Sender::default(),
        };
        projector.read_on()?;
        if projector.writer.cursor() > projector.told {
            tracing::warn!("the projection is ahead of the journal, which was replaced; both go on from here");
            projector.writer.write(&[], projector.told)?;
        }
        projector.write()?;
        let state = projector.translator.state();
        for (&run, tale) in projector.translator.runs() {
            if state.run(run).is_some_and(|run| !run.has_ended()) {
                projector.feeds.open(run).resume(tale.seq);
            }
        }
        Ok(projector)
    }

    /// The state at the end of what it has read.
    pub(crate) const fn state(&self) -> &State {
        self.translator.state()
    }

    /// The last commit it has read, and the last moment one was made.
    pub(crate) const fn end(&self) -> (u64, Time) {
        (self.told, self.at)
    }

    /// The commits with which the runs in the state began.
    pub(crate) fn beginnings(&self) -> BTreeMap<RunId, u64> {
        self.translator.runs().iter().map(|(&run, tale)| (run, tale.first)).collect()
    }

    /// Gives it a thread. `committed` is the last commit that was made.
    pub(crate) fn start(
        mut self,
        committed: watch::Receiver<u64>,
        outage: Outage,
    ) -> io::Result<(Desk, JoinHandle<()>)> {
        let (to, mut news) = mpsc::channel(NEWS);
        let desk = Desk { to, feeds: self.feeds.clone(), progress: self.progress.subscribe() };
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let thread = std::thread::Builder::new().name("projector".to_owned()).spawn(move || {
            let _guard = outage.guard("projector");
            if let Err(error) = clock.block_on(self.follow(&mut news, &committed)) {
                outage.declare(error);
            }
            self.feeds.close_all();
        })?;
        Ok((desk, thread))
    }

    async fn follow(&mut self, news: &mut mpsc::Receiver<News>, committed: &watch::Receiver<u64>) -> Result<(), Error> {
        let mut batch = Vec::new();
        let mut due: Option<Instant> = None;
        loop {
            let mut settle = Vec::new();
            tokio::select! {
                _ = news.recv_many(&mut batch, NEWS) => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let mut hurry = due.is_some_and(|due| due <= Instant::now());
            let mut stop = batch.is_empty() && news.is_closed();
            for news in batch.drain(..) {
                match news {
                    News::Commit(commit) => self.commit(commit)?,
                    News::Started { run, at, worker, slot, tests } => self.started(run, at, worker, slot, &tests),
                    News::Note { run, at, text } => {
                        self.fleeting(run, at, v1::run_event::Event::Note(v1::Note { text }));
                    }
                    News::Remember(row) => self.rows.push(row),
                    News::Hurry => hurry = true,
                    News::Settle(done) => settle.push(done),
                    News::Stop => stop = true,
                }
            }
            if news.is_empty() && *committed.borrow() > self.told {
                self.read_on()?;
            }
            self.tell();
            let ended = self.touched.values().any(|ended| *ended);
            if stop || hurry || ended || !settle.is_empty() || self.rows.len() >= ROWS {
                self.write()?;
                due = None;
                // Whoever asked may have gone away.
                for done in settle {
                    let _gone = done.send(());
                }
            } else if due.is_none() && self.is_behind() {
                due = Some(Instant::now() + LINGER);
            }
            if stop {
                return Ok(());
            }
        }
    }

    fn is_behind(&self) -> bool {
        !self.rows.is_empty() || self.told > self.writer.cursor()
    }

    /// Takes in a commit, unless it was read already; what is missing before it is read first.
    fn commit(&mut self, commit: Commit) -> Result<(), Error> {
        if commit.seq > self.told + 1 {
            self.read_on()?;
        }
        if commit.seq == self.told + 1 {
            self.take(&commit)?;
        }
        Ok(())
    }

    fn read_on(&mut self) -> Result<(), Error> {
        loop {
            let commits = self.journal.read(self.told, COMMITS)?;
            if commits.is_empty() {
                return Ok(());
            }
            commits.iter().try_for_each(|commit| self.take(commit))?;
            if self.rows.len() >= ROWS {
                self.write()?;
            }
        }
    }

    fn take(&mut self, commit: &Commit) -> Result<(), Error> {
        // What is in the tables already is only read to know where things stand.
        let is_new = commit.seq > self.writer.cursor();
        for event in commit.events.iter() {
            let run = event.run();
            let Meaning { events, rows } = self.translator.take(commit.seq, event);
            if !is_new {
                continue;
            }
            for mut row in rows {
                if let Row::Run { run, scope, .. } = &mut row {
                    *scope = self.scope(*run)?;
                }
                self.rows.push(row);
            }
            if !events.is_empty() {
                let feed = self.feeds.open(run);
                events.into_iter().for_each(|(event, bytes)| feed.add(event, bytes));
            }
            let ended = self.touched.entry(run).or_default();
            *ended |= matches!(event, Event::RunEnded { .. });
            if matches!(event, Event::RunForgotten { .. }) {
                self.touched.remove(&run);
                self.feeds.close(run);
            }
        }
        self.told = commit.seq;
        self.at = commit.at;
        Ok(())
    }

    /// Whose history a run writes: the core has no use for it, so it is taken from what the client said.
    fn scope(&mut self, run: RunId) -> Result<Scope, Error> {
        let said = self.journal.request(run)?.and_then(|bytes| v1::SubmitRequest::decode(&*bytes).ok());
        let v1::SubmitRequest { branch, environment, .. } = said.unwrap_or_default();
        let text = |given: Option<String>| given.unwrap_or_default().into();
        Ok(Scope { branch: text(branch), class: text(environment) })
    }

    /// Wakes those who watch.
    fn tell(&mut self) {
        if self.progress.borrow().told == self.told {
            return;
        }
        self.touched.keys().filter_map(|run| self.feeds.of(*run)).for_each(|feed| feed.tell());
        self.progress.send_modify(|progress| progress.told = self.told);
    }

    /// Brings the tables up to where the translator is.
    fn write(&mut self) -> Result<(), Error> {
        if self.is_behind() {
            let touched: BTreeSet<RunId> = self.touched.keys().copied().collect();
            self.rows.extend(touched.iter().filter_map(|run| self.translator.progress(*run)));
            self.writer.write(&self.rows, self.told)?;
            self.rows.clear();
        }
        for run in self.touched.keys() {
            if let (Some(tale), Some(feed)) = (self.translator.runs().get(run), self.feeds.of(*run)) {
                feed.written(tale.seq);
            }
        }
        let (told, written) = (self.told, self.writer.cursor());
        self.tell();
        self.progress.send_replace(Progress { told, written });
        let ended: Vec<RunId> =
            std::mem::take(&mut self.touched).into_iter().filter(|(_, ended)| *ended).map(|(run, _)| run).collect();
        if ended.is_empty() {
            return Ok(());
        }
        ended.into_iter().for_each(|run| self.feeds.close(run));
        self.prune()
    }

    fn prune(&mut self) -> Result<(), Error> {
        let Some(kept_from) = self.writer.prune(self.at)? else { return Ok(()) };
        self.blobs.drop_before(kept_from);
        Ok(())
    }

    fn started(&self, run: RunId, at: Time, worker: WorkerId, slot: SlotIx, tests: &[TestIx]) {
        let tests = tests.iter().map(|test| test.0).collect();
        let started = v1::TestsStarted { tests, worker: worker.to_string(), slot: slot.0.into() };
        self.fleeting(run, at, v1::run_event::Event::TestsStarted(started));
    }

    fn fleeting(&self, run: RunId, at: Time, event: v1::run_event::Event) {
        let Some(feed) = self.feeds.of(run) else { return };
        feed.add(v1::RunEvent::fleeting(at, event), 64);
        feed.tell();
    }
}
