//! The files of a SQLite database as they are seen from outside: whether anything has touched them, and who has them open.
//!
//! The header's change counter is exact in rollback mode, and does not move in WAL mode; the log's size is what it is until
//! a checkpoint. So all is compared: the time of the last change is set to a moment long past before a test gets the file,
//! and every write, by whatever way, moves it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The name of a database in its directory.
pub(super) const DATABASE: &str = "database.sqlite";

/// How a directory with a database stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    /// The database and everything else that is there and holds data: inode, size, time of the last change in nanoseconds.
    files: Vec<(PathBuf, (u64, u64, i128))>,
    /// The header's change counter, and the mode that it names.
    header: Option<(u32, Mode)>,
    /// When something was last made or removed in the directory.
    directory: i128,
}

/// How a database is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// In place, with a journal to roll back from.
    Rollback,
    /// Into a log first.
    Wal,
}

/// A moment at which nothing of ours was written.
const LONG_AGO: Duration = Duration::from_secs(1_000_000_000);

/// Sets all times of a directory and its files to long ago, and says how it stands.
pub(super) fn mark(directory: &Path) -> io::Result<Stand> {
    let then = SystemTime::UNIX_EPOCH + LONG_AGO;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if holds_nothing(&path)? {
            fs::remove_file(path)?;
        } else {
            File::open(path)?.set_modified(then)?;
        }
    }
    age(directory)?;
    Stand::look(directory)
}

/// Sets the time of a directory alone to long ago.
pub(super) fn age(directory: &Path) -> io::Result<()> {
    File::open(directory)?.set_modified(SystemTime::UNIX_EPOCH + LONG_AGO)
}

impl Stand {
    pub(super) fn look(directory: &Path) -> io::Result<Self> {
        let modified = |meta: &fs::Metadata| i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let (entry, path) = entry.map(|entry| (entry.path(), PathBuf::from(entry.file_name())))?;
            let meta = fs::symlink_metadata(&entry)?;
            if holds_nothing(&entry)? {
                continue;
            }
            files.push((path, (meta.ino(), meta.size(), modified(&meta))));
        }
        files.sort();
        let header = header(&directory.join(DATABASE))?;
        Ok(Self { files, header, directory: modified(&fs::metadata(directory)?) })
    }

    /// Whether the data is the same: nothing was written to, made or removed that is still so.
    pub(super) fn is_same_data(&self, after: &Self) -> bool {
        self.files == after.files && self.header == after.header
    }

    /// Whether a file came and went: a journal, or a log and its index.
    pub(super) fn is_same_directory(&self, after: &Self) -> bool {
        self.directory == after.directory
    }

    pub(super) fn mode(&self) -> Option<Mode> {
        self.header.map(|(_, mode)| mode)
    }

    /// Whether all of the data is in the one file, so that it can be read where nothing can be written.
    pub(super) fn is_whole(&self) -> bool {
        self.files.len() == 1 && self.mode() != Some(Mode::Wal)
    }
}

/// Whether a file is what a log or a journal leaves when all is said in the database: the index of a log, which is made anew;
/// a log without a frame; a journal that was cut or blotted out.
fn holds_nothing(path: &Path) -> io::Result<bool> {
    let Some(beside) = path.file_name().and_then(|name| name.to_str()?.strip_prefix(DATABASE)) else {
        return Ok(false);
    };
    if beside == "-shm" {
        return Ok(true);
    }
    let mut begin = [0; 8];
    if !matches!(beside, "-wal" | "-journal") {
        return Ok(false);
    }
    let read = File::open(path)?.read(&mut begin)?;
    Ok(read == 0 || (beside == "-journal" && begin[..read].iter().all(|byte| *byte == 0)))
}

/// The change counter and the mode; nothing of an empty file.
fn header(path: &Path) -> io::Result<Option<(u32, Mode)>> {
    let mut bytes = [0; 28];
    match File::open(path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let counter = u32::from_be_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
    // The format that readers need: 2 where they have to know of the log.
    Ok(Some((counter, if bytes[19] == 2 { Mode::Wal } else { Mode::Rollback })))
}

/// Whether what is there can be a database: empty, or with the header of one.
pub(super) fn is_database(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut begin)?;
    Ok(begin.is_empty() || begin == *b"SQLite format 3\0")
}

/// The processes that have a file of the directory open; nothing where the system does not tell. One that has could write to
/// it by whatever name it goes.
pub(super) fn holders(directory: &Path) -> Option<BTreeSet<(i32, String)>> {
    let mut holders = BTreeSet::new();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // Of a process that we may not look into, nobody could say; but neither may it look into our directory.
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { continue };
        if open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|file| file.starts_with(directory))) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            holders.insert((pid, name.trim().to_owned()));
        }
    }
    Some(holders)
}
