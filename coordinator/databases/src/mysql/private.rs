//! Servers for tests that want a whole one: made from the template's image, and gone with the lease.

use super::craft::start;
use super::entry::{Door, Entry, Rights, unseen};
use super::{Error, Image, Maker, wire};
use crate::lease::{Fate, Released};
use regatta_domain::evidence::Fact;
use regatta_domain::{Digest, Level};
use std::collections::BTreeMap;
use tokio::sync::OwnedSemaphorePermit;

/// A server of its own, and the way into it.
#[derive(Debug)]
pub(super) struct Private {
    door: Door,
    entry: Entry,
    /// Its settings at the begin.
    settings: BTreeMap<String, String>,
    _room: OwnedSemaphorePermit,
}

/// What a server says that is about to end.
const ENDING: u16 = 1053;

impl Private {
    /// Starts one.
    pub(super) async fn make(
        maker: &Maker,
        image: &Image,
        template: Digest,
        room: OwnedSemaphorePermit,
    ) -> Result<Self, Error> {
        let door = Door::open(start(maker, &image.listing).await?).await?;
        let entry = Entry::new(image.database.clone(), maker.names.next(template));
        door.admit(&entry, Rights::All).await?;
        let settings = settings(&door).await?;
        Ok(Self { door, entry, settings, _room: room })
    }

    pub(super) fn is_well(&self) -> bool {
        self.door.is_well()
    }

    pub(super) fn told(&self) -> (&Entry, u16) {
        (&self.entry, self.door.process.port())
    }

    /// Shuts the test out, and looks at what it did.
    pub(super) async fn release(&self, declared: Level, killed: bool) -> Released {
        let seen = async {
            let mut outcome = self.door.verify(&self.entry, declared, killed).await?;
            for (name, value) in settings(&self.door).await? {
                if self.settings.get(&name) != Some(&value) {
                    outcome.evidence.facts.insert(Fact::Settings);
                    outcome.statements.push(format!("SET GLOBAL {name} = {value}"));
                }
            }
            Ok::<_, wire::Error>(outcome.told(declared, Fate::Destroyed))
        };
        seen.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "what a test did to its MariaDB server could not be seen");
            match error {
                // It lives and does not let us in: only who may change it all can have done that.
                wire::Error::Refused { code, .. } if code != ENDING => {
                    unseen(declared, &[Fact::Unknown, Fact::Settings], Fate::Destroyed)
                }
                _ => unseen(declared, &[Fact::Unknown], Fate::Lost),
            }
        })
    }

    pub(super) async fn destroy(self) {
        self.door.process.destroy().await;
    }
}

/// The server's settings, but for those that tell what it has done.
async fn settings(door: &Door) -> Result<BTreeMap<String, String>, wire::Error> {
    let rows = door.rows("SHOW GLOBAL VARIABLES WHERE Variable_name NOT LIKE 'gtid%'").await?;
    let pair = |row: wire::Row| {
        let mut fields = row.into_iter();
        Some((fields.next()??, fields.next()?.unwrap_or_default()))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}
