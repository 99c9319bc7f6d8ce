//! Looks through a store: whether everything in it is what was written, and in order.

use super::survey::{self, Survey, survey};
use super::{Error, JOURNAL, PROJECTION, Store};
use crate::blobs::{self, Place};
use crate::resources::Broken;
use crate::resources::catalogue::kept::Shelf;
use crate::store::papers::Papers;
use crate::store::{self, projection};
use regatta_core::Event;
use regatta_domain::Digest;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;

/// What is wrong with a file of SQLite is told up to so many times.
const TOLD: usize = 10;

/// What was found in a store. What could not be looked at says why.
#[derive(Debug)]
pub struct Checked {
    /// The journal.
    pub journal: Result<Survey, Error>,
    /// What SQLite says of the journal's file; nothing, where all is well.
    pub journal_file: Vec<String>,
    /// The projection; `None` where there is none.
    pub tables: Option<Result<Tables, Error>>,
    /// What was declared over the service.
    pub resources: Result<(), Broken>,
    /// The outputs, where they were asked for.
    pub outputs: Option<Result<Outputs, Error>>,
}

/// What is in a projection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// The version of the file.
    pub version: i64,
    /// The newest version that is known here.
    pub known: i64,
    /// The last commit that is in it.
    pub cursor: u64,
    /// Its runs.
    pub runs: u64,
    /// What SQLite says of the file; nothing, where all is well.
    pub file: Vec<String>,
}

/// Outputs, as the store knows of them and as they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Where they should be.
    pub place: String,
    /// How many different ones the store points at.
    pub referenced: u64,
    /// Those that are not there.
    pub missing: Vec<Digest>,
}

impl Checked {
    /// Whether the store can be relied on as it is. Outputs that are missing do not count.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let journal = self.journal.as_ref().is_ok_and(|survey| survey.damage.is_none());
        let commits = self.journal.as_ref().map_or(0..=0, |survey| survey.base..=survey.last);
        let tables = match &self.tables {
            None => true,
            Some(Ok(tables)) => tables.file.is_empty() && commits.contains(&tables.cursor),
            Some(Err(_)) => false,
        };
        journal && self.journal_file.is_empty() && tables && self.resources.is_ok()
    }
}

/// Looks through a store; with a place for outputs, whether those that it points at are there.
///
/// # Errors
/// When there is no store.
pub async fn check(store: &Store, outputs: Option<Option<Place>>) -> Result<Checked, Error> {
    let directory = store.directory()?.to_owned();
    let looking = directory.clone();
    let looked = tokio::task::spawn_blocking(move || look(&looking)).await;
    let (mut checked, referenced) = looked.map_err(|error| Error::io(&directory, error.into()))?;
    if let Some(place) = outputs {
        let place = place.unwrap_or_else(|| Place::Directory(directory.join(blobs::DIRECTORY)));
        checked.outputs = Some(find(&directory, &place, referenced).await);
    }
    Ok(checked)
}

/// What is in a data directory, and the outputs that it points at.
fn look(directory: &Path) -> (Checked, BTreeSet<Digest>) {
    let (journal, tables) = (directory.join(JOURNAL), directory.join(PROJECTION));
    let mut referenced = BTreeSet::new();
    let looked = survey(&journal, |_, commit| referenced.extend(commit.events.iter().flat_map(outputs_of)));
    let mut checked = Checked {
        journal: looked.map_err(Error::from),
        journal_file: Vec::new(),
        tables: tables.exists().then(|| self::tables(&tables, &mut referenced).map_err(Error::from)),
        resources: Shelf::new(Papers::at(Some(directory))).read().map(drop),
        outputs: None,
    };
    if checked.journal.is_ok() {
        checked.journal_file =
            match survey::open(&journal).and_then(|mut database| database.run(|connection| integrity(connection))) {
                Ok(told) => told,
                Err(error) => vec![error.to_string()],
            };
    }
    (checked, referenced)
}

/// What is in the projection in `file`.
fn tables(file: &Path, referenced: &mut BTreeSet<Digest>) -> Result<Tables, store::Error> {
    let mut database = survey::open(file)?;
    let version = survey::version(&mut database, projection::VERSION)?;
    let mut tables = Tables { version, known: projection::VERSION, ..Tables::default() };
    if version == 0 {
        return Ok(tables);
    }
    database.run(|connection| {
        connection.execute_batch("BEGIN")?;
        tables.file = integrity(connection)?;
        if !tables.file.is_empty() {
            return Ok(());
        }
        let number = |sql| connection.query_row(sql, [], |row| row.get(0).map(i64::cast_unsigned));
        tables.cursor = number("SELECT seq FROM cursor")?;
        tables.runs = number("SELECT count(*) FROM runs")?;
        referenced.extend(referenced_in(connection)?);
        Ok(())
    })?;
    Ok(tables)
}

/// The outputs that a projection points at.
pub(super) fn referenced_in(connection: &Connection) -> rusqlite::Result<BTreeSet<Digest>> {
    let mut outputs = connection.prepare("SELECT DISTINCT output FROM attempts WHERE output IS NOT NULL")?;
    outputs.query_map([], |row| row.get(0).map(Digest))?.collect()
}

/// The outputs that an event points at.
pub(super) fn outputs_of(event: &Event) -> impl Iterator<Item = Digest> {
    let results = match event {
        Event::ResultsAccepted { results, .. } => &results[..],
        _ => &[],
    };
    results.iter().filter_map(|accepted| Some(accepted.result.output?.digest))
}

/// What SQLite says of a file; nothing, where all is well.
pub(super) fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({TOLD})"))?;
    let told: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(told.into_iter().filter(|line| line != "ok").collect())
}

async fn find(directory: &Path, place: &Place, referenced: BTreeSet<Digest>) -> Result<Outputs, Error> {
    let there = blobs::inventory(place, &directory.join(blobs::WAITING)).await?;
    let count = referenced.len() as u64;
    let missing = referenced.into_iter().filter(|digest| !there.contains(digest)).collect();
    Ok(Outputs { place: place.to_string(), referenced: count, missing })
}
