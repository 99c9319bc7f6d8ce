//! Snapshots: what a coordinator knows after some commit, so that it need not be told again what led there.
//!
//! They stand beside the journal and not in it: one of a million tests has a hundred megabytes, for which no commit may wait.
//! What is in one is its writer's business; here it is bytes, with a checksum over each stretch of them. Its invariant: the
//! newest whole one is there, whenever the process or the machine dies, or none.

use super::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How a file begins that holds a snapshot, the version of its framing included.
const MAGIC: &[u8; 16] = b"regatta snap 01\n";

/// Bytes that share a checksum.
const STRETCH: usize = 1024 * 1024;

/// Bytes of a checksum: as in the journal, enough to notice what disks do.
const SUM_BYTES: usize = 8;

/// What was kept, and as of which commit.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last commit that is in it.
    pub seq: u64,
    /// What its writer wrote.
    pub body: Vec<u8>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("seq", &self.seq).field("bytes", &self.body.len()).finish()
    }
}

/// What writes the body of a snapshot.
pub type Body<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

/// Where snapshots are kept: one of them, the newest.
pub trait Snapshots: Send {
    /// Keeps a new one instead of the one before: it is durable when this returns. Gives its size in bytes.
    ///
    /// # Errors
    /// When the store refuses; the one before is there then.
    fn keep(&mut self, seq: u64, body: Body<'_>) -> Result<u64, Error>;

    /// The one that is kept.
    ///
    /// # Errors
    /// When the store cannot be read, or what is read is not what was written.
    fn latest(&mut self) -> Result<Option<Snapshot>, Error>;

    /// Keeps none.
    ///
    /// # Errors
    /// When the store refuses.
    fn forget(&mut self) -> Result<(), Error>;

    /// Why one that could be read cannot be understood.
    fn corrupt(&self, why: String) -> Error;
}

/// A snapshot in memory, which outlives nothing. Clones are views of the same.
#[derive(Clone, Debug, Default)]
pub struct MemorySnapshots(Arc<Mutex<Option<Snapshot>>>);

impl MemorySnapshots {
    fn with<T>(&self, work: impl FnOnce(&mut Option<Snapshot>) -> T) -> T {
        // Each use leaves it whole, even if the thread that made it came to grief later.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Snapshots for MemorySnapshots {
    fn keep(&mut self, seq: u64, write: Body<'_>) -> Result<u64, Error> {
        let mut body = Vec::new();
        write(&mut body).map_err(|error| Error::io(Path::new("memory"), error))?;
        let bytes = body.len() as u64;
        self.with(|kept| *kept = Some(Snapshot { seq, body }));
        Ok(bytes)
    }

    fn latest(&mut self) -> Result<Option<Snapshot>, Error> {
        Ok(self.with(|kept| kept.clone()))
    }

    fn forget(&mut self) -> Result<(), Error> {
        self.with(|kept| *kept = None);
        Ok(())
    }

    fn corrupt(&self, why: String) -> Error {
        Error::Corrupt { file: "the snapshot in memory".into(), why }
    }
}

/// A snapshot as a file. The next one is written beside it and takes its place when all of it is on the disk.
#[derive(Debug)]
pub struct FileSnapshots {
    file: PathBuf,
    next: PathBuf,
}

impl FileSnapshots {
    /// Keeps snapshots in `file`; nothing is read or written yet.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), next: file.with_extension("next") }
    }

    fn write(&self, seq: u64, body: Body<'_>) -> io::Result<u64> {
        let mut file = File::create(&self.next)?;
        let mut stretches = Stretches::new(BufWriter::new(&mut file), seq);
        stretches.to.write_all(MAGIC)?;
        stretches.to.write_all(&seq.to_le_bytes())?;
        body(&mut stretches)?;
        let bytes = stretches.end()?;
        file.sync_all()?;
        fs::rename(&self.next, &self.file)?;
        // The name, too, has to outlive the power.
        if let Some(directory) = self.file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        Ok(bytes)
    }
}

impl Snapshots for FileSnapshots {
    fn keep(&mut self, seq: u64, body: Body<'_>) -> Result<u64, Error> {
        self.write(seq, body).map_err(|error| {
            // What was begun takes up room that somebody may be short of.
            let _gone = fs::remove_file(&self.next);
            Error::io(&self.next, error)
        })
    }

    fn latest(&mut self) -> Result<Option<Snapshot>, Error> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&self.file, error)),
        };
        let bytes = file.metadata().map_or(0, |found| found.len());
        match read(&mut BufReader::new(file), bytes) {
            Ok(Ok(snapshot)) => Ok(Some(snapshot)),
            Ok(Err(why)) => Err(self.corrupt(why)),
            Err(error) => Err(Error::io(&self.file, error)),
        }
    }

    fn forget(&mut self) -> Result<(), Error> {
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(&self.file, error)),
            _ => Ok(()),
        }
    }

    fn corrupt(&self, why: String) -> Error {
        Error::Corrupt { file: self.file.clone(), why }
    }
}

/// Cuts what is written into stretches, each with its length and its checksum before it; one of no length ends them.
struct Stretches<W> {
    to: W,
    seq: u64,
    number: u64,
    stretch: Vec<u8>,
    bytes: u64,
}

impl<W: Write> Stretches<W> {
    fn new(to: W, seq: u64) -> Self {
        Self { to, seq, number: 0, stretch: Vec::with_capacity(STRETCH), bytes: 0 }
    }

    fn put(&mut self) -> io::Result<()> {
        let length = u32::try_from(self.stretch.len()).expect("a stretch is a megabyte");
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&sum(self.seq, self.number, &self.stretch))?;
        self.to.write_all(&self.stretch)?;
        self.bytes += u64::from(length);
        self.number += 1;
        self.stretch.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<u64> {
        if !self.stretch.is_empty() {
            self.put()?;
        }
        self.put()?;
        self.to.flush()?;
        Ok(self.bytes)
    }
}

impl<W: Write> Write for Stretches<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(STRETCH - self.stretch.len());
        self.stretch.extend_from_slice(&bytes[..taken]);
        if self.stretch.len() == STRETCH {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what was written so; what is wrong with it, where it was not.
fn read(from: &mut impl Read, bytes: u64) -> io::Result<Result<Snapshot, String>> {
    let whole = |read: io::Result<()>, what: &str| match read {
        Ok(()) => Ok(Ok(())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(format!("it ends within {what}"))),
        Err(error) => Err(error),
    };
    let (mut magic, mut seq) = ([0; MAGIC.len()], [0; 8]);
    if let Err(why) = whole(from.read_exact(&mut magic).and_then(|()| from.read_exact(&mut seq)), "its head")? {
        return Ok(Err(why));
    }
    if &magic != MAGIC {
        return Ok(Err("it does not begin as a snapshot that this program knows".to_owned()));
    }
    let seq = u64::from_le_bytes(seq);
    // No more than the file holds: a length that was damaged must not take all memory.
    let mut body = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    for number in 0.. {
        let (mut length, mut found) = ([0; 4], [0; SUM_BYTES]);
        let head = from.read_exact(&mut length).and_then(|()| from.read_exact(&mut found));
        if let Err(why) = whole(head, &format!("its stretch {number}"))? {
            return Ok(Err(why));
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > STRETCH {
            return Ok(Err(format!("its stretch {number} cannot be {length} bytes long")));
        }
        let begin = body.len();
        body.resize(begin + length, 0);
        if let Err(why) = whole(from.read_exact(&mut body[begin..]), &format!("its stretch {number}"))? {
            return Ok(Err(why));
        }
        if sum(seq, number, &body[begin..]) != found {
            return Ok(Err(format!("the checksum of its stretch {number} does not fit")));
        }
        if length == 0 {
            break;
        }
    }
    Ok(Ok(Snapshot { seq, body }))
}

/// The checksum of a stretch: commit and number are part of it, so that stretches cannot be taken for one another.
fn sum(seq: u64, number: u64, stretch: &[u8]) -> [u8; SUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seq.to_le_bytes()).update(&number.to_le_bytes()).update(stretch);
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..SUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(snapshots: &mut dyn Snapshots, seq: u64, body: &[u8]) -> Result<u64, Error> {
        snapshots.keep(seq, &mut |to| body.chunks(1_000).try_for_each(|part| to.write_all(part)))
    }

    fn body(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    fn keeps_the_newest(snapshots: &mut dyn Snapshots) {
        assert_eq!(snapshots.latest().unwrap(), None);
        for (seq, bytes) in [(1, 0), (2, 10), (3, STRETCH), (4, 3 * STRETCH + 7)] {
            let body = body(bytes);
            assert_eq!(keep(snapshots, seq, &body).unwrap(), bytes as u64);
            assert_eq!(snapshots.latest().unwrap(), Some(Snapshot { seq, body }));
        }
        let refused = snapshots.keep(5, &mut |to| {
            to.write_all(&body(STRETCH + 1))?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
        assert_eq!(snapshots.latest().unwrap().map(|kept| kept.seq), Some(4), "the one before stands");
        snapshots.forget().unwrap();
        snapshots.forget().unwrap();
        assert_eq!(snapshots.latest().unwrap(), None);
    }

    #[test]
    fn in_memory_the_newest_is_kept() {
        keeps_the_newest(&mut MemorySnapshots::default());
    }

    #[test]
    fn on_disk_the_newest_is_kept_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        keeps_the_newest(&mut FileSnapshots::new(&directory.path().join("snapshot.db")));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_that_was_cut_off_while_it_was_written_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("snapshot.db");
        keep(&mut FileSnapshots::new(&file), 1, &body(10)).unwrap();
        // What a process leaves that dies within the second.
        fs::write(file.with_extension("next"), b"half of it").unwrap();
        assert_eq!(FileSnapshots::new(&file).latest().unwrap().map(|kept| kept.seq), Some(1));
    }

    #[test]
    fn damage_is_noticed_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("snapshot.db");
        let mut snapshots = FileSnapshots::new(&file);
        keep(&mut snapshots, 7, &body(STRETCH + 1_000)).unwrap();
        let sound = fs::read(&file).unwrap();
        let why = |snapshots: &mut FileSnapshots| match snapshots.latest() {
            Err(Error::Corrupt { why, .. }) => why,
            other => panic!("it is damaged: {other:?}"),
        };
        for at in [0, 17, 24, 30, 500, STRETCH + 60, sound.len() - 1] {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            fs::write(&file, damaged).unwrap();
            why(&mut snapshots);
        }
        for bytes in [0, 20, 26, 1_000, STRETCH + 100, sound.len() - 1] {
            fs::write(&file, &sound[..bytes]).unwrap();
            assert!(why(&mut snapshots).starts_with("it ends within"), "cut off after {bytes} bytes");
        }
    }
}
