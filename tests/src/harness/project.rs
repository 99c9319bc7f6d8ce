//! A scratch project: files in a directory of its own, gone with it.

use super::test_python;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A scratch project.
#[derive(Debug)]
pub struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    /// An empty one.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    pub fn empty() -> Self {
        let dir = tempfile::Builder::new().prefix("regatta-test-").tempdir().expect("room for a directory");
        // Nothing above it may lend it a configuration.
        fs::create_dir(dir.path().join(".git")).expect("room for a directory");
        Self { dir }
    }

    /// One with a pytest suite `py`, the files given, and more configuration where `config` has some.
    #[must_use]
    pub fn pytest(files: &[(&str, &str)], config: &str) -> Self {
        let project = Self::empty();
        let python = test_python();
        let suite = format!("[suite.py]\nrunner = \"pytest\"\npython = \"{}\"\n{config}", python.display());
        project.write("regatta.toml", &suite);
        project.write("pytest.ini", "[pytest]\n");
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, and the directories above it.
    ///
    /// # Panics
    /// When that fails.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a file stands in a directory")).expect("room for a directory");
        fs::write(&path, text).expect("room for a file");
        path
    }

    /// How often each name was written to the side file, a line each.
    #[must_use]
    pub fn executions(&self) -> BTreeMap<String, usize> {
        let mut executions = BTreeMap::new();
        for line in fs::read_to_string(self.side()).unwrap_or_default().lines() {
            *executions.entry(line.to_owned()).or_default() += 1;
        }
        executions
    }

    /// Where tests note that they ran to their end.
    #[must_use]
    pub fn side(&self) -> PathBuf {
        self.path().join("side.txt")
    }

    /// A module of `count` tests that each take `ms` milliseconds, and note at their end that they ran.
    #[must_use]
    pub fn noting_module(&self, count: usize, ms: u64) -> String {
        let mut text = format!(
            "import os, time, pytest\n\
             def note(name):\n    \
                 fd = os.open({:?}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n    \
                 os.write(fd, (name + '\\n').encode())\n    \
                 os.close(fd)\n",
            self.side()
        );
        for at in 0..count {
            let _infallible = write!(
                text,
                "def test_{at}(request):\n    time.sleep({})\n    note(request.node.nodeid)\n",
                ms as f64 / 1000.0
            );
        }
        text
    }
}
