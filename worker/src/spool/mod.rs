//! The spool: what a worker said and has not had acknowledged, on disk as well, so that it survives the worker's process, and so that
//! more of it can wait than fits into memory.
//!
//! Written as soon as a report is made, a few milliseconds after what it tells; into the system's memory, not through to the disk: a
//! process that dies loses nothing, a machine that does loses what a worker that was lost always did. Its invariants: what is read back
//! is what was written, in order, up to the first damage, which is told; and nobody reads a spool while anything of the worker that
//! wrote it still runs.
//!
//! It leaves to `outbox` what is written and forgotten, and when.

mod place;
mod record;
mod segment;

pub(crate) use place::{Place, base, hold};
pub(crate) use record::{Hold, Record, Standing};

use regatta_domain::WorkerId;
use regatta_wire::v1::{OutputPart, Report};
use segment::Segment;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// Where a worker keeps its spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolPlace {
    /// Nowhere: what is not acknowledged is lost with the process, and runs again.
    None,
    /// In a directory of its own below the one for temporary files: the first that no other worker of the coordinator with this name has.
    Temporary(String),
    /// In this directory.
    At(PathBuf),
}

/// A file is full at this size, and another one is begun: what was acknowledged is given back file by file.
const SEGMENT: u64 = 16 * 1024 * 1024;

/// The spool of a worker.
#[derive(Debug)]
pub(crate) struct Spool {
    place: Place,
    worker: WorkerId,
    /// The most bytes that may be in it.
    limit: u64,
    segments: VecDeque<Segment>,
    buffer: Vec<u8>,
}

/// Where a report is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    segment: u64,
    offset: u64,
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The reports that were not acknowledged, in order.
    pub(crate) reports: Vec<(At, Record)>,
    /// What its slots held.
    pub(crate) holds: Vec<Hold>,
    /// The number of its last report.
    pub(crate) last: u64,
}

/// Why a spool cannot be used.
#[derive(Debug)]
pub(crate) enum Error {
    /// Another worker uses it, or what it started still runs.
    Held(PathBuf),
    /// What is in it is damaged where it says whose it is.
    Damaged(PathBuf),
    /// The file system refuses.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held(directory) => write!(
                f,
                "another worker uses the spool in {}, or what it started still runs: stop it, or name another directory (--spool)",
                directory.display()
            ),
            Self::Damaged(file) => write!(
                f,
                "{} is damaged, and does not say whose results it holds: remove it, and what it holds is run again",
                file.display()
            ),
            Self::Io(path, error) => write!(
                f,
                "cannot keep unacknowledged results in {}: {error}; name another directory (--spool), or none",
                path.display()
            ),
        }
    }
}

impl Spool {
    /// Takes a spool, and reads what an earlier process left in it. Without that it belongs to `newcomer`. `None` where none is wanted.
    pub(crate) fn open(place: &SpoolPlace, limit: u64, newcomer: WorkerId) -> Result<Option<(Self, Left)>, Error> {
        let (taken, named) = match place {
            SpoolPlace::None => return Ok(None),
            SpoolPlace::Temporary(on) => {
                let base = base(&std::env::temp_dir(), on);
                (Place::take_one_of(&base), base)
            }
            SpoolPlace::At(directory) => (Place::take(directory), directory.clone()),
        };
        let place = taken.map_err(|error| match error {
            place::Error::Held => Error::Held(named),
            place::Error::Io(path, error) => Error::Io(path, error),
        })?;
        Self::read(place, limit, newcomer).map(Some)
    }

    fn read(place: Place, limit: u64, newcomer: WorkerId) -> Result<(Self, Left), Error> {
        let io = |error| Error::Io(place.directory.clone(), error);
        let (mut worker, mut segments, mut left) = (newcomer, VecDeque::new(), Left::default());
        let mut standing = Standing::default();
        for (number, path) in Segment::list(&place.directory).map_err(io)? {
            let found = Segment::open(number, path.clone()).map_err(io)?;
            let Some(found) = found else { return Err(Error::Damaged(path)) };
            if found.torn > 0 {
                tracing::warn!(
                    path = %path.display(), bytes = found.torn,
                    "the end of the spool is torn: what it told is told again by running it again"
                );
            }
            worker = found.worker;
            for (offset, record) in found.records {
                standing = record.standing.clone();
                left.last = record.report.seq;
                left.reports.push((At { segment: number, offset }, record));
            }
            segments.push_back(found.segment);
        }
        left.reports.retain(|(_, record)| record.report.seq > standing.acked);
        left.holds = standing.holds;
        let mut spool = Self { place, worker, limit, segments, buffer: Vec::new() };
        if left.reports.is_empty() && left.holds.is_empty() {
            // Nobody is spoken for any more.
            spool.clear().map_err(|error| Error::Io(spool.place.directory.clone(), error))?;
            (spool.worker, left) = (newcomer, Left::default());
        }
        Ok((spool, left))
    }

    /// Whose it is.
    pub(crate) const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// What whoever starts tests holds locked while it lives.
    pub(crate) fn starters(&self) -> PathBuf {
        self.place.starters()
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// Writes a report down.
    pub(crate) fn write(&mut self, standing: &Standing, report: &Report, parts: &[OutputPart]) -> io::Result<At> {
        self.buffer.clear();
        record::encode(standing, report, parts, &mut self.buffer);
        if self.bytes() + self.buffer.len() as u64 > self.limit {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "as much waits as may"));
        }
        if self.segments.back().is_none_or(|segment| segment.bytes >= SEGMENT) {
            let number = self.segments.back().map_or(1, |segment| segment.number + 1);
            self.segments.push_back(Segment::create(&self.place.directory, number, self.worker)?);
        }
        let segment = self.segments.back_mut().expect("one was just begun");
        let offset = segment.append(&self.buffer, report.seq)?;
        Ok(At { segment: segment.number, offset })
    }

    /// Reads a report back.
    pub(crate) fn read_at(&self, at: At) -> io::Result<Record> {
        let segment = self.segments.iter().find(|segment| segment.number == at.segment);
        segment.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?.read(at.offset)
    }

    /// Everything up to this report was acknowledged: whole files of it are given back.
    pub(crate) fn forget(&mut self, acked: u64) {
        while self.segments.len() > 1 && self.segments.front().is_some_and(|segment| segment.last <= acked) {
            let Some(segment) = self.segments.pop_front() else { return };
            if let Err(error) = segment.remove() {
                // It is read again by the next process, which finds that all of it was acknowledged.
                tracing::warn!(%error, "a file of the spool cannot be removed");
            }
        }
    }

    /// Removes it: everything was acknowledged, and nothing is held.
    pub(crate) fn remove(mut self) {
        let removed = self.clear().and_then(|()| self.place.remove());
        if let Err(error) = removed {
            tracing::debug!(%error, "the spool is empty, and cannot be removed");
        }
    }

    fn clear(&mut self) -> io::Result<()> {
        self.segments.drain(..).try_for_each(Segment::remove)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

#[cfg(test)]
mod tests;
