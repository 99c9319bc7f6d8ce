//! One file of a spool: who wrote it, and records, one behind the other.

use super::record::{self, FRAME, Record};
use regatta_domain::WorkerId;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What a file begins with: what it is, in which version, and whose.
const MAGIC: [u8; 8] = *b"regatta1";
const HEADER: usize = MAGIC.len() + 16;

/// How names end.
const SUFFIX: &str = ".spool";

/// A file of records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    path: PathBuf,
    file: File,
    /// Its length, as far as it is whole.
    pub(super) bytes: u64,
    /// The last report in it; 0 while there is none.
    pub(super) last: u64,
}

/// A file, as it was found.
pub(super) struct Found {
    pub(super) segment: Segment,
    pub(super) worker: WorkerId,
    /// Where each record begins, and what it says.
    pub(super) records: Vec<(u64, Record)>,
    /// Bytes at its end that are no whole record.
    pub(super) torn: u64,
}

impl Segment {
    /// Begins a file.
    pub(super) fn create(directory: &Path, number: u64, worker: WorkerId) -> io::Result<Self> {
        let path = directory.join(format!("{number:08}{SUFFIX}"));
        let mut file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(worker.0.as_bytes());
        file.write_all(&header)?;
        Ok(Self { number, path, file, bytes: HEADER as u64, last: 0 })
    }

    /// The files in a directory, by number.
    pub(super) fn list(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(number) = name.strip_suffix(SUFFIX).and_then(|number| number.parse().ok()) {
                found.push((number, path));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Reads a file as far as it is whole. `None` where it is not even whole enough to say whose it is.
    pub(super) fn open(number: u64, path: PathBuf) -> io::Result<Option<Found>> {
        let mut file = OpenOptions::new().read(true).append(true).open(&path)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        let Some(worker) = content.strip_prefix(&MAGIC).and_then(|rest| rest.first_chunk::<16>()) else {
            return Ok(None);
        };
        let worker = WorkerId(uuid::Uuid::from_bytes(*worker));
        let (mut at, mut records) = (HEADER, Vec::new());
        while let Some((length, record)) = whole(&content[at..]) {
            records.push((at as u64, record));
            at += length;
        }
        let (bytes, torn) = (at as u64, (content.len() - at) as u64);
        if torn > 0 {
            file.set_len(bytes)?;
        }
        let last = records.last().map_or(0, |(_, record)| record.report.seq);
        Ok(Some(Found { segment: Self { number, path, file, bytes, last }, worker, records, torn }))
    }

    /// Appends a record: where it begins. What was written of one that did not fit is taken away.
    pub(super) fn append(&mut self, record: &[u8], seq: u64) -> io::Result<u64> {
        if let Err(error) = self.file.write_all(record) {
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        let at = self.bytes;
        self.bytes += record.len() as u64;
        self.last = seq;
        Ok(at)
    }

    /// Reads the record that begins at `at`.
    pub(super) fn read(&self, at: u64) -> io::Result<Record> {
        let damaged =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged at {at}", self.path.display()));
        let mut head = [0; FRAME];
        self.file.read_exact_at(&mut head, at)?;
        let (length, sum) = record::frame(&head).ok_or_else(damaged)?;
        let mut body = vec![0; length];
        self.file.read_exact_at(&mut body, at + FRAME as u64)?;
        record::decode(&body, sum).ok_or_else(damaged)
    }

    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// The record that `bytes` begin with, and its whole length.
fn whole(bytes: &[u8]) -> Option<(usize, Record)> {
    let (length, sum) = record::frame(bytes)?;
    let body = bytes.get(FRAME..FRAME + length)?;
    Some((FRAME + length, record::decode(body, sum)?))
}
