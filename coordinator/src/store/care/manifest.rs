//! What a backup says of itself: written last, so that a backup without it is not whole.

use super::Error;
use regatta_domain::Digest;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// The name of the file.
const FILE: &str = "backup.json";

/// The version of what it holds.
const VERSION: u32 = 1;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u32,
    /// When it was taken, in microseconds since 1970.
    pub(super) at: u64,
    /// The last commit that is in its journal.
    pub(super) last: u64,
    /// The last commit that is in its projection.
    pub(super) cursor: u64,
    pub(super) runs: u64,
    /// How many outputs the store points at, and how many of them are in the backup.
    pub(super) outputs: (u64, u64),
    pub(super) files: Vec<Kept>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// BLAKE3.
    pub(super) digest: String,
}

impl Kept {
    /// A file that was written into a backup.
    pub(super) fn of(directory: &Path, name: &str) -> Result<Self, Error> {
        let (bytes, digest) = hash(&directory.join(name))?;
        Ok(Self { name: name.to_owned(), bytes, digest: digest.to_string() })
    }

    /// Whether the file is still what it was.
    pub(super) fn verify(&self, directory: &Path) -> Result<(), Error> {
        let file = directory.join(&self.name);
        let (bytes, digest) = hash(&file)?;
        let why = match () {
            () if bytes != self.bytes => format!("it has {bytes} bytes, and had {}", self.bytes),
            () if digest.to_string() != self.digest => "its checksum does not fit".to_owned(),
            () => return Ok(()),
        };
        Err(Error::Altered { file, why })
    }
}

impl Manifest {
    pub(super) const fn version() -> u32 {
        VERSION
    }

    /// Reads that of the backup in `directory`.
    pub(super) fn read(directory: &Path) -> Result<Self, Error> {
        let no = |why: String| Error::NoBackup { directory: directory.to_owned(), why };
        let text = match fs::read(directory.join(FILE)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(no(format!("it has no {FILE}, which is written last")));
            }
            text => text.map_err(|error| Error::io(&directory.join(FILE), error))?,
        };
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| no(format!("{FILE}: {error}")))?;
        if manifest.version > VERSION {
            let found = manifest.version;
            return Err(no(format!("its version is {found}, and this Regatta knows up to {VERSION}")));
        }
        let is_plain = |kept: &Kept| Path::new(&kept.name).components().count() == 1 && kept.name != "..";
        match manifest.files.iter().find(|kept| !is_plain(kept)) {
            Some(kept) => Err(no(format!("{FILE} names the file `{}`, which lies elsewhere", kept.name))),
            None => Ok(manifest),
        }
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), Error> {
        let file = directory.join(FILE);
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest is plain values");
        text.push(b'\n');
        fs::write(&file, text).map_err(|error| Error::io(&file, error))?;
        super::copy::sync(&file)
    }
}

fn hash(path: &Path) -> Result<(u64, Digest), Error> {
    let read = || -> io::Result<(u64, Digest)> {
        let (mut file, mut hasher, mut bytes) = (File::open(path)?, blake3::Hasher::new(), 0);
        let mut part = vec![0; 256 * 1024];
        loop {
            let read = file.read(&mut part)?;
            if read == 0 {
                return Ok((bytes, Digest(*hasher.finalize().as_bytes())));
            }
            hasher.update(&part[..read]);
            bytes += read as u64;
        }
    };
    read().map_err(|error| Error::io(path, error))
}
