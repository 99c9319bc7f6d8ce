//! What cargo says of a build, line by line in JSON, and what `cargo metadata` says of packages: the parts needed here.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One line of `--message-format=json`.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact(Artifact),
    BuildScriptExecuted(BuildScript),
    #[serde(other)]
    Other,
}

/// A crate that was compiled, or was fresh.
#[derive(Debug, Deserialize)]
pub(super) struct Artifact {
    pub(super) package_id: String,
    pub(super) target: Target,
    pub(super) profile: Profile,
    pub(super) filenames: Vec<PathBuf>,
    pub(super) executable: Option<PathBuf>,
}

/// The profile it was compiled under.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    /// With its test harness.
    pub(super) test: bool,
}

/// What it was compiled from.
#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) kind: Vec<String>,
    pub(super) name: String,
    #[serde(default)]
    pub(super) doctest: bool,
}

/// A build script that ran, now or before.
#[derive(Debug, Deserialize)]
pub(super) struct BuildScript {
    pub(super) package_id: String,
    pub(super) linked_paths: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) out_dir: PathBuf,
}

/// All that a build said.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) artifacts: Vec<Artifact>,
    pub(super) scripts: Vec<BuildScript>,
}

impl Build {
    /// Reads the messages; lines that are none (of a build script that prints) say nothing.
    pub(super) fn read(lines: &str) -> Self {
        let mut build = Self::default();
        for line in lines.lines().filter(|line| line.starts_with('{')) {
            match serde_json::from_str(line) {
                Ok(Message::CompilerArtifact(artifact)) => build.artifacts.push(artifact),
                Ok(Message::BuildScriptExecuted(script)) => build.scripts.push(script),
                Ok(Message::Other) | Err(_) => {}
            }
        }
        build
    }
}

/// What `cargo metadata --no-deps` says.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) packages: Vec<Package>,
    pub(super) workspace_root: PathBuf,
    pub(super) target_directory: PathBuf,
    #[serde(default)]
    pub(super) workspace_default_members: Vec<String>,
}

impl Metadata {
    /// The packages that cargo chooses in `root` when it is told none: that of the nearest manifest, or, in the root of
    /// the workspace, its default members.
    pub(super) fn chosen(&self, root: &Path) -> Vec<&str> {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let manifest =
            root.ancestors().map(|directory| directory.join("Cargo.toml")).find(|manifest| manifest.is_file());
        let own = self.packages.iter().find(|package| Some(&package.manifest_path) == manifest.as_ref());
        match own {
            Some(package) if package.manifest_path.parent() != Some(&self.workspace_root) => vec![&package.id],
            _ => self.workspace_default_members.iter().map(String::as_str).collect(),
        }
    }
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) manifest_path: PathBuf,
    #[serde(default)]
    pub(super) authors: Vec<String>,
    pub(super) description: Option<String>,
    pub(super) homepage: Option<String>,
    pub(super) repository: Option<String>,
    pub(super) license: Option<String>,
    pub(super) license_file: Option<String>,
    pub(super) readme: Option<String>,
    pub(super) rust_version: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_and_build_scripts_are_read_and_the_rest_is_passed_over() {
        let build = Build::read(concat!(
            r#"{"reason":"compiler-artifact","package_id":"p 0.1","manifest_path":"/p/Cargo.toml","target":{"kind":["test"],"#,
            r#""crate_types":["bin"],"name":"it","src_path":"/p/tests/it.rs","edition":"2024","doctest":false,"test":true},"#,
            r#""profile":{"opt_level":"0","test":true},"features":[],"filenames":["/t/it-1"],"executable":"/t/it-1","fresh":true}"#,
            "\nhello from a build script\n",
            r#"{"reason":"build-script-executed","package_id":"p 0.1","linked_libs":[],"linked_paths":["native=/t/out"],"#,
            r#""cfgs":[],"env":[["A","b"]],"out_dir":"/t/out"}"#,
            "\n",
            r#"{"reason":"compiler-message","message":{}}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        ));
        assert_eq!(build.artifacts.len(), 1);
        assert_eq!(build.artifacts[0].executable.as_deref(), Some("/t/it-1".as_ref()));
        assert_eq!(build.scripts.len(), 1);
        assert_eq!(build.scripts[0].env, [("A".to_owned(), "b".to_owned())]);
    }
}
