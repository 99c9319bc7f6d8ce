//! The projector: a thread that follows the journal, tells whoever watches, and fills the tables.
//!
//! It is told of each commit as it is made, and reads what it missed from the journal, so that the driver never waits for
//! it. Watchers are told at once; tables are written a little later, many commits in one transaction. It decides nothing.

mod before;
mod desk;
mod feed;
mod meter;
mod replay;
mod snapshot;
#[cfg(test)]
mod tests;
mod translate;

pub(crate) use desk::{Desk, News, Progress};
pub use feed::{Feed, Feeds, Mark, Next};
pub(crate) use replay::End;

use crate::blobs::Blobs;
use crate::outage::Outage;
use crate::store::projection::{Row, Scope, Writer};
use crate::store::snapshot::Snapshots;
use crate::store::{Commit, Error, Reader};
use desk::Load;
use prost::Message as _;
use regatta_core::{Event, Run};
use regatta_domain::{RunId, SlotIx, TestIx, Time, WorkerId};
use regatta_runtime::threads::{self, Thread};
use regatta_wire::v1;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use translate::{Meaning, Translator};

/// How long rows wait for company: queries may be so far behind.
const LINGER: Duration = Duration::from_millis(200);

/// Rows that are written at once at the latest: some tens of milliseconds, and a few megabytes.
const ROWS: usize = 20_000;

/// Commits that are read from the journal at once.
const COMMITS: usize = 64;

/// How much the tables may be behind without a word, in what [`snapshot::weight`] counts: some seconds' work.
const BEHIND: u64 = 300_000;

/// The projector. What is in the tables was brought back when it was made; what is not is read when it has a thread.
pub(crate) struct Projector {
    translator: Translator,
    journal: Box<dyn Reader>,
    snapshots: Option<Box<dyn Snapshots>>,
    writer: Writer,
    blobs: Blobs,
    feeds: Feeds,
    rows: Vec<Row>,
    /// Runs whose progress is not in the tables, and whether they ended.
    touched: BTreeMap<RunId, bool>,
    told: u64,
    at: Time,
    progress: watch::Sender<Progress>,
    load: Arc<Load>,
    /// What would have to be replayed beyond the last snapshot.
    unkept: u64,
    /// The commit that the last snapshot is of; 0 for none.
    snapshot: u64,
    /// Whether it was said that the tables are behind.
    said: bool,
}

impl Projector {
    /// Gives it a thread. `committed` is the last commit that was made.
    pub(crate) fn start(mut self, committed: watch::Receiver<u64>, outage: Outage) -> io::Result<(Desk, Thread)> {
        let (to, mut news) = mpsc::channel(desk::NEWS);
        let desk = Desk::new(to, self.feeds.clone(), self.progress.subscribe(), Arc::clone(&self.load));
        let thread = threads::start("projector", async move {
            let _guard = outage.guard("projector");
            if let Err(error) = self.follow(&mut news, &committed).await {
                outage.declare(error);
            }
            self.feeds.close_all();
        })?;
        Ok((desk, thread))
    }

    async fn follow(&mut self, news: &mut mpsc::Receiver<News>, committed: &watch::Receiver<u64>) -> Result<(), Error> {
        // What the journal has beyond the tables.
        self.read_on()?;
        self.tell();
        let mut batch = Vec::new();
        let mut due = self.is_behind().then(Instant::now);
        loop {
            let mut settle = Vec::new();
            tokio::select! {
                _ = news.recv_many(&mut batch, desk::NEWS) => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let mut hurry = due.is_some_and(|due| due <= Instant::now());
            let mut stop = batch.is_empty() && news.is_closed();
            for news in batch.drain(..) {
                match news {
                    News::Commit(commit) => {
                        self.load.taken(&commit);
                        self.commit(commit)?;
                    }
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
                self.keep_if_due();
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
                self.keep_if_due();
            }
        }
    }

    /// Takes in a commit that is not in the tables.
    fn take(&mut self, commit: &Commit) -> Result<(), Error> {
        for event in commit.events.iter() {
            let run = event.run();
            let Meaning { events, rows } = self.translator.take(commit.seq, event);
            for row in rows {
                let row = self.scoped(row)?;
                self.rows.push(row);
            }
            // Of a run that ended before, nobody waits for more.
            let over = matches!(event, Event::ResultsRefused { .. })
                && self.translator.state().run(run).is_some_and(Run::has_ended);
            let feed = if over { self.feeds.of(run) } else { (!events.is_empty()).then(|| self.feeds.open(run)) };
            if let Some(feed) = feed {
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
        self.unkept += snapshot::weight(&commit.events);
        Ok(())
    }

    /// Says whose history a run writes: the core has no use for it, so it is taken from what the client said.
    fn scoped(&mut self, mut row: Row) -> Result<Row, Error> {
        let Row::Run { run, scope, .. } = &mut row else { return Ok(row) };
        let run = *run;
        let said = self.journal.request(run)?.and_then(|bytes| v1::SubmitRequest::decode(&*bytes).ok());
        let v1::SubmitRequest { branch, environment, .. } = said.unwrap_or_default();
        let text = |given: Option<String>| given.unwrap_or_default().into();
        *scope = Scope { branch: text(branch), class: text(environment) };
        Ok(row)
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
        self.tell();
        self.publish();
        self.tell_lag();
        let ended: Vec<RunId> =
            std::mem::take(&mut self.touched).into_iter().filter(|(_, ended)| *ended).map(|(run, _)| run).collect();
        if ended.is_empty() {
            return Ok(());
        }
        ended.into_iter().for_each(|run| self.feeds.close(run));
        self.prune()
    }

    fn publish(&self) {
        let (told, written) = (self.told, self.writer.cursor());
        self.progress.send_replace(Progress { told, written });
    }

    /// Says when the tables fall behind, and when they have caught up.
    fn tell_lag(&mut self) {
        let lag = self.load.written(self.told);
        if lag > BEHIND && !self.said {
            self.said = true;
            tracing::warn!(
                results = lag,
                "the tables are behind: queries and history do not know the latest results yet"
            );
        } else if lag == 0 && self.said {
            self.said = false;
            tracing::info!("the tables have caught up");
        }
    }

    /// Keeps a snapshot where one is due.
    fn keep_if_due(&mut self) {
        let Some(snapshots) = &mut self.snapshots else { return };
        let state = self.translator.state();
        if state.runs.is_empty() {
            // One that could not be removed is not believed either: the journal begins behind it.
            if self.snapshot > 0 && snapshots.forget().is_ok() {
                self.snapshot = 0;
            }
            self.unkept = 0;
        } else if snapshot::is_due(state, self.unkept) {
            self.keep();
        }
    }

    /// Keeps a snapshot; all that is in it is in the tables. One that cannot be kept only makes the next start slower.
    fn keep(&mut self) {
        let Some(snapshots) = &mut self.snapshots else { return };
        let (translator, at, begun) = (&self.translator, self.at, Instant::now());
        self.unkept = 0;
        match snapshots.keep(self.told, &mut |to| snapshot::write(translator, at, to)) {
            Ok(bytes) => {
                tracing::debug!(commit = self.told, bytes, took = ?begun.elapsed(), "kept a snapshot");
                self.snapshot = self.told;
            }
            Err(error) => tracing::warn!(%error, "no snapshot could be kept; the next start takes longer"),
        }
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
