//! What can be told of a suite from its files alone, without starting its framework: the keys under which its listings are
//! remembered.

use super::pytest::{self, Environment, PytestSettings};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{FileKey, RunnerKind};
use std::path::PathBuf;

/// The keys of a suite, as its files stand now.
#[derive(Debug)]
pub struct Snapshot(Option<Python>);

#[derive(Debug)]
struct Python {
    root: PathBuf,
    tree_key: FileKey,
    environment: Environment,
}

impl Snapshot {
    /// Takes the snapshot of a suite. Blocking: reads files.
    ///
    /// # Errors
    /// When its framework is not there, is too old, or its settings make no sense.
    pub fn take(suite: &PlannedSuite) -> Result<Self, RunError> {
        match suite.runner {
            RunnerKind::Pytest => {
                let settings: PytestSettings = serde_json::from_str(&suite.settings).map_err(|error| RunError {
                    kind: RunErrorKind::Runner,
                    place: suite.name.clone(),
                    message: format!("the settings of the suite make no sense: {error}").into(),
                })?;
                let root = PathBuf::from(&*suite.root);
                let environment = pytest::environment(&root, &settings, &suite.env)?;
                let tree_key = pytest::tree_key(&root, &settings, &environment);
                Ok(Self(Some(Python { root, tree_key, environment })))
            }
            // cargo says what is there, and knows best whether that is up to date; commands say what they like.
            RunnerKind::Rust | RunnerKind::Exec => Ok(Self(None)),
        }
    }

    /// What the list of the suite's files depends on; `None` where that list is not to be remembered.
    #[must_use]
    pub fn tree_key(&self) -> Option<FileKey> {
        self.0.as_ref().map(|python| python.tree_key)
    }

    /// What the listing of a file depends on; `None` where the file is not there.
    #[must_use]
    pub fn file_key(&self, path: &str) -> Option<FileKey> {
        let python = self.0.as_ref()?;
        python.root.join(path).is_file().then(|| pytest::file_key(&python.root, path, &python.environment))
    }
}
