//! The settings of the rust runner, and the cargo commands that they amount to.

use crate::process::Command;
use regatta_domain::plan::PlannedSuite;
use serde::Deserialize;
use std::path::Path;

/// The settings of a rust suite. What is left out has the default that cargo has.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RustSettings {
    /// The packages to test (`-p`); empty for those that cargo would take in the suite's root.
    pub packages: Vec<String>,
    /// Test every package of the workspace.
    pub workspace: bool,
    /// Features to build with.
    pub features: Vec<String>,
    /// Build with all features.
    pub all_features: bool,
    /// Build without the default features.
    pub no_default_features: bool,
    /// The cargo profile to build with.
    pub profile: Option<String>,
    /// Whether doc tests are run too.
    pub doc: bool,
    /// What becomes of tests marked `#[ignore]`.
    pub ignored: Ignored,
    /// What shares a process.
    pub isolation: Isolation,
    /// More arguments for the test binaries.
    pub args: Vec<String>,
    /// More arguments for cargo when it builds.
    pub cargo_args: Vec<String>,
    /// The cargo to use.
    pub cargo: String,
}

/// What becomes of tests marked `#[ignore]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "IgnoredAsWritten")]
pub enum Ignored {
    /// They are reported as skipped.
    #[default]
    Skip,
    /// They are the only ones that run.
    Only,
    /// They run like the others.
    Run,
}

/// A switch stands for the two usual choices.
#[derive(Deserialize)]
#[serde(untagged)]
enum IgnoredAsWritten {
    Switch(bool),
    Word(IgnoredWord),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum IgnoredWord {
    Skip,
    Only,
    Run,
}

impl From<IgnoredAsWritten> for Ignored {
    fn from(written: IgnoredAsWritten) -> Self {
        match written {
            IgnoredAsWritten::Switch(false) | IgnoredAsWritten::Word(IgnoredWord::Skip) => Self::Skip,
            IgnoredAsWritten::Switch(true) | IgnoredAsWritten::Word(IgnoredWord::Run) => Self::Run,
            IgnoredAsWritten::Word(IgnoredWord::Only) => Self::Only,
        }
    }
}

impl Ignored {
    /// The argument by which a test binary is told.
    pub(super) const fn argument(self) -> Option<&'static str> {
        match self {
            Self::Skip => None,
            Self::Only => Some("--ignored"),
            Self::Run => Some("--include-ignored"),
        }
    }
}

/// What shares a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Each test has a process of its own.
    #[default]
    Process,
    /// Many tests of a binary share one.
    Binary,
}

impl Default for RustSettings {
    fn default() -> Self {
        Self {
            packages: Vec::new(),
            workspace: false,
            features: Vec::new(),
            all_features: false,
            no_default_features: false,
            profile: None,
            doc: true,
            ignored: Ignored::Skip,
            isolation: Isolation::Process,
            args: Vec::new(),
            cargo_args: Vec::new(),
            cargo: "cargo".to_owned(),
        }
    }
}

impl RustSettings {
    /// `cargo` with `arguments`, in the suite's root and environment. Its output is plain text, whatever a CI system asks.
    pub(super) fn cargo(&self, suite: &PlannedSuite, arguments: impl IntoIterator<Item = String>) -> Command {
        let mut command = Command::new(&self.cargo, arguments);
        Path::new(&*suite.root).clone_into(&mut command.cwd);
        command.env =
            suite.env.iter().map(|(name, value)| (name.to_string().into(), value.to_string().into())).collect();
        command.env.push(("CARGO_TERM_COLOR".into(), "never".into()));
        command.env.push(("CARGO_TERM_PROGRESS_WHEN".into(), "never".into()));
        command
    }

    /// Builds all test binaries of the suite.
    pub(super) fn build(&self, suite: &PlannedSuite) -> Command {
        let mut arguments = strings(&["test", "--no-run", "--message-format=json-render-diagnostics"]);
        arguments.extend(self.selection());
        arguments.extend(self.configuration());
        self.cargo(suite, arguments)
    }

    /// Runs the doc tests of one package, with `arguments` for rustdoc's test harness.
    pub(super) fn doc_tests(&self, suite: &PlannedSuite, package: &str, arguments: Vec<String>) -> Command {
        let mut all = strings(&["test", "--doc", "--package", package]);
        all.extend(self.configuration());
        all.push("--".to_owned());
        all.extend(arguments);
        self.cargo(suite, all)
    }

    /// Which packages.
    fn selection(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for package in &self.packages {
            arguments.extend(["--package".to_owned(), package.clone()]);
        }
        if self.workspace {
            arguments.push("--workspace".to_owned());
        }
        arguments
    }

    /// How they are built.
    fn configuration(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if !self.features.is_empty() {
            arguments.extend(["--features".to_owned(), self.features.join(",")]);
        }
        if self.all_features {
            arguments.push("--all-features".to_owned());
        }
        if self.no_default_features {
            arguments.push("--no-default-features".to_owned());
        }
        if let Some(profile) = &self.profile {
            arguments.extend(["--profile".to_owned(), profile.clone()]);
        }
        arguments.extend(self.cargo_args.iter().cloned());
        arguments
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> RustSettings {
        serde_json::from_str(json).expect("the settings are valid")
    }

    #[test]
    fn ignored_is_a_switch_or_a_word() {
        assert_eq!(read("{}").ignored, Ignored::Skip);
        assert_eq!(read(r#"{"ignored": true}"#).ignored, Ignored::Run);
        assert_eq!(read(r#"{"ignored": false}"#).ignored, Ignored::Skip);
        assert_eq!(read(r#"{"ignored": "only"}"#).ignored, Ignored::Only);
    }

    #[test]
    fn the_settings_become_cargo_arguments() {
        let settings = read(
            r#"{"packages": ["a", "b"], "features": ["x", "y"], "no_default_features": true, "profile": "release",
                "cargo_args": ["--locked"]}"#,
        );
        assert_eq!(settings.selection(), ["--package", "a", "--package", "b"]);
        let expected = ["--features", "x,y", "--no-default-features", "--profile", "release", "--locked"];
        assert_eq!(settings.configuration(), expected);
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let error = serde_json::from_str::<RustSettings>(r#"{"pakages": []}"#).expect_err("it is a typing error");
        assert!(error.to_string().contains("unknown field `pakages`"), "{error}");
    }
}
