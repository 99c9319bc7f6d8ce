//! Saves what can be saved of a damaged store: everything up to the damage, in a new directory that a coordinator starts on.
//!
//! The projection may know more than what was saved of the journal. Then the runs that the journal still tells of are taken
//! out of it, to be told again; runs of which nothing is left in the journal stay where they have ended, and go where not.

use super::copy::{self, Scaffold};
use super::survey::{self, Survey, survey};
use super::{Error, JOURNAL, PAPERS, PROJECTION, Store, check};
use crate::blobs;
use crate::store::journal::Rows;
use crate::store::projection;
use regatta_core::Event;
use regatta_domain::RunId;
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// What was saved.
#[derive(Debug)]
pub struct Salvaged {
    /// The journal, as it was found.
    pub journal: Survey,
    /// Whether the projection was: with it go history and the runs that have ended.
    pub tables: bool,
    /// How many runs the projection is told again, since it knew more of them than was saved.
    pub told_again: u64,
}

/// Saves what can be saved of a store in a new directory. The store is left as it is.
///
/// # Errors
/// When nothing can be read of the journal, when there is something at `to`, or the file system refuses.
pub fn salvage(store: &Store, to: &Path) -> Result<Salvaged, Error> {
    let directory = store.directory()?;
    let scaffold = Scaffold::begin(to)?;
    let mut runs = BTreeSet::new();
    let mut copy = Rows::create(&scaffold.path().join(JOURNAL))?;
    let mut refused = None;
    let journal = survey(&directory.join(JOURNAL), |row, commit| {
        if refused.is_none() {
            refused = copy.add(row.seq, row.body, row.sum).err();
        }
        runs.extend(commit.events.iter().filter_map(submitted));
    })?;
    if let Some(error) = refused {
        return Err(error.into());
    }
    copy.finish(&directory.join(JOURNAL), journal.last)?;
    let saved = tables(directory, scaffold.path(), &journal, &runs)?;
    for name in PAPERS {
        copy::file(&directory.join(name), &scaffold.path().join(name))?;
    }
    for outputs in [blobs::DIRECTORY, blobs::WAITING] {
        link(&directory.join(outputs), &scaffold.path().join(outputs))?;
    }
    scaffold.finish()?;
    Ok(Salvaged { journal, tables: saved.is_some(), told_again: saved.unwrap_or(0) })
}

fn submitted(event: &Event) -> Option<RunId> {
    match event {
        Event::RunSubmitted { submission, .. } => Some(submission.run),
        _ => None,
    }
}

/// Saves the projection, where it is sound. Gives how many runs it has to be told again.
fn tables(from: &Path, to: &Path, journal: &Survey, runs: &BTreeSet<RunId>) -> Result<Option<u64>, Error> {
    let (file, copy) = (from.join(PROJECTION), to.join(PROJECTION));
    let copied = survey::open(&file).map_err(Error::from).and_then(|mut database| {
        survey::version(&mut database, projection::VERSION)?;
        copy::database(&mut database, &copy)
    });
    let unsound = |error: Error| {
        tracing::warn!(%error, "the projection is left out");
        // A copy that was begun is worth nothing.
        let _gone = fs::remove_file(&copy);
    };
    if let Err(error) = copied {
        unsound(error);
        return Ok(None);
    }
    let sorted = |error| Error::Store(crate::store::Error::sorted(&copy, error));
    let mut connection = Connection::open(&copy).map_err(sorted)?;
    match check::integrity(&connection) {
        Ok(told) if told.is_empty() => {}
        told => {
            let why = told.map_or_else(|error| error.to_string(), |told| told.join("; "));
            unsound(crate::store::Error::Corrupt { file, why }.into());
            return Ok(None);
        }
    }
    let told_again = set_back(&mut connection, journal, runs).map_err(sorted)?;
    connection.close().map_err(|(_, error)| sorted(error))?;
    copy::sync(&copy)?;
    Ok(Some(told_again))
}

/// Takes out what the projection knows beyond the journal. Gives how many runs it has to be told again.
fn set_back(connection: &mut Connection, journal: &Survey, runs: &BTreeSet<RunId>) -> rusqlite::Result<u64> {
    let transaction = connection.transaction()?;
    let cursor: i64 = transaction.query_row("SELECT seq FROM cursor", [], |row| row.get(0))?;
    if cursor.cast_unsigned() <= journal.last {
        return Ok(0);
    }
    let mut gone: BTreeSet<i64> = BTreeSet::new();
    for run in runs {
        let id = "SELECT id FROM runs WHERE run = ?";
        gone.extend(transaction.query_row(id, [run.0.as_bytes()], |row| row.get::<_, i64>(0)).optional()?);
    }
    let told_again = gone.len() as u64;
    let live: Vec<i64> = {
        let mut live = transaction.prepare("SELECT id FROM runs WHERE ended IS NULL")?;
        live.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    gone.extend(live);
    let of_runs = ["events", "verdicts", "attempts", "refused", "errors"].map(|table| (table, "run"));
    for (table, column) in of_runs.into_iter().chain([("runs", "id")]) {
        let mut drop = transaction.prepare(&format!("DELETE FROM {table} WHERE {column} = ?"))?;
        gone.iter().try_for_each(|id| drop.execute([id]).map(std::mem::drop))?;
    }
    transaction.execute("UPDATE cursor SET seq = ?", [journal.base.cast_signed()])?;
    transaction.commit()?;
    Ok(told_again)
}

/// Copies a directory of files that never change: by a second name where that can be, since there may be many.
fn link(from: &Path, to: &Path) -> Result<(), Error> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| Error::io(from, error))?,
    };
    fs::create_dir_all(to).map_err(|error| Error::io(to, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Error::io(from, error))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            link(&from, &to)?;
        } else if let Err(error) = fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)) {
            return Err(Error::io(&from, error));
        }
    }
    Ok(())
}
