//! The settings of the pytest runner, and where its interpreter is looked for.

use regatta_domain::plan::PlannedSuite;
use regatta_domain::result::{RunError, RunErrorKind};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The settings of a pytest suite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PytestSettings {
    /// The interpreter that has pytest: a path (from the suite's root), or a name that is looked up in `PATH`. When left
    /// out, that of the active virtual environment, of `.venv` or `venv` in the root, else `python3`, else `python`.
    pub python: Option<String>,
    /// More arguments for pytest: options, and what it collects from.
    pub args: Vec<String>,
    /// Starts a fresh process after so many tests; never when left out.
    pub recycle_after: Option<u32>,
    /// The most address space a process may have, in mebibytes.
    pub memory_mb: Option<u64>,
}

impl PytestSettings {
    /// The settings of `suite`.
    pub(super) fn of(suite: &PlannedSuite) -> Result<Self, RunError> {
        serde_json::from_str(&suite.settings).map_err(|error| RunError {
            kind: RunErrorKind::Runner,
            place: suite.name.clone(),
            message: format!("the settings of the suite make no sense to the pytest runner: {error}").into(),
        })
    }
}

/// The interpreter that a suite's settings amount to; `Err` with every place where none was found.
pub(super) fn interpreter(
    root: &Path,
    settings: &PytestSettings,
    env: &[(Arc<str>, Arc<str>)],
) -> Result<PathBuf, Vec<String>> {
    let variable = |name: &str| {
        let own = env.iter().find(|(key, _)| &**key == name).map(|(_, value)| value.to_string());
        own.or_else(|| std::env::var(name).ok()).filter(|value| !value.is_empty())
    };
    let search = variable("PATH").unwrap_or_default();
    if let Some(python) = &settings.python {
        let found = if python.contains('/') { present(root.join(python)) } else { in_path(&search, root, python) };
        return found.ok_or_else(|| vec![python.clone()]);
    }
    let environments = variable("VIRTUAL_ENV").into_iter().map(|active| PathBuf::from(active).join("bin/python"));
    let places = environments.chain([root.join(".venv/bin/python"), root.join("venv/bin/python")]);
    let mut looked = Vec::new();
    for place in places {
        looked.push(place.display().to_string());
        if let Some(found) = present(place) {
            return Ok(found);
        }
    }
    for name in ["python3", "python"] {
        if let Some(found) = in_path(&search, root, name) {
            return Ok(found);
        }
        looked.push(format!("{name} in PATH"));
    }
    Err(looked)
}

fn present(path: PathBuf) -> Option<PathBuf> {
    path.is_file().then_some(path)
}

fn in_path(search: &str, root: &Path, name: &str) -> Option<PathBuf> {
    std::env::split_paths(search).map(|directory| root.join(directory).join(name)).find_map(present)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn python(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn the_nearest_interpreter_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let settings = PytestSettings::default();
        let path = root.join("bin").display().to_string();
        let bare: Vec<(Arc<str>, Arc<str>)> =
            vec![("PATH".into(), path.as_str().into()), ("VIRTUAL_ENV".into(), "/nowhere".into())];
        let looked = interpreter(root, &settings, &bare).unwrap_err();
        assert_eq!(looked.len(), 5, "{looked:?}");

        python(root, "bin/python3");
        assert_eq!(interpreter(root, &settings, &bare), Ok(root.join("bin/python3")));
        python(root, "venv/bin/python");
        assert_eq!(interpreter(root, &settings, &bare), Ok(root.join("venv/bin/python")));
        python(root, ".venv/bin/python");
        assert_eq!(interpreter(root, &settings, &bare), Ok(root.join(".venv/bin/python")));
        python(root, "active/bin/python");
        let mut active = bare.clone();
        active[1].1 = root.join("active").display().to_string().into();
        assert_eq!(interpreter(root, &settings, &active), Ok(root.join("active/bin/python")));

        let named = |name: &str| PytestSettings { python: Some(name.to_owned()), ..PytestSettings::default() };
        assert_eq!(interpreter(root, &named("venv/bin/python"), &bare), Ok(root.join("venv/bin/python")));
        assert_eq!(interpreter(root, &named("python3"), &bare), Ok(root.join("bin/python3")));
        assert_eq!(interpreter(root, &named("python3.99"), &bare), Err(vec!["python3.99".to_owned()]));
    }
}
