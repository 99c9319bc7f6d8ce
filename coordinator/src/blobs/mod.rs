//! Blobs: captured output, addressed by its content.
//!
//! They lie in a [directory], or in a [bucket] of an S3-compatible store. Putting one never waits for a
//! network: what goes to a bucket [waits](waiting) in a directory until a [ferry] has carried it over. So a store that
//! is away costs no verdict and, up to a bound, no output. What is read is compared with its address.

mod bucket;
mod directory;
mod error;
mod ferry;
mod http;
mod memory;
mod place;
#[cfg(test)]
mod tests;
mod waiting;

pub use error::Error;
pub use place::{NoPlace, Place};

use bucket::Bucket;
use directory::Directory;
use ferry::Ferry;
use memory::Memory;
use regatta_domain::result::OutputRef;
use regatta_domain::{Digest, Time};
use regatta_runtime::threads;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use waiting::Waiting;

/// Where a data directory has its blobs, where they lie in it, and where those wait that go elsewhere.
pub(crate) const DIRECTORY: &str = "blobs";
pub(crate) const WAITING: &str = "blobs-waiting";

/// Nothing is dropped that is younger than what is kept by less than this: a store has a clock of its own, and what was put
/// just before is not put again.
const AGE_SLACK: Duration = Duration::from_secs(60 * 60);

/// A store of blobs. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    shelf: Shelf,
    keeping: Mutex<Option<Keeping>>,
}

#[derive(Debug)]
enum Shelf {
    Directory(Arc<Directory>),
    Bucket { bucket: Bucket, waiting: Arc<Waiting> },
    Memory(Memory),
}

/// The task that looks after a store.
#[derive(Debug)]
struct Keeping {
    /// Blobs that were last put before this moment may go.
    moments: watch::Sender<Time>,
    task: JoinHandle<()>,
}

/// A blob that is not kept. What points at it may do so all the same: it says then that something was there.
#[derive(Debug)]
pub struct Unkept {
    /// Where it would lie.
    pub address: OutputRef,
    /// Why it does not.
    pub why: Error,
}

impl Blobs {
    /// The blobs in a place. What goes to a bucket waits in `waiting`.
    ///
    /// # Errors
    /// When a directory cannot be used, when what is set up for a bucket makes no sense, or when the bucket refuses. A bucket
    /// that is away is not an error: its blobs wait.
    pub async fn open(place: &Place, waiting: &Path) -> Result<Self, Error> {
        match place {
            Place::Directory(root) => Self::in_directory(root),
            Place::S3 { bucket, prefix } => {
                let bucket = Bucket::s3(bucket, prefix, std::env::vars())?;
                Self::in_bucket(bucket, waiting, waiting::MOST).await
            }
        }
    }

    /// Blobs in a directory, which is created where it is not there.
    ///
    /// # Errors
    /// When it cannot be created.
    fn in_directory(root: &Path) -> Result<Self, Error> {
        let directory = Arc::new(Directory::open(root)?);
        let (moments, mut asked) = watch::channel(Time::default());
        let kept = Arc::clone(&directory);
        let task = tokio::spawn(async move {
            while asked.changed().await.is_ok() {
                let (kept, moment) = (Arc::clone(&kept), *asked.borrow_and_update());
                match threads::on_disk(move || kept.drop_before(moment)).await {
                    Ok(Ok(dropped)) => tracing::debug!(dropped, "dropped old outputs"),
                    Ok(Err(error)) => tracing::warn!(%error, "old outputs could not be dropped"),
                    Err(error) => tracing::warn!(%error, "old outputs could not be dropped"),
                }
            }
        });
        Ok(Self::kept(Shelf::Directory(directory), Some(Keeping { moments, task })))
    }

    async fn in_bucket(bucket: Bucket, waiting: &Path, most: u64) -> Result<Self, Error> {
        match bucket.probe().await {
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "outputs wait in the data directory until that has passed");
            }
            probed => probed?,
        }
        let waiting = Arc::new(Waiting::open(waiting, most)?);
        let (moments, asked) = watch::channel(Time::default());
        let task = Ferry::start(Arc::clone(&waiting), bucket.clone(), asked);
        Ok(Self::kept(Shelf::Bucket { bucket, waiting }, Some(Keeping { moments, task })))
    }

    /// Blobs in memory: for tests, and for a coordinator that is not given a directory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::kept(Shelf::Memory(Memory::default()), None)
    }

    fn kept(shelf: Shelf, keeping: Option<Keeping>) -> Self {
        Self(Arc::new(Kept { shelf, keeping: Mutex::new(keeping) }))
    }

    /// Keeps `content`, and tells where. Waits for a disk at most.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn put(&self, content: &[u8]) -> Result<OutputRef, Unkept> {
        let digest = digest_of(content);
        let address = OutputRef { digest, size: u32::try_from(content.len()).unwrap_or(u32::MAX) };
        let put = match &self.0.shelf {
            Shelf::Directory(directory) => directory.put(digest, content),
            Shelf::Bucket { bucket, waiting } => waiting.put(bucket.name(), digest, content),
            Shelf::Memory(memory) => {
                memory.put(digest, content);
                Ok(())
            }
        };
        put.map(|()| address).map_err(|why| Unkept { address, why })
    }

    /// The content at `digest`; `None` where there is none (any more).
    ///
    /// # Errors
    /// When it cannot be read, or is not what was put.
    pub async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        match &self.0.shelf {
            Shelf::Directory(directory) => {
                let directory = Arc::clone(directory);
                on_disk(move || directory.get(digest)).await
            }
            Shelf::Bucket { bucket, waiting } => {
                let waiting = Arc::clone(waiting);
                match on_disk(move || waiting.get(digest)).await {
                    Ok(Some(content)) => Ok(Some(content)),
                    // What waits and cannot be read may have been carried before.
                    Ok(None) | Err(_) => bucket.get(digest).await,
                }
            }
            Shelf::Memory(memory) => Ok(memory.get(digest)),
        }
    }

    /// What was last put before a moment may be dropped: that is done by and by, and not waited for.
    pub fn drop_before(&self, moment: Time) {
        let keeping = self.0.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Keeping { moments, .. }) = &*keeping {
            moments.send_replace(moment);
        }
    }

    /// Ends what goes on in the background: what waits for a bucket is carried for a moment more, and then by the next
    /// process.
    pub async fn close(&self) {
        let keeping = self.0.keeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Keeping { moments, task }) = keeping {
            drop(moments);
            // Should it have panicked, that was told.
            let _panicked = task.await;
        }
    }
}

/// All blobs that are in a place, or wait to get there. Nothing is changed.
///
/// # Errors
/// When they cannot be listed.
pub(crate) async fn inventory(place: &Place, waiting: &Path) -> Result<HashSet<Digest>, Error> {
    let list = |root: &Path| {
        let directory = Directory::at(root);
        on_disk(move || {
            let mut all = HashSet::new();
            directory.each(|digest, _, _| {
                all.insert(digest);
                Ok(())
            })?;
            Ok(all)
        })
    };
    match place {
        Place::Directory(root) => list(root).await,
        Place::S3 { bucket, prefix } => {
            let bucket = Bucket::s3(bucket, prefix, std::env::vars())?;
            let all = Mutex::new(list(waiting).await?);
            let everything = Time(u64::MAX);
            bucket
                .old(everything, |page| {
                    all.lock().unwrap_or_else(PoisonError::into_inner).extend(page);
                    std::future::ready(())
                })
                .await?;
            Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
        }
    }
}

/// The address of a blob.
fn digest_of(content: &[u8]) -> Digest {
    Digest(*blake3::hash(content).as_bytes())
}

/// Does something that waits for a disk.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match threads::on_disk(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::Away { store: "the directory".to_owned(), why: error.to_string() }),
    }
}
