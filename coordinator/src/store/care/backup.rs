//! Copies a store as it was at one moment, while a coordinator may work on it.
//!
//! The journal and the projection are two files. They are seen as they were within one transaction each, and together they
//! make sense when nothing that the projection lacks has left the journal in between. Outputs never change, so they are
//! copied afterwards.

use super::copy::{self, Scaffold};
use super::manifest::{Kept, Manifest};
use super::{Error, JOURNAL, PAPERS, PROJECTION, Store, check, survey};
use crate::blobs;
use crate::store::database::Database;
use crate::store::{journal, projection};
use regatta_domain::Digest;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// The journal is trimmed at the end of a run: it does not happen between two looks so often.
const LOOKS: usize = 20;

/// The outputs that the store points at: a digest a line.
const OUTPUTS: &str = "outputs.txt";

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The last commit that is in its journal.
    pub last: u64,
    /// The last commit that is in its projection.
    pub cursor: u64,
    /// The runs in its projection.
    pub runs: u64,
    /// The outputs that it points at.
    pub outputs: u64,
    /// How many of them are in it.
    pub copied: u64,
}

/// Backs a store up into a new directory, with the outputs that lie in the data directory where they are wanted.
///
/// # Errors
/// When the store is damaged, when there is something at `to`, or the file system refuses. Nothing is at `to` then.
pub fn backup(store: &Store, to: &Path, with_outputs: bool) -> Result<Backup, Error> {
    let directory = store.directory()?;
    let scaffold = Scaffold::begin(to)?;
    let to = scaffold.path();
    let (mut log, mut tables) = moment(directory)?;
    copy::database(&mut log, &to.join(JOURNAL))?;
    copy::database(&mut tables, &to.join(PROJECTION))?;
    drop((log, tables));

    // The copy is looked through, not what it was made of: that is what somebody will rely on.
    let mut outputs = BTreeSet::new();
    let survey = survey::survey(&to.join(JOURNAL), |_, commit| {
        outputs.extend(commit.events.iter().flat_map(check::outputs_of));
    })?;
    if let Some(damage) = survey.damage {
        let why = format!(
            "commit {}: {}; `regatta store check --salvage DIR` saves what can be saved",
            damage.commit, damage.why
        );
        return Err(crate::store::Error::Corrupt { file: directory.join(JOURNAL), why }.into());
    }
    let (cursor, runs) = survey::open(&to.join(PROJECTION))?.run(|connection| {
        outputs.extend(check::referenced_in(connection)?);
        let number = |sql| connection.query_row(sql, [], |row| row.get(0).map(i64::cast_unsigned));
        Ok((number("SELECT seq FROM cursor")?, number("SELECT count(*) FROM runs")?))
    })?;

    let mut files = vec![Kept::of(to, JOURNAL)?, Kept::of(to, PROJECTION)?];
    for name in PAPERS {
        if copy::file(&directory.join(name), &to.join(name))? {
            files.push(Kept::of(to, name)?);
        }
    }
    let copied = if with_outputs { copy_outputs(directory, to, &outputs)? } else { 0 };
    list(to, &outputs)?;
    files.push(Kept::of(to, OUTPUTS)?);
    let backup = Backup { last: survey.last, cursor, runs, outputs: outputs.len() as u64, copied };
    let manifest = Manifest {
        version: Manifest::version(),
        at: regatta_runtime::clock::now_us(),
        last: backup.last,
        cursor,
        runs,
        outputs: (backup.outputs, copied),
        files,
    };
    manifest.write(to)?;
    scaffold.finish()?;
    Ok(backup)
}

/// Both files as they were at one moment. The projection is seen first: what it has was in the journal before.
fn moment(directory: &Path) -> Result<(Database, Database), Error> {
    for _ in 0..LOOKS {
        let mut tables = survey::open(&directory.join(PROJECTION))?;
        let mut log = survey::open(&directory.join(JOURNAL))?;
        survey::version(&mut log, journal::VERSION)?;
        survey::version(&mut tables, projection::VERSION)?;
        let look = |database: &mut Database, sql| {
            database.run(|connection| {
                connection.execute_batch("BEGIN")?;
                connection.query_row(sql, [], |row| row.get(0).map(i64::cast_unsigned))
            })
        };
        let cursor = look(&mut tables, "SELECT seq FROM cursor")?;
        let base = look(&mut log, "SELECT seq FROM base")?;
        if base <= cursor {
            return Ok((log, tables));
        }
    }
    Err(Error::Restless(directory.to_owned()))
}

/// Copies outputs: counts those that were there.
fn copy_outputs(directory: &Path, to: &Path, outputs: &BTreeSet<Digest>) -> Result<u64, Error> {
    let mut copied = 0;
    for digest in outputs {
        let name = digest.to_string();
        let place = Path::new(&name[..2]).join(&name[2..]);
        let copy = to.join(blobs::DIRECTORY).join(&place);
        let shelf = copy.parent().expect("a blob stands on a shelf");
        fs::create_dir_all(shelf).map_err(|error| Error::io(shelf, error))?;
        for from in [blobs::DIRECTORY, blobs::WAITING] {
            match fs::copy(directory.join(from).join(&place), &copy) {
                Ok(_) => {
                    copied += 1;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(&copy, error)),
            }
        }
    }
    Ok(copied)
}

fn list(to: &Path, outputs: &BTreeSet<Digest>) -> Result<(), Error> {
    let (file, mut text) = (to.join(OUTPUTS), String::with_capacity(outputs.len() * 65));
    for digest in outputs {
        let _infallible = writeln!(text, "{digest}");
    }
    fs::write(&file, text).map_err(|error| Error::io(&file, error))?;
    copy::sync(&file)
}
