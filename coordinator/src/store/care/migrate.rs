//! Brings a store that an older version wrote to this one, without starting a coordinator.

use super::survey::{self, survey};
use super::{Error, JOURNAL, PROJECTION, Store};
use crate::store::journal::{FORMAT, VERSION};
use crate::store::lock::Lock;
use crate::store::{SqliteJournal, projection};
use std::path::Path;

/// The versions of a store before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Those of the journal.
    pub journal: (i64, i64),
    /// Those of the projection; before: 0 where there was none.
    pub projection: (i64, i64),
}

/// Brings a store to this version. What is of this version already is left as it is.
///
/// # Errors
/// When a coordinator works on the store, a newer version wrote it, or it is damaged. Nothing was changed then.
pub fn migrate(store: &Store, keep: projection::Keep) -> Result<Migrated, Error> {
    let directory = store.directory()?;
    let _held = Lock::take(directory)?;
    let (journal, tables) = (directory.join(JOURNAL), directory.join(PROJECTION));
    // Both are looked at before either is changed.
    let looked = survey(&journal, |_, _| {})?;
    if let Some(damage) = looked.damage {
        return Err(match damage.format {
            Some(format) => Error::OtherFormat { file: journal, commit: damage.commit, format, known: FORMAT },
            None => {
                crate::store::Error::Corrupt { file: journal, why: format!("commit {}: {}", damage.commit, damage.why) }
                    .into()
            }
        });
    }
    let before = match tables.exists() {
        true => version(&tables)?,
        false => 0,
    };
    drop(SqliteJournal::open(&journal)?);
    drop(projection::open(Some(&tables), keep)?);
    Ok(Migrated { journal: (looked.version, VERSION), projection: (before, version(&tables)?) })
}

fn version(tables: &Path) -> Result<i64, Error> {
    Ok(survey::version(&mut survey::open(tables)?, projection::VERSION)?)
}
