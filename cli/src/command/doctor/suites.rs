//! Whether each suite's runner is there.

use super::Finding;
use crate::config::Config;
use crate::config::settings::{Exec, Pytest, Rust};
use crate::config::suite::{Settings, Suite};
use regatta_domain::plan::PlannedSuite;
use regatta_worker::runner::pytest::{PytestSettings, environment};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One finding per suite.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let found = |(name, suite): (&str, &Suite)| {
        let area = format!("suite {name}");
        let planned = config.bare(name, suite);
        match &suite.settings {
            Settings::Pytest(settings) => pytest(&area, settings, &planned),
            Settings::Rust(settings) => rust(&area, settings, &config.root(suite)),
            Settings::Exec(settings) => exec(&area, settings, &config.root(suite)),
        }
    };
    config.suites().into_iter().map(found).collect()
}

fn pytest(area: &str, settings: &Pytest, suite: &PlannedSuite) -> Finding {
    let settings = PytestSettings {
        python: settings.python.as_ref().map(|python| python.value.clone()),
        ..PytestSettings::default()
    };
    match environment(Path::new(&*suite.root), &settings, &suite.env) {
        Ok(found) => {
            let version = if found.pytest_version.is_empty() { "from a checkout" } else { &found.pytest_version };
            let what = format!(
                "pytest {version}, Python {}, {} (tier A: warm host)",
                found.python_version,
                found.python.display()
            );
            Finding::good(area, what)
        }
        Err(error) => {
            // The runner's messages say what is wrong, and after that what to do.
            let parts = error.message.split_once("; ").or_else(|| error.message.split_once(": "));
            let (what, fix) = parts.unwrap_or((&error.message, "see docs/configuration.md"));
            Finding::bad(area, what, fix)
        }
    }
}

fn rust(area: &str, settings: &Rust, root: &Path) -> Finding {
    let cargo = settings.cargo.as_ref().map_or("cargo", |cargo| &cargo.value);
    let answer = Command::new(cargo).arg("--version").current_dir(root).stdin(Stdio::null()).output();
    let version = match answer {
        Ok(answer) if answer.status.success() => String::from_utf8_lossy(&answer.stdout).trim().to_owned(),
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.stderr);
            let what = format!("`{cargo} --version` fails: {}", said.lines().next().unwrap_or_default());
            return Finding::bad(area, what, "run it in the suite's root, and mend what it says");
        }
        Err(error) => {
            let what = format!("`{cargo}` cannot be started: {error}");
            return Finding::bad(area, what, "install Rust (https://rustup.rs), or name another `cargo` in the suite");
        }
    };
    if !root.ancestors().any(|dir| dir.join("Cargo.toml").is_file()) {
        let what = format!("there is no Cargo.toml in {}, nor above it", root.display());
        return Finding::bad(area, what, "set the suite's `root` to the directory of the package or workspace");
    }
    Finding::good(area, format!("{version} (tier B: test binaries)"))
}

fn exec(area: &str, settings: &Exec, root: &Path) -> Finding {
    let program = &settings.command.value.0[0];
    match program_path(program, root) {
        Some(path) => Finding::good(area, format!("{} (tier C: a command)", path.display())),
        None => {
            let what = format!("there is no program `{program}` that may be run");
            Finding::bad(area, what, "install it, or correct the suite's `command`")
        }
    }
}

/// The file that is started for `program`, if there is one that may be.
fn program_path(program: &str, root: &Path) -> Option<PathBuf> {
    let may_run =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        return Some(root.join(program)).filter(may_run);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(may_run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::write(root.path().join("plain"), "").expect("a file");
        assert!(program_path("sh", root.path()).is_some());
        assert!(program_path("regatta-is-not-called-this", root.path()).is_none());
        assert_eq!(program_path("./plain", root.path()), None, "a file without the right to run it");
        let script = root.path().join("script");
        fs::write(&script, "").expect("a file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("the right to run it");
        assert_eq!(program_path("./script", root.path()), Some(root.path().join("./script")));
    }
}
