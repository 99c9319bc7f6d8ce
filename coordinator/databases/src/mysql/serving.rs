//! The server that all leases of one template share, but for those that want a whole one: copies are made in it and taken out.

use super::definition::Definition;
use super::entry::{Door, Entry, Rights, unseen};
use super::process::Process;
use super::{Error, Maker};
use crate::lease::{Fate, Released};
use regatta_domain::evidence::Fact;
use regatta_domain::{Digest, Level};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// A running server with a template in it.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) door: Door,
    definition: Definition,
}

/// A copy of the template, and the way into it for one lease.
#[derive(Debug)]
pub(super) struct Copied {
    serving: Arc<Serving>,
    entry: Entry,
    /// Whether somebody was there, who may have moved numbers on that no rollback sets back.
    moved: bool,
    /// Since when it is out, and whether it is expected back clean.
    pub(super) leased: Option<(Instant, bool)>,
    room: OwnedSemaphorePermit,
}

/// The right of one lease to read the template itself.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) serving: Arc<Serving>,
    pub(super) entry: Entry,
}

impl Serving {
    /// Serves what `builder` made in `database`. That it can be copied is tried out.
    pub(super) async fn begin(
        process: Process,
        database: &str,
        builder: &str,
        trial: &str,
    ) -> Result<Arc<Self>, Error> {
        let door = Door::open(process).await?;
        let mut back = door.back().await?;
        let mut definition = Definition::read(&mut back, database, builder).await?;
        definition.try_out(&mut back, trial).await.map_err(Error::Copy)?;
        definition.remove(&mut back, trial).await?;
        drop(back);
        Ok(Arc::new(Self { door, definition }))
    }

    /// Whether it can be used.
    pub(super) fn is_well(&self) -> bool {
        self.door.is_well()
    }

    /// Makes a copy.
    pub(super) async fn copy(
        self: &Arc<Self>,
        maker: &Maker,
        template: Digest,
        room: OwnedSemaphorePermit,
    ) -> Result<Copied, Error> {
        let entry = Entry::new(maker.names.next(template), maker.names.next(template));
        let made = async {
            self.definition.copy(&mut *self.door.back().await?, &entry.database).await?;
            self.door.admit(&entry, Rights::Own).await
        };
        match made.await {
            Ok(()) => Ok(Copied { serving: self.clone(), entry, moved: false, leased: None, room }),
            Err(error) => {
                self.door.forget(&entry).await;
                self.remove(&entry.database).await;
                Err(error.into())
            }
        }
    }

    /// Lets one more read.
    pub(super) async fn reader(self: &Arc<Self>, maker: &Maker, template: Digest) -> Result<Reader, Error> {
        let entry = Entry::new(self.definition.database.clone(), maker.names.next(template));
        self.door.admit(&entry, Rights::Read).await?;
        Ok(Reader { serving: self.clone(), entry })
    }

    async fn remove(&self, database: &str) {
        let removed = async { self.definition.remove(&mut *self.door.back().await?, database).await };
        if let Err(error) = removed.await
            && self.is_well()
        {
            tracing::warn!(database, %error, "a copy of a MariaDB database could not be removed");
        }
    }
}

impl Copied {
    pub(super) fn is_well(&self) -> bool {
        self.serving.is_well()
    }

    pub(super) fn told(&self) -> (&Entry, u16) {
        (&self.entry, self.serving.door.process.port())
    }

    /// Shuts the test out, and looks at what it did.
    pub(super) async fn release(&mut self, declared: Level, killed: bool) -> Released {
        match self.serving.door.verify(&self.entry, declared, killed).await {
            Ok(outcome) => {
                self.moved = outcome.evidence.sessions > 0;
                let fate = if outcome.clean { Fate::HandedOn } else { Fate::Replaced };
                outcome.told(declared, fate)
            }
            Err(error) => lost(&self.entry, &error, declared),
        }
    }

    /// Makes it ready for the next test: its numbers are set back, and its user is another one.
    pub(super) async fn renew(&mut self, maker: &Maker, template: Digest) -> Result<(), Error> {
        let Self { serving, entry, .. } = self;
        if std::mem::take(&mut self.moved) {
            let mut back = serving.door.back().await?;
            serving.definition.set_back(&mut back, &entry.database).await?;
        }
        *entry = Entry::new(std::mem::take(&mut entry.database), maker.names.next(template));
        Ok(serving.door.admit(entry, Rights::Own).await?)
    }

    /// Removes it, and everybody who may enter.
    pub(super) async fn remove(self) {
        if self.is_well() {
            self.serving.door.forget(&self.entry).await;
            self.serving.remove(&self.entry.database).await;
        }
        drop(self.room);
    }
}

impl Reader {
    /// Shuts the test out, and looks at what it did.
    pub(super) async fn release(&self, declared: Level, killed: bool) -> Released {
        match self.serving.door.verify(&self.entry, declared, killed).await {
            // Nobody who reads may write what others read; what they change is their own.
            Ok(outcome) => outcome.told(declared, Fate::Kept),
            Err(error) => lost(&self.entry, &error, declared),
        }
    }
}

fn lost(entry: &Entry, error: &super::wire::Error, declared: Level) -> Released {
    tracing::warn!(database = entry.database, %error, "what a test did to its MariaDB database could not be seen");
    unseen(declared, &[Fact::Unknown], Fate::Lost)
}
