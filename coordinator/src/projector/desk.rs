//! How the projector is reached: what it is told, how far it is, and how far behind.

use super::feed::Feeds;
use super::snapshot;
use crate::store::Commit;
use crate::store::projection::Row;
use regatta_domain::{RunId, SlotIx, TestIx, Time, WorkerId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, oneshot, watch};

/// News that may wait for the projector. Beyond it commits are read from the journal instead, and the rest is lost.
pub(super) const NEWS: usize = 1_024;

/// What the commits among them may weigh together (see [`snapshot::weight`]): at a few hundred bytes each, some tens of
/// megabytes. A commit may hold anything between one result and a million tests, so that their number bounds nothing.
const WEIGHT: u64 = 200_000;

/// How much the tables may be behind before the driver takes in nothing more: about half a minute's work, and a journal of a
/// hundred megabytes. Without a bound, a fleet that is faster than the tables would be so until the disk is full.
const MOST_BEHIND: u64 = 2_000_000;

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
    load: Arc<Load>,
}

impl Desk {
    pub(super) const fn new(
        to: mpsc::Sender<News>,
        feeds: Feeds,
        progress: watch::Receiver<Progress>,
        load: Arc<Load>,
    ) -> Self {
        Self { to, feeds, progress, load }
    }

    /// Tells it something, unless it is too far behind to be told.
    pub(crate) fn tell(&self, news: News) {
        if let News::Commit(commit) = &news
            && !self.load.hand(commit)
        {
            return;
        }
        if let Err(error) = self.to.try_send(news) {
            if let News::Commit(commit) = error.into_inner() {
                self.load.taken(&commit);
            }
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

    /// Whether the tables are near enough that more may come.
    pub(crate) fn has_room(&self) -> bool {
        self.load.lag() < MOST_BEHIND
    }

    /// Waits until there is a little more in the tables. `false` when the projector is gone.
    pub(crate) async fn advanced(&mut self) -> bool {
        self.progress.changed().await.is_ok()
    }
}

/// What lies between the driver and the tables.
#[derive(Debug, Default)]
pub(super) struct Load(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// The commits that are not in the tables, in order, with their weights.
    commits: VecDeque<(u64, u64)>,
    /// All of them together.
    weight: u64,
    /// Those that stand among the news.
    told: u64,
}

impl Load {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each use leaves it whole, even if the thread that made it came to grief later.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit was made that is not in the tables. Whether it may stand among the news.
    pub(super) fn hand(&self, commit: &Commit) -> bool {
        let weight = snapshot::weight(&commit.events);
        let mut waiting = self.lock();
        waiting.commits.push_back((commit.seq, weight));
        waiting.weight += weight;
        let fits = waiting.told == 0 || waiting.told + weight <= WEIGHT;
        waiting.told += if fits { weight } else { 0 };
        fits
    }

    /// A commit left the news.
    pub(super) fn taken(&self, commit: &Commit) {
        let mut waiting = self.lock();
        waiting.told = waiting.told.saturating_sub(snapshot::weight(&commit.events));
    }

    /// Everything up to a commit is in the tables. Gives how far they are behind.
    pub(super) fn written(&self, seq: u64) -> u64 {
        let mut waiting = self.lock();
        while waiting.commits.front().is_some_and(|(commit, _)| *commit <= seq)
            && let Some((_, weight)) = waiting.commits.pop_front()
        {
            waiting.weight -= weight;
        }
        waiting.weight
    }

    fn lag(&self) -> u64 {
        self.lock().weight
    }
}
