//! Where the binary under test is, and the Python that its suites run under.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `regatta` binary: `REGATTA_BIN`, or the debug build of this tree, brought up to date once.
///
/// # Panics
/// When it does not build.
pub fn regatta() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("REGATTA_BIN") {
            return named.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "regatta"])
            .current_dir(root())
            .status()
            .expect("cargo runs");
        assert!(built.success(), "regatta does not build");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        target.join("debug/regatta")
    })
}

/// A Python with pytest: `REGATTA_TEST_PYTHON`, or the one that `tests/run` installs.
///
/// # Panics
/// When there is none: `tests/run` installs it.
pub fn test_python() -> PathBuf {
    let python = std::env::var_os("REGATTA_TEST_PYTHON")
        .map_or_else(|| root().join("tests/.cache/venv/pytest-9/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python with pytest at {}: `tests/run` installs it", python.display());
    python
}

/// The root of this tree.
///
/// # Panics
/// Never: the tests stand in it.
#[must_use]
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests stand below the root").to_owned()
}
