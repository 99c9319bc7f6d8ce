//! Asks git, in a directory.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a command of git prints.
///
/// # Errors
/// When git cannot be started, or says no: the first line of why.
pub(crate) fn git(dir: &Path, args: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new("git").args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start git: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git says: {}", said.lines().next().unwrap_or("nothing")));
    }
    Ok(output.stdout)
}

/// Runs a script that prepares a repository, apart from the settings of whoever tests.
#[cfg(test)]
pub(crate) fn sh(dir: &Path, script: &str) {
    let script = format!("set -e; export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null; {script}");
    assert!(Command::new("sh").args(["-c", &script]).current_dir(dir).status().expect("a shell").success());
}
