//! Writing: the face of the kinds of stores.

use super::row::Row;
use crate::store::Error;
use regatta_domain::Time;

/// Where a writer writes to.
pub(super) trait Sink: Send {
    /// See [`Writer::cursor`].
    fn cursor(&self) -> u64;

    /// See [`Writer::write`].
    fn write(&mut self, rows: &[Row], cursor: u64) -> Result<(), Error>;

    /// See [`Writer::prune`].
    fn prune(&mut self, now: Time) -> Result<Option<Time>, Error>;
}

/// The one that writes.
pub struct Writer(Box<dyn Sink>);

impl Writer {
    pub(super) fn new(sink: impl Sink + 'static) -> Self {
        Self(Box::new(sink))
    }

    /// The last commit of the journal that is in the tables.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.0.cursor()
    }

    /// Writes rows, and moves the cursor with them: all, or nothing. Waits for the store: not for the threads of async tasks.
    ///
    /// # Errors
    /// When the store refuses. Nothing was written then, unless a server was lost at the very end; whoever goes on opens
    /// the store again, and the cursor says which it was.
    pub fn write(&mut self, rows: &[Row], cursor: u64) -> Result<(), Error> {
        self.0.write(rows, cursor)
    }

    /// Drops what is beyond the bounds. Gives the moment from which on runs are still kept, where any were dropped.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn prune(&mut self, now: Time) -> Result<Option<Time>, Error> {
        self.0.prune(now)
    }
}
