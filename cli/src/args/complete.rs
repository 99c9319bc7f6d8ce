//! Completion of names from the configuration at hand.
//!
//! A shell asks while somebody types: whatever is wrong with the configuration, nothing is said, and nothing offered.

use crate::config::Config;
use clap_complete::engine::CompletionCandidate;

/// The profiles.
pub(super) fn profiles() -> Vec<CompletionCandidate> {
    let Some(config) = config() else { return Vec::new() };
    let names = config.file.profile.keys().map(String::as_str).filter(|name| *name != "default");
    names.chain(["default"]).map(CompletionCandidate::new).collect()
}

/// The suites.
pub(super) fn suites() -> Vec<CompletionCandidate> {
    let Some(config) = config() else { return Vec::new() };
    let candidate = |name: &str, runner| CompletionCandidate::new(name).help(Some(format!("{runner} suite").into()));
    config.suites().iter().map(|(name, suite)| candidate(name, suite.runner())).collect()
}

fn config() -> Option<Config> {
    let explicit = std::env::var_os("REGATTA_CONFIG").map(std::path::PathBuf::from);
    Config::load(explicit.as_deref(), &std::env::current_dir().ok()?).ok()
}
