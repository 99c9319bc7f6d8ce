//! The content addresses under which listings are remembered: of the list of files, and of each file's tests.
//!
//! A key covers what usually decides what pytest collects: the file itself, the conftest.py files and the configuration
//! above it, and the environment. It cannot cover everything (a test may be parametrised from a database), and need not:
//! what a worker really collects always wins.

use super::{Environment, PytestSettings};
use ignore::WalkBuilder;
use regatta_domain::FileKey;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What pytest reads its configuration from, in the order in which it looks.
const CONFIGURATION: [&str; 7] =
    ["pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg"];

/// Files of these kinds may hold tests, of pytest's own or of a plugin's.
const KINDS: [&str; 8] = ["py", "txt", "rst", "md", "yml", "yaml", "ipynb", "feature"];

/// Directories that hold no tests, hidden ones aside, and may be large.
const NO_TESTS: [&str; 3] = ["node_modules", "__pycache__", "site-packages"];

/// How deep directories are followed.
const DEPTH: usize = 64;

/// What pytest reads above a test file, each file of it once.
#[derive(Debug)]
pub(super) struct Chain {
    digest: [u8; 32],
    configuration: Option<PathBuf>,
    /// The digests of the conftest.py files from the root down to a directory, that directory's included.
    conftests: Mutex<BTreeMap<PathBuf, [u8; 32]>>,
}

impl Chain {
    /// What stands in `root` and above it: pytest looks upwards until it finds a configuration.
    pub(super) fn above(root: &Path) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut configuration = None;
        for directory in root.ancestors() {
            for name in CONFIGURATION {
                let path = directory.join(name);
                if let Ok(content) = fs::read(&path) {
                    hasher.update(name.as_bytes());
                    hasher.update(blake3::hash(&content).as_bytes());
                    if configures(name, &content) {
                        configuration = configuration.or(Some(path));
                    }
                }
            }
            if let Ok(content) = fs::read(directory.join("conftest.py"))
                && directory != root
            {
                hasher.update(blake3::hash(&content).as_bytes());
            }
            if configuration.is_some() {
                break;
            }
        }
        Self { digest: hasher.finalize().into(), configuration, conftests: Mutex::default() }
    }

    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    pub(super) fn configuration(&self) -> Option<&Path> {
        self.configuration.as_deref()
    }

    /// The digest of the conftest.py files that `directory` is under, up to `root`.
    fn conftests(&self, root: &Path, directory: &Path) -> [u8; 32] {
        let mut known = self.conftests.lock().expect("nobody panics while reading files");
        let mut below = Vec::new();
        let mut digest = [0; 32];
        for at in directory.ancestors() {
            if let Some(found) = known.get(at) {
                digest = *found;
                break;
            }
            below.push(at);
            if at == root {
                break;
            }
        }
        for at in below.into_iter().rev() {
            if let Ok(content) = fs::read(at.join("conftest.py")) {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&digest);
                hasher.update(&content);
                digest = hasher.finalize().into();
            }
            known.insert(at.to_owned(), digest);
        }
        digest
    }
}

/// Whether pytest takes this file for its configuration: files made for it always, others when they have its section.
fn configures(name: &str, content: &[u8]) -> bool {
    let has = |section: &str| content.windows(section.len()).any(|window| window == section.as_bytes());
    match name {
        "pyproject.toml" => has("[tool.pytest"),
        "tox.ini" => has("[pytest]"),
        "setup.cfg" => has("[tool:pytest]"),
        _ => true,
    }
}

/// The key under which the list of a suite's files is remembered: every path in `root` that may hold tests, and all that
/// decides which of them do.
#[must_use]
pub fn tree_key(root: &Path, settings: &PytestSettings, environment: &Environment) -> FileKey {
    let walk = WalkBuilder::new(root)
        .standard_filters(false)
        .hidden(true)
        .follow_links(true)
        .max_depth(Some(DEPTH))
        .filter_entry(|entry| {
            let directory = entry.file_type().is_some_and(|kind| kind.is_dir());
            !(directory && (NO_TESTS.iter().any(|name| entry.file_name() == *name) || is_environment(entry.path())))
        })
        .threads(2)
        .build_parallel();
    let found = Arc::new(Mutex::new(Vec::new()));
    walk.run(|| {
        let mut mine = Paths { paths: Vec::new(), all: Arc::clone(&found) };
        Box::new(move |entry| {
            if let Ok(entry) = entry
                && entry.file_type().is_some_and(|kind| kind.is_file())
                && entry.path().extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known))
            {
                mine.paths.push(entry.into_path());
            }
            ignore::WalkState::Continue
        })
    });
    let mut paths = std::mem::take(&mut *found.lock().expect("no walker panics"));
    paths.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&environment.digest);
    for path in &paths {
        let name = path.strip_prefix(root).unwrap_or(path).as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name);
        if path.file_name().is_some_and(|name| name == "conftest.py") {
            hasher.update(&contents(path));
        }
    }
    for argument in &settings.args {
        hasher.update(argument.as_bytes());
    }
    key(&hasher)
}

/// What one walker found; handed over when it is done.
struct Paths {
    paths: Vec<PathBuf>,
    all: Arc<Mutex<Vec<PathBuf>>>,
}

impl Drop for Paths {
    fn drop(&mut self) {
        if let Ok(mut all) = self.all.lock() {
            all.append(&mut self.paths);
        }
    }
}

/// Whether a directory is a virtual environment, which pytest does not go into either.
fn is_environment(path: &Path) -> bool {
    path.join("pyvenv.cfg").exists()
}

/// The key under which the listing of the file at `path`, below `root`, is remembered.
#[must_use]
pub fn file_key(root: &Path, path: &str, environment: &Environment) -> FileKey {
    let full = root.join(path);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&environment.digest);
    hasher.update(&environment.chain.conftests(root, full.parent().unwrap_or(root)));
    hasher.update(path.as_bytes());
    hasher.update(&contents(&full));
    key(&hasher)
}

/// The digest of a file's content; of its absence, too.
fn contents(path: &Path) -> [u8; 32] {
    fs::read(path).map_or([0; 32], |content| blake3::hash(&content).into())
}

fn key(hasher: &blake3::Hasher) -> FileKey {
    let mut key = FileKey::default();
    key.0.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(root: &Path) -> Environment {
        let chain = Chain::above(root);
        Environment {
            python: PathBuf::new(),
            python_version: String::new(),
            pytest_version: String::new(),
            configuration: None,
            digest: *chain.digest(),
            chain,
        }
    }

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The keys of the tree and of two files, as they are now.
    fn keys(root: &Path) -> [FileKey; 3] {
        let environment = environment(root);
        let tree = tree_key(root, &PytestSettings::default(), &environment);
        [tree, file_key(root, "tests/test_a.py", &environment), file_key(root, "tests/deep/test_b.py", &environment)]
    }

    #[test]
    fn a_key_changes_with_what_it_covers_and_with_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "pytest.ini", "[pytest]\n");
        write(root, "tests/test_a.py", "def test_a(): pass\n");
        write(root, "tests/deep/test_b.py", "def test_b(): pass\n");
        let mut before = keys(root);
        assert_eq!(before, keys(root));
        // What is written, and whether it changes the tree's key and those of the two files.
        let cases = [
            ("tests/test_a.py", "def test_c(): pass\n", [false, true, false]),
            ("tests/deep/conftest.py", "x = 1\n", [true, false, true]),
            ("tests/conftest.py", "x = 1\n", [true, true, true]),
            ("tests/conftest.py", "x = 2\n", [true, true, true]),
            ("tests/test_new.py", "", [true, false, false]),
            ("pytest.ini", "[pytest]\naddopts = -q\n", [true, true, true]),
            ("notes.log", "", [false, false, false]),
            (".cache/test_x.py", "", [false, false, false]),
            ("node_modules/test_x.py", "", [false, false, false]),
            (".venv/lib/test_x.py", "", [false, false, false]),
        ];
        for (path, content, wanted) in cases {
            write(root, path, content);
            let after = keys(root);
            let changed = [0, 1, 2].map(|at| before[at] != after[at]);
            assert_eq!(changed, wanted, "{path}");
            before = after;
        }
    }

    #[test]
    fn a_configuration_above_the_root_counts() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("inner");
        write(&root, "tests/test_a.py", "");
        write(outer.path(), "pyproject.toml", "[tool.pytest.ini_options]\n");
        let before = keys(&root);
        assert_eq!(Chain::above(&root).configuration(), Some(&*outer.path().join("pyproject.toml")));
        write(outer.path(), "pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-x'\n");
        assert_ne!(keys(&root), before);
    }

    #[test]
    fn an_environment_inside_the_tree_is_not_part_of_it() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "tests/test_a.py", "");
        write(root.path(), "env/pyvenv.cfg", "");
        let before = keys(root.path());
        write(root.path(), "env/lib/test_x.py", "");
        assert_eq!(keys(root.path()), before);
    }
}
