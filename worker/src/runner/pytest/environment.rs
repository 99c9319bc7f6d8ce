//! The Python environment of a suite: what can be known of it without starting pytest.
//!
//! It asks the interpreter one quick question. The invariant: whoever has equal environments and equal files collects
//! equal tests, so its digest holds versions, names and settings, and nothing of the machine (no paths, no times).

use super::PytestSettings;
use super::keys::Chain;
use super::settings::interpreter;
use regatta_domain::result::{RunError, RunErrorKind};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The oldest Python and the oldest pytest that hosts run under.
const OLDEST_PYTHON: (u32, u32) = (3, 8);
const OLDEST_PYTEST: (u32, u32) = (7, 4);

/// Prints what is installed, as names of metadata directories: reading the metadata itself would take ten times as long.
const QUESTION: &str = r#"
import json, os, sys
if sys.path and not sys.path[0]: del sys.path[0]
names = set()
for path in sys.path:
    try: entries = os.listdir(path or ".")
    except OSError: continue
    names.update(name for name in entries if name.endswith((".dist-info", ".egg-info", ".egg-link", ".pth")))
pytest = next((n[7:].rsplit(".", 1)[0] for n in sorted(names) if n.startswith("pytest-") and n[7:8].isdigit()), None)
if pytest is None:
    import importlib.util
    pytest = "" if importlib.util.find_spec("pytest") else None
print(json.dumps({"python": list(sys.version_info[:3]), "pytest": pytest, "installed": sorted(names)}))
"#;

/// The Python environment of a suite.
#[derive(Debug)]
pub struct Environment {
    /// The interpreter.
    pub python: PathBuf,
    /// Its version.
    pub python_version: String,
    /// The version of pytest; empty where it is not installed as a distribution (a checkout in `PYTHONPATH`).
    pub pytest_version: String,
    /// The configuration file that pytest will find, if there is one.
    pub configuration: Option<PathBuf>,
    /// The digest of all of this and the suite's settings.
    pub(super) digest: [u8; 32],
    /// What was read of the files above the tests.
    pub(super) chain: Chain,
}

#[derive(Deserialize)]
struct Facts {
    python: (u32, u32, u32),
    pytest: Option<String>,
    installed: Vec<String>,
}

/// Finds the environment of the suite in `root`. Blocking: runs the interpreter once, for about 20 ms.
///
/// # Errors
/// When there is no interpreter, no pytest, or either is too old.
pub fn environment(
    root: &Path,
    settings: &PytestSettings,
    env: &[(Arc<str>, Arc<str>)],
) -> Result<Environment, RunError> {
    let python = interpreter(root, settings, env).map_err(|looked| nowhere(root, &looked))?;
    let facts = ask(root, &python, env)?;
    let (major, minor, patch) = facts.python;
    let python_version = format!("{major}.{minor}.{patch}");
    if (major, minor) < OLDEST_PYTHON {
        let message = format!(
            "`{}` is Python {python_version}; pytest suites need 3.8 or newer: name another interpreter in the suite's \
             settings (`python = \"…\"`)",
            python.display()
        );
        return Err(refused(&python, message));
    }
    let Some(pytest_version) = facts.pytest else {
        let message = format!(
            "pytest is not installed for `{}` (Python {python_version}): install it there (`{} -m pip install pytest`), or \
             name another interpreter in the suite's settings (`python = \"…\"`)",
            python.display(),
            python.display()
        );
        return Err(refused(&python, message));
    };
    if version(&pytest_version).is_some_and(|found| found < OLDEST_PYTEST) {
        let message = format!(
            "pytest {pytest_version} of `{}` is too old: 7.4 or newer is needed (`{} -m pip install -U pytest`)",
            python.display(),
            python.display()
        );
        return Err(refused(&python, message));
    }
    let chain = Chain::above(root);
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(&python_version);
    facts.installed.iter().for_each(|name| part(name));
    part("args");
    settings.args.iter().for_each(|argument| part(argument));
    part("env");
    env.iter().for_each(|(name, value)| {
        part(name);
        part(value);
    });
    hasher.update(chain.digest());
    let configuration = chain.configuration().map(Path::to_owned);
    Ok(Environment { python, python_version, pytest_version, configuration, digest: hasher.finalize().into(), chain })
}

fn ask(root: &Path, python: &Path, env: &[(Arc<str>, Arc<str>)]) -> Result<Facts, RunError> {
    let answer = Command::new(python)
        .args(["-B", "-c", QUESTION])
        .current_dir(root)
        .envs(env.iter().map(|(name, value)| (&**name, &**value)))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| refused(python, format!("cannot start `{}`: {error}", python.display())))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
        let message = format!("`{}` does not work ({}): {last}", python.display(), answer.status);
        return Err(refused(python, message));
    }
    // A sitecustomize may print as well.
    let line = answer.stdout.split(|byte| *byte == b'\n').rfind(|line| line.starts_with(b"{")).unwrap_or_default();
    serde_json::from_slice(line).map_err(|error| {
        refused(python, format!("`{}` gave no answer that a Python would give: {error}", python.display()))
    })
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn refused(python: &Path, message: String) -> RunError {
    RunError { kind: RunErrorKind::Runner, place: python.display().to_string().into(), message: message.into() }
}

/// No interpreter was found in any of these places.
pub(super) fn nowhere(root: &Path, looked: &[String]) -> RunError {
    let message = format!(
        "no Python interpreter: looked for {}; create a virtual environment with pytest in `{}`, or name one in the suite's \
         settings (`python = \"…\"`)",
        looked.join(", "),
        root.join(".venv").display()
    );
    RunError { kind: RunErrorKind::Runner, place: root.display().to_string().into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A stand-in for an interpreter: answers every question with `answer`.
    fn python(root: &Path, answer: &str) {
        let path = root.join(".venv/bin/python");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{answer}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn check(answer: &str) -> Result<Environment, String> {
        let root = tempfile::tempdir().unwrap();
        python(root.path(), answer);
        let env: Vec<(Arc<str>, Arc<str>)> = vec![("VIRTUAL_ENV".into(), "".into())];
        let settings = PytestSettings { python: Some(".venv/bin/python".to_owned()), ..PytestSettings::default() };
        environment(root.path(), &settings, &env).map_err(|error| {
            assert_eq!(error.kind, RunErrorKind::Runner);
            error.message.to_string()
        })
    }

    #[test]
    fn a_working_environment_says_its_versions() {
        let said = r#"echo '{"python": [3, 12, 1], "pytest": "8.3.5", "installed": ["pytest-8.3.5.dist-info"]}'"#;
        let found = check(&format!("echo hello\n{said}")).unwrap();
        assert_eq!((&*found.python_version, &*found.pytest_version), ("3.12.1", "8.3.5"));
    }

    #[test]
    fn what_does_not_work_says_what_was_found_and_what_to_do() {
        let cases = [
            (r#"echo '{"python": [3, 7, 9], "pytest": "8.0.0", "installed": []}'"#, "is Python 3.7.9"),
            (r#"echo '{"python": [3, 12, 1], "pytest": null, "installed": []}'"#, "-m pip install pytest"),
            (r#"echo '{"python": [3, 12, 1], "pytest": "7.3.2", "installed": []}'"#, "pytest 7.3.2"),
            ("echo broken >&2; exit 3", "exit status: 3): broken"),
            ("echo Python 2.7", "no answer that a Python would give"),
        ];
        for (answer, wanted) in cases {
            let message = check(answer).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
    }

    #[test]
    fn no_interpreter_says_where_it_was_looked_for() {
        let root = tempfile::tempdir().unwrap();
        let env: Vec<(Arc<str>, Arc<str>)> =
            vec![("VIRTUAL_ENV".into(), "/gone".into()), ("PATH".into(), "/no".into())];
        let error = environment(root.path(), &PytestSettings::default(), &env).unwrap_err();
        assert!(error.message.contains("/gone/bin/python") && error.message.contains("python3 in PATH"), "{error:?}");
    }
}
