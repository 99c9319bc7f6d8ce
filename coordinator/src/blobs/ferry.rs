//! Carries blobs from where they wait to the bucket, and drops old ones there.
//!
//! One task does both, so that it knows what it has just put when it drops. While the bucket is away, one blob at a time
//! knocks, with growing waits between; nobody else waits for that.

use super::bucket::Bucket;
use super::waiting::Waiting;
use super::{AGE_SLACK, Error};
use regatta_domain::{Digest, Time};
use regatta_runtime::backoff::Backoff;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Blobs under way at a time: at 20 ms each, 1,600 a second.
const AT_ONCE: usize = 32;

/// Between two knocks at a bucket that is away.
const KNOCK_FIRST: Duration = Duration::from_millis(250);
const KNOCK_MOST: Duration = Duration::from_secs(15);

/// At the end of the process: how long what waits may still be carried. What is left waits for the next one.
const LAST: Duration = Duration::from_secs(5);

/// Old blobs are looked for so often at most: listing a million objects takes a thousand requests.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// Carries blobs.
pub(super) struct Ferry {
    waiting: Arc<Waiting>,
    bucket: Bucket,
    under_way: JoinSet<(Digest, Result<(), Error>)>,
    backoff: Backoff,
    /// Nothing is carried until then.
    until: Option<Instant>,
    sweep: Sweep,
}

/// The search for old blobs.
struct Sweep {
    /// Before when they are old.
    moments: watch::Receiver<Time>,
    /// What is found.
    pages: Option<mpsc::Receiver<Vec<Digest>>>,
    next: Instant,
    every: Duration,
}

impl Ferry {
    /// Carries until the sender of `moments` is gone, and then for a moment more.
    pub(super) fn start(waiting: Arc<Waiting>, bucket: Bucket, moments: watch::Receiver<Time>) -> JoinHandle<()> {
        let seed = u64::from(std::process::id());
        let ferry = Self {
            waiting,
            bucket,
            under_way: JoinSet::new(),
            backoff: Backoff::new(KNOCK_FIRST, KNOCK_MOST, seed),
            until: None,
            sweep: Sweep { moments, pages: None, next: Instant::now(), every: SWEEP_EVERY },
        };
        tokio::spawn(ferry.carry())
    }

    async fn carry(mut self) {
        let mut wanted = false;
        loop {
            self.load();
            if wanted && self.sweep.pages.is_none() && self.sweep.next <= Instant::now() {
                wanted = false;
                self.look_for_old();
            }
            let paused = self.until;
            tokio::select! {
                () = self.waiting.came(), if paused.is_none() => {}
                () = sleep_until(paused.unwrap_or_else(Instant::now)), if paused.is_some() => self.until = None,
                Some(done) = self.under_way.join_next() => self.land(done),
                page = next(&mut self.sweep.pages) => self.drop_old(page).await,
                () = sleep_until(self.sweep.next), if wanted && self.sweep.pages.is_none() => {}
                changed = self.sweep.moments.changed() => match changed {
                    Ok(()) => wanted = true,
                    Err(_) => break,
                },
            }
        }
        self.end().await;
    }

    /// Sends off whose turn it is.
    fn load(&mut self) {
        // A bucket that was away is tried with one before the others follow.
        let at_once = if self.backoff.tries() > 0 { 1 } else { AT_ONCE };
        while self.until.is_none() && self.under_way.len() < at_once {
            let Some(digest) = self.waiting.next() else { return };
            let (waiting, bucket) = (Arc::clone(&self.waiting), self.bucket.clone());
            self.under_way.spawn(async move { (digest, bring(waiting, bucket, digest).await) });
        }
    }

    fn land(&mut self, done: Result<(Digest, Result<(), Error>), tokio::task::JoinError>) {
        // A task that panicked was heard of; its blob waits for the next process.
        let Ok((digest, brought)) = done else { return };
        match brought {
            Ok(()) => {
                let refused = self.waiting.carried(digest);
                if self.backoff.tries() > 0 {
                    let (waiting, _) = self.waiting.length();
                    tracing::info!(store = self.bucket.name(), waiting, refused, "outputs are stored again");
                }
                self.backoff.reset();
            }
            Err(error @ Error::Damaged { .. }) => {
                tracing::error!(%error, "an output that waited is lost");
                self.waiting.lost(digest);
            }
            Err(error) => {
                if self.waiting.back(digest, error.to_string()) {
                    let (waiting, bytes) = self.waiting.length();
                    tracing::warn!(%error, waiting, bytes, "outputs wait; they are stored as soon as that is possible");
                }
                if self.until.is_none() {
                    self.until = Some(Instant::now() + self.backoff.wait());
                }
            }
        }
    }

    /// Has what is old looked for, by another task: what it finds comes page by page.
    fn look_for_old(&mut self) {
        let (to, pages) = mpsc::channel(1);
        let (bucket, moment) = (self.bucket.clone(), *self.sweep.moments.borrow_and_update());
        let slack = u64::try_from(AGE_SLACK.as_micros()).unwrap_or(u64::MAX);
        let moment = Time(moment.0.saturating_sub(slack));
        self.sweep.pages = Some(pages);
        // It ends with this task, which holds the other end.
        drop(tokio::spawn(async move {
            let found = bucket.old(moment, |page| {
                let to = to.clone();
                async move {
                    // Nobody drops any more: the process ends.
                    let _gone = to.send(page).await;
                }
            });
            if let Err(error) = found.await {
                tracing::warn!(%error, "old outputs could not be looked for; that is done again later");
            }
        }));
    }

    /// Drops what is old, unless it was put again meanwhile. Nothing is sent off before that is done.
    async fn drop_old(&mut self, page: Option<Vec<Digest>>) {
        let Some(mut page) = page else {
            self.sweep.pages = None;
            self.sweep.next = Instant::now() + self.sweep.every;
            return;
        };
        page.retain(|digest| !self.waiting.is_young(*digest));
        if let Err(error) = self.bucket.drop(&page).await {
            tracing::warn!(%error, "old outputs could not be dropped; that is done again later");
        }
    }

    /// Carries what it can before the process ends.
    async fn end(mut self) {
        let last = Instant::now() + LAST;
        loop {
            self.load();
            match timeout_at(last, self.under_way.join_next()).await {
                Ok(Some(done)) => self.land(done),
                Ok(None) | Err(_) => break,
            }
        }
        let (waiting, bytes) = self.waiting.length();
        if waiting > 0 {
            let store = self.bucket.name();
            tracing::warn!(store, waiting, bytes, "outputs wait in the data directory for the next start");
        }
    }
}

/// The next page; waits for ever where nothing is looked for.
async fn next(pages: &mut Option<mpsc::Receiver<Vec<Digest>>>) -> Option<Vec<Digest>> {
    match pages {
        Some(pages) => pages.recv().await,
        None => std::future::pending().await,
    }
}

/// Brings one blob to the bucket.
async fn bring(waiting: Arc<Waiting>, bucket: Bucket, digest: Digest) -> Result<(), Error> {
    let read = tokio::task::spawn_blocking(move || waiting.get(digest)).await;
    let content = match read {
        Ok(content) => content?,
        Err(error) => return Err(Error::Away { store: bucket.name().to_owned(), why: error.to_string() }),
    };
    // Somebody has cleared the directory: there is nothing left to carry.
    let Some(content) = content else { return Ok(()) };
    bucket.put(digest, content).await
}
