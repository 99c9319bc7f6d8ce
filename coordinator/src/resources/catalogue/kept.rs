//! The document in which what was said over the service outlives the coordinator.

use super::Said;
use crate::store::papers::Papers;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Its name.
const FILE: &str = "resources.json";

/// The version of what it holds. A newer one is refused, rather than read by half.
const VERSION: u32 = 1;

/// Where what was said is kept.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Papers);

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
    /// Among these papers.
    pub(crate) const fn new(papers: Papers) -> Self {
        Self(papers)
    }

    /// What was said before. Waits for a disk.
    ///
    /// # Errors
    /// When the document is there and cannot be read, or makes no sense.
    pub(crate) fn read(&self) -> Result<Said, Broken> {
        let file = self.0.place(FILE);
        let io = |source| Broken::Io { file: file.clone(), source: Arc::new(source) };
        let Some(text) = self.0.read(FILE).map_err(io)? else { return Ok(Said::default()) };
        let malformed = |source| Broken::Malformed { file: file.clone(), source: Arc::new(source) };
        let Versioned { version } = serde_json::from_slice(&text).map_err(malformed)?;
        if version != VERSION {
            return Err(Broken::Newer { file, version });
        }
        let document: Reading = serde_json::from_slice(&text).map_err(malformed)?;
        Ok(document.said)
    }

    /// Keeps what was said: once this returns, it is durable. Waits for a disk.
    ///
    /// # Errors
    /// When the store refuses; what was kept before is still there.
    pub(crate) fn write(&self, said: &Said) -> Result<(), Broken> {
        let file = self.0.place(FILE);
        let malformed = |source| Broken::Malformed { file: file.clone(), source: Arc::new(source) };
        let mut text = serde_json::to_vec_pretty(&Writing { version: VERSION, said }).map_err(malformed)?;
        text.push(b'\n');
        self.0.write(FILE, &text).map_err(|source| Broken::Io { file, source: Arc::new(source) })
    }
}
