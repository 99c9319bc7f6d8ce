//! The file in which what was said over the service outlives the coordinator: written whole or not at all.

use super::Said;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name of the file in the data directory.
const FILE: &str = "resources.json";

/// The version of what it holds. A newer one is refused, rather than read by half.
const VERSION: u32 = 1;

/// Where what was said is kept; nowhere, for a coordinator in memory.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Option<PathBuf>);

/// What is read. Unknown keys are refused: they would be lost with the next change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reading {
    #[expect(dead_code, reason = "it was looked at before")]
    version: u32,
    said: Said,
}

/// What is written.
#[derive(Serialize)]
struct Writing<'a> {
    version: u32,
    said: &'a Said,
}

/// Only the version, of whatever version it is.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Why the file cannot be used.
#[derive(Clone, Debug)]
pub enum Broken {
    /// The system refuses.
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// It is not what was written.
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: Arc<serde_json::Error>,
    },
    /// A newer coordinator wrote it.
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, .. } => write!(f, "what is declared cannot be kept in {}", file.display()),
            Self::Malformed { file, source } => write!(
                f,
                "{}:{}:{}: this is not what was declared; mend the file, or move it away and declare everything again",
                file.display(),
                source.line(),
                source.column()
            ),
            Self::Newer { file, version } => write!(
                f,
                "{}: its version is {version}, this one knows up to {VERSION}; start the newer coordinator",
                file.display()
            ),
        }
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(&**source),
            Self::Malformed { source, .. } => Some(&**source),
            Self::Newer { .. } => None,
        }
    }
}

impl Shelf {
    /// In this data directory.
    pub(crate) fn new(data: Option<&Path>) -> Self {
        Self(data.map(|data| data.join(FILE)))
    }

    /// What was said before. Waits for a disk.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or makes no sense.
    pub(crate) fn read(&self) -> Result<Said, Broken> {
        let Some(file) = &self.0 else { return Ok(Said::default()) };
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Said::default()),
            Err(source) => return Err(Broken::Io { file: file.clone(), source: Arc::new(source) }),
        };
        let malformed = |source| Broken::Malformed { file: file.clone(), source: Arc::new(source) };
        let Versioned { version } = serde_json::from_slice(&text).map_err(malformed)?;
        if version != VERSION {
            return Err(Broken::Newer { file: file.clone(), version });
        }
        let document: Reading = serde_json::from_slice(&text).map_err(malformed)?;
        Ok(document.said)
    }

    /// Keeps what was said: once this returns, it is durable. Waits for a disk.
    ///
    /// # Errors
    /// When the file system refuses; what was kept before is still there.
    pub(crate) fn write(&self, said: &Said) -> Result<(), Broken> {
        let Some(file) = &self.0 else { return Ok(()) };
        let io = |source| Broken::Io { file: file.clone(), source: Arc::new(source) };
        let malformed = |source| Broken::Malformed { file: file.clone(), source: Arc::new(source) };
        let mut text = serde_json::to_vec_pretty(&Writing { version: VERSION, said }).map_err(malformed)?;
        text.push(b'\n');
        replace(file, &text).map_err(io)
    }
}

/// Writes a file beside the other one and puts it in its place. Nobody but its owner may read it: values may be secrets.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    new.write_all(text)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    // The name is durable only with its directory.
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}
