//! Looks through a journal, commit by commit, and changes nothing.
//!
//! What comes after damage is of no use: the coordinator's memory is the sum of all commits in order. So it is counted, and
//! no more.

use crate::store::database::Database;
use crate::store::journal::{FORMAT, VERSION, decode};
use crate::store::{Commit, Error};
use rusqlite::{Connection, OptionalExtension as _, Rows};
use std::fs::File;
use std::path::Path;

/// What is in a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The version of the file.
    pub version: i64,
    /// The newest version that is known here.
    pub known: i64,
    /// The last commit that was dropped from the beginning.
    pub base: u64,
    /// The last commit that is in order.
    pub last: u64,
    /// Bytes of the commits that are in order.
    pub bytes: u64,
    /// Where the order ends before the journal does.
    pub damage: Option<Damage>,
}

/// Where a journal is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first commit that is not in order.
    pub commit: u64,
    /// What is wrong with it.
    pub why: String,
    /// The format that it is written in, where it is sound and only the format is unknown.
    pub format: Option<u8>,
    /// Commits that follow, sound or not.
    pub after: u64,
}

impl Survey {
    /// How many commits are in order.
    #[must_use]
    pub const fn commits(&self) -> u64 {
        self.last - self.base
    }
}

/// A commit as it is written.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) seq: u64,
    pub(super) body: &'a [u8],
    pub(super) sum: &'a [u8],
}

/// Opens a file of a store to look at it; what the system refuses is told as that.
pub(super) fn open(file: &Path) -> Result<Database, Error> {
    File::open(file).map_err(|source| Error::io(file, source))?;
    Database::open_to_read(file)
}

/// The version of a file that is open.
pub(super) fn version(database: &mut Database, known: i64) -> Result<i64, Error> {
    let found = database.run(|connection| connection.pragma_query_value(None, "user_version", |row| row.get(0)))?;
    match found > known {
        true => Err(Error::Newer { file: database.file.clone(), found, known }),
        false => Ok(found),
    }
}

/// Looks through the journal in `file`, and shows each commit that is in order.
///
/// # Errors
/// When the file cannot be read at all, or a newer version wrote it; damage is none.
pub(super) fn survey(file: &Path, mut see: impl FnMut(Row<'_>, &Commit)) -> Result<Survey, Error> {
    let mut database = open(file)?;
    let version = version(&mut database, VERSION)?;
    let mut survey = Survey { version, known: VERSION, ..Survey::default() };
    if version == 0 {
        // A coordinator that was killed in its first moment: nothing was ever in it.
        return Ok(survey);
    }
    database.run(|connection| {
        // What a coordinator does meanwhile is not seen.
        connection.execute_batch("BEGIN")?;
        survey.base = base(connection)?;
        survey.last = survey.base;
        let mut rows = connection.prepare("SELECT seq, body, sum FROM commits ORDER BY seq")?;
        let mut rows = rows.query([])?;
        survey.damage = walk(&mut survey, &mut rows, &mut see);
        Ok(())
    })?;
    if let Some(damage) = &mut survey.damage {
        let after = database.run(|connection| {
            let count = "SELECT count(*) FROM commits WHERE seq > ?";
            connection.query_row(count, [damage.commit.cast_signed()], |row| row.get(0).map(i64::cast_unsigned))
        });
        // Where even that cannot be read there is nothing to count.
        damage.after = after.unwrap_or(0);
    }
    Ok(survey)
}

fn base(connection: &Connection) -> rusqlite::Result<u64> {
    let base = connection.query_row("SELECT seq FROM base", [], |row| row.get(0).map(i64::cast_unsigned));
    base.optional().map(Option::unwrap_or_default)
}

/// Goes from commit to commit as long as they are in order. Gives where they are not.
fn walk(survey: &mut Survey, rows: &mut Rows<'_>, see: &mut impl FnMut(Row<'_>, &Commit)) -> Option<Damage> {
    loop {
        let wanted = survey.last + 1;
        let damage = |why, format| Some(Damage { commit: wanted, why, format, after: 0 });
        let row = match rows.next() {
            Ok(None) => return None,
            Ok(Some(row)) => row,
            Err(error) => return damage(format!("it cannot be read: {error}"), None),
        };
        let seq = row.get(0).map(i64::cast_unsigned);
        let bytes = |at| row.get_ref(at).ok().and_then(|value| value.as_blob().ok());
        let (Ok(seq), Some(body), Some(sum)) = (seq, bytes(1), bytes(2)) else {
            return damage("it is not what a commit is made of".to_owned(), None);
        };
        if seq != wanted {
            return damage(format!("it is missing: {seq} comes next"), None);
        }
        match decode(seq, body, sum) {
            Ok(commit) => see(Row { seq, body, sum }, &commit),
            Err(why) => {
                let sound = crate::store::journal::sum(seq, body) == *sum;
                return damage(why, body.first().copied().filter(|format| sound && *format != FORMAT));
            }
        }
        survey.last = seq;
        survey.bytes += body.len() as u64;
    }
}
