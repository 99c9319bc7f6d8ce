//! Blobs that wait for a bucket: in a directory, so that neither a bucket that is away nor the end of the process loses them.
//!
//! It is bounded: what would go beyond is refused, and what refuses says why so much waits. It leaves carrying to
//! [`super::ferry`].

use super::directory::Directory;
use super::{AGE_SLACK, Error};
use regatta_domain::Digest;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes that wait at most: some hours of a busy fleet's failures, and an hour of everything it says.
pub(super) const MOST: u64 = 4 * 1024 * 1024 * 1024;

/// What was carried so recently need not be carried again. It stays younger than [`AGE_SLACK`], by which nothing is dropped.
const RECENT: Duration = Duration::from_secs(10 * 60);
const _: () = assert!(RECENT.as_secs() * 2 < AGE_SLACK.as_secs());

/// So many of them are known, twice: 5 MB.
const RECENT_MOST: usize = 50_000;

/// Blobs that wait.
#[derive(Debug)]
pub(super) struct Waiting {
    directory: Directory,
    most: u64,
    line: Mutex<Line>,
    /// Somebody has come to the line.
    came: Notify,
}

#[derive(Debug)]
struct Line {
    next: VecDeque<Digest>,
    /// All that are in the directory, under way or not, and their bytes.
    held: HashMap<Digest, u64>,
    bytes: u64,
    recent: Recent,
    /// What keeps the line from moving, where something does.
    trouble: Option<String>,
    /// How many were refused since the line moved last.
    refused: u64,
}

/// What was carried lately: the younger half, and the older one.
#[derive(Debug)]
struct Recent {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
    since: Instant,
}

impl Waiting {
    /// Blobs that wait in `root`, those included that an earlier process left there; at most so many bytes.
    pub(super) fn open(root: &Path, most: u64) -> Result<Self, Error> {
        let directory = Directory::open(root)?;
        let recent = Recent { young: HashSet::new(), old: HashSet::new(), since: Instant::now() };
        let mut line =
            Line { next: VecDeque::new(), held: HashMap::new(), bytes: 0, recent, trouble: None, refused: 0 };
        directory.each(|digest, _, bytes| {
            line.add(digest, bytes);
            Ok(())
        })?;
        Ok(Self { directory, most, line: Mutex::new(line), came: Notify::new() })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a blob into the line for `store`, unless it is there, or was carried just now.
    pub(super) fn put(&self, store: &str, digest: Digest, content: &[u8]) -> Result<(), Error> {
        {
            let mut line = self.line();
            if line.held.contains_key(&digest) || line.recent.contains(&digest) {
                return Ok(());
            }
            if line.bytes + content.len() as u64 > self.most {
                line.refused += 1;
                if line.refused == 1 {
                    let bytes = line.bytes;
                    tracing::error!(store, bytes, "no more outputs may wait: those that come now are not kept");
                }
                let why = line.trouble.clone().unwrap_or_else(|| "it takes them more slowly than they come".to_owned());
                return Err(Error::TooMuchWaits { store: store.to_owned(), bytes: line.bytes, why });
            }
        }
        self.directory.put(digest, content)?;
        self.line().add(digest, content.len() as u64);
        self.came.notify_one();
        Ok(())
    }

    /// A blob that waits; `None` where it does not.
    pub(super) fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        if !self.line().held.contains_key(&digest) {
            return Ok(None);
        }
        self.directory.get(digest)
    }

    /// Whose turn it is.
    pub(super) fn next(&self) -> Option<Digest> {
        self.line().next.pop_front()
    }

    /// Waits until somebody may have come to the line.
    pub(super) async fn came(&self) {
        self.came.notified().await;
    }

    /// How many wait, and their bytes.
    pub(super) fn length(&self) -> (usize, u64) {
        let line = self.line();
        (line.held.len(), line.bytes)
    }

    /// A blob has arrived where it was to go. Gives how many were refused while the line did not move.
    pub(super) fn carried(&self, digest: Digest) -> u64 {
        // Known as carried before its file goes: whoever asks meanwhile finds it in one of the two.
        let refused = {
            let mut line = self.line();
            line.recent.add(digest);
            line.leave(digest);
            line.trouble = None;
            std::mem::take(&mut line.refused)
        };
        self.forget(digest);
        refused
    }

    /// A blob cannot be carried, ever.
    pub(super) fn lost(&self, digest: Digest) {
        self.line().leave(digest);
        self.forget(digest);
    }

    /// A blob could not be carried now: it is the first again. Whether that is new.
    pub(super) fn back(&self, digest: Digest, why: String) -> bool {
        let mut line = self.line();
        line.next.push_front(digest);
        line.trouble.replace(why).is_none()
    }

    /// Whether somebody relies on a blob that was put just now.
    pub(super) fn is_young(&self, digest: Digest) -> bool {
        let line = self.line();
        line.held.contains_key(&digest) || line.recent.contains(&digest)
    }

    fn forget(&self, digest: Digest) {
        if let Err(error) = self.directory.drop(digest) {
            // It is carried again by the next process, which does no harm.
            tracing::warn!(%error, "an output that has been stored stays behind");
        }
    }
}

impl Line {
    fn add(&mut self, digest: Digest, bytes: u64) {
        if self.held.insert(digest, bytes).is_none() {
            self.next.push_back(digest);
            self.bytes += bytes;
        }
    }

    fn leave(&mut self, digest: Digest) {
        self.bytes -= self.held.remove(&digest).unwrap_or(0);
    }
}

impl Recent {
    fn contains(&self, digest: &Digest) -> bool {
        self.since.elapsed() < RECENT && (self.young.contains(digest) || self.old.contains(digest))
    }

    fn add(&mut self, digest: Digest) {
        if self.since.elapsed() >= RECENT || self.young.len() >= RECENT_MOST {
            // Both halves are too old where nothing was carried for long.
            let old = std::mem::take(&mut self.young);
            self.old = if self.since.elapsed() >= RECENT { HashSet::new() } else { old };
            self.since = Instant::now();
        }
        self.young.insert(digest);
    }
}
