//! Engines whose databases are made here and thrown away, as whoever leases sees them: all look alike.
//!
//! How one is begun is left to its module; what happens at its desk to `desk`; how databases are made to its craft.

use crate::desk::{Craft, Desk};
use crate::lease::{Ask, DatabaseLease, Leased, Refused, Released, Unknown};
use crate::server::home::Home;
use crate::status::Status;
use crate::template::{BuildId, Prepared, Wanted};
use async_trait::async_trait;
use regatta_domain::{Digest, Token};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Databases for tests, made here and thrown away. Cheap to clone. [`Self::shutdown`] ends all of them; so does the end of the
/// process, in whatever way it ends.
#[derive(Clone, Debug)]
pub struct Throwaway {
    desk: Arc<dyn Counter>,
    directory: PathBuf,
}

impl Throwaway {
    /// Opens the desk of a craft that keeps everything in `home`.
    pub(crate) fn open(craft: impl Craft, home: &Home) -> Self {
        Self { directory: home.path().to_owned(), desk: Desk::new(craft) }
    }

    /// The directory of all that is made.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.directory.clone()
    }

    /// Says what is to be done so that tests can have databases from a template. To be called before the first lease, and
    /// again after waiting.
    ///
    /// # Errors
    /// When there is no place to build in; asking again later may help.
    pub async fn prepare(&self, wanted: Wanted) -> Result<Prepared, Refused> {
        self.desk.clone().prepare(wanted).await
    }

    /// The build that was ordered has ended: well, or with this log. Returns whether the template is ready now.
    pub async fn built(&self, id: BuildId, outcome: Result<(), String>) -> bool {
        self.desk.clone().built(id, outcome).await
    }

    /// Forgets that a template could not be built: the next who asks builds it again.
    pub fn retry(&self, template: Digest) {
        self.desk.retry(template);
    }

    /// Gives a database for a test; to one that only reads, the right to read where others read, too.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn lease(&self, ask: Ask) -> Result<Leased, Refused> {
        self.desk.lease(&ask).await
    }

    /// Ends a lease: what it was told leads nowhere any more, and what was done is found out. Asked again, it tells the same.
    ///
    /// # Errors
    /// When the lease is not known, or its outcome is forgotten.
    pub async fn release(&self, id: DatabaseLease) -> Result<Released, Unknown> {
        self.desk.clone().release(id).await
    }

    /// Ends every lease and every build under a token; what asks under it from now on is refused.
    pub fn fence(&self, token: Token) {
        self.desk.clone().fence(token);
    }

    /// How the engine is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.desk.status()
    }

    /// Ends: nothing new is given, all leases end, and everything that was made goes.
    pub async fn shutdown(&self) {
        self.desk.shutdown().await;
        let directory = self.directory.clone();
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory)).await;
    }
}

/// A desk, whatever its craft.
#[async_trait]
trait Counter: fmt::Debug + Send + Sync {
    async fn prepare(self: Arc<Self>, wanted: Wanted) -> Result<Prepared, Refused>;
    async fn built(self: Arc<Self>, id: BuildId, outcome: Result<(), String>) -> bool;
    fn retry(&self, template: Digest);
    async fn lease(&self, ask: &Ask) -> Result<Leased, Refused>;
    async fn release(self: Arc<Self>, id: DatabaseLease) -> Result<Released, Unknown>;
    fn fence(self: Arc<Self>, token: Token);
    fn status(&self) -> Status;
    async fn shutdown(&self);
}

#[async_trait]
impl<C: Craft> Counter for Desk<C> {
    async fn prepare(self: Arc<Self>, wanted: Wanted) -> Result<Prepared, Refused> {
        Desk::prepare(&self, wanted).await
    }

    async fn built(self: Arc<Self>, id: BuildId, outcome: Result<(), String>) -> bool {
        Desk::built(&self, id, outcome).await
    }

    fn retry(&self, template: Digest) {
        Desk::retry(self, template);
    }

    async fn lease(&self, ask: &Ask) -> Result<Leased, Refused> {
        Desk::lease(self, ask).await
    }

    async fn release(self: Arc<Self>, id: DatabaseLease) -> Result<Released, Unknown> {
        Desk::release(&self, id).await
    }

    fn fence(self: Arc<Self>, token: Token) {
        Desk::fence(&self, token);
    }

    fn status(&self) -> Status {
        Desk::status(self)
    }

    async fn shutdown(&self) {
        Desk::shutdown(self).await;
    }
}
