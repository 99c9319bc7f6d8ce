//! What cargo would set for a test binary: its directory and its environment.
//!
//! Running binaries ourselves skips cargo, and tests rely on what it sets: the package's facts, what its build script
//! exported, where its binaries lie, and where shared libraries are found.

use super::messages::{Build, Metadata, Package};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is the same for all binaries of a build.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) build: &'a Build,
    /// Where the compiler keeps its shared libraries, where it said so.
    pub(super) libraries: Option<PathBuf>,
    /// What the worker's own `LD_LIBRARY_PATH` says.
    pub(super) inherited: Option<String>,
    /// What cargo's configuration sets.
    pub(super) configured: Vec<(String, String)>,
}

impl Facts<'_> {
    /// The package with this id.
    pub(super) fn package(&self, id: &str) -> Option<&Package> {
        self.metadata.packages.iter().find(|package| package.id == id)
    }

    /// The environment of `executable`, a test binary of `package`.
    pub(super) fn environment(&self, package: &Package, executable: &Path) -> Vec<(String, String)> {
        let mut env = self.configured.clone();
        env.extend(of_package(package));
        if let Some(cargo) = self.cargo() {
            env.push(("CARGO".to_owned(), text(&cargo)));
        }
        if let Some(script) = self.build.scripts.iter().rfind(|script| script.package_id == package.id) {
            env.push(("OUT_DIR".to_owned(), text(&script.out_dir)));
            env.extend(script.env.iter().cloned());
        }
        for artifact in &self.build.artifacts {
            let is_binary = artifact.package_id == package.id && artifact.target.kind.iter().any(|kind| kind == "bin");
            if let Some(binary) = &artifact.executable
                && is_binary
                && !artifact.profile.test
            {
                env.push((format!("CARGO_BIN_EXE_{}", artifact.target.name), text(binary)));
            }
        }
        env.push(("LD_LIBRARY_PATH".to_owned(), self.library_path(executable)));
        env
    }

    /// The cargo of the toolchain, rather than a proxy that looks it up each time.
    fn cargo(&self) -> Option<PathBuf> {
        // <sysroot>/lib/rustlib/<target>/lib
        let sysroot = self.libraries.as_deref()?.ancestors().nth(4)?;
        Some(sysroot.join("bin/cargo")).filter(|cargo| cargo.is_file())
    }

    /// In cargo's order: what build scripts link, the build's own output, the compiler's libraries, what was there.
    fn library_path(&self, executable: &Path) -> String {
        let linked = self.build.scripts.iter().flat_map(|script| &script.linked_paths).filter_map(|path| {
            let path = path.split_once('=').map_or(path.as_str(), |(_kind, path)| path);
            path.starts_with(&*self.metadata.target_directory.to_string_lossy()).then(|| path.to_owned())
        });
        let output = executable.parent().into_iter().flat_map(|deps| [deps.parent(), Some(deps)]).flatten().map(text);
        let compiler = self.libraries.iter().map(|path| text(path));
        let mut seen = BTreeSet::new();
        let all = linked.chain(output).chain(compiler).chain(self.inherited.clone());
        all.filter(|path| seen.insert(path.clone())).collect::<Vec<_>>().join(":")
    }
}

fn of_package(package: &Package) -> Vec<(String, String)> {
    let version = package.version.split('+').next().unwrap_or_default();
    let (numbers, pre) = version.split_once('-').unwrap_or((version, ""));
    let mut numbers = numbers.split('.');
    let mut number = || numbers.next().unwrap_or_default().to_owned();
    let given = |value: &Option<String>| value.clone().unwrap_or_default();
    let root = package.manifest_path.parent().unwrap_or(Path::new(""));
    let all = [
        ("MANIFEST_DIR", text(root)),
        ("MANIFEST_PATH", text(&package.manifest_path)),
        ("PKG_NAME", package.name.clone()),
        ("PKG_VERSION", package.version.clone()),
        ("PKG_VERSION_MAJOR", number()),
        ("PKG_VERSION_MINOR", number()),
        ("PKG_VERSION_PATCH", number()),
        ("PKG_VERSION_PRE", pre.to_owned()),
        ("PKG_AUTHORS", package.authors.join(":")),
        ("PKG_DESCRIPTION", given(&package.description)),
        ("PKG_HOMEPAGE", given(&package.homepage)),
        ("PKG_REPOSITORY", given(&package.repository)),
        ("PKG_LICENSE", given(&package.license)),
        ("PKG_LICENSE_FILE", given(&package.license_file)),
        ("PKG_README", given(&package.readme)),
        ("PKG_RUST_VERSION", given(&package.rust_version)),
    ];
    all.into_iter().map(|(name, value)| (format!("CARGO_{name}"), value)).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        serde_json::from_str(
            r#"{"packages": [{"id": "p", "name": "p", "version": "1.2.3-rc.1+x", "manifest_path": "/w/p/Cargo.toml",
                "authors": ["A", "B"], "description": "d", "homepage": null, "repository": null, "license": "MIT",
                "license_file": null, "readme": "README.md", "rust_version": null}],
                "workspace_root": "/w", "target_directory": "/w/target"}"#,
        )
        .expect("valid")
    }

    #[test]
    fn a_test_binary_gets_what_cargo_would_set() {
        let build = Build::read(concat!(
            r#"{"reason":"build-script-executed","package_id":"p","linked_paths":["native=/w/target/out/lib","/usr/lib"],"#,
            r#""env":[["EXPORTED","yes"]],"out_dir":"/w/target/out"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","package_id":"p","target":{"kind":["bin"],"name":"tool"},"#,
            r#""profile":{"test":false},"filenames":[],"executable":"/w/target/debug/tool"}"#,
        ));
        let metadata = metadata();
        let libraries = Some(PathBuf::from("/rust/lib/rustlib/x86/lib"));
        let facts = Facts {
            metadata: &metadata,
            build: &build,
            libraries,
            inherited: Some("/opt/lib".to_owned()),
            configured: vec![("CONFIGURED".to_owned(), "yes".to_owned())],
        };
        let package = facts.package("p").expect("it is there");
        let env = facts.environment(package, Path::new("/w/target/debug/deps/p-1"));
        let of = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        for (name, value) in [
            ("CARGO_MANIFEST_DIR", "/w/p"),
            ("CARGO_PKG_VERSION", "1.2.3-rc.1+x"),
            ("CARGO_PKG_VERSION_PATCH", "3"),
            ("CARGO_PKG_VERSION_PRE", "rc.1"),
            ("CARGO_PKG_AUTHORS", "A:B"),
            ("CARGO_PKG_HOMEPAGE", ""),
            ("CARGO_BIN_EXE_tool", "/w/target/debug/tool"),
            ("OUT_DIR", "/w/target/out"),
            ("EXPORTED", "yes"),
            ("CONFIGURED", "yes"),
            (
                "LD_LIBRARY_PATH",
                "/w/target/out/lib:/w/target/debug:/w/target/debug/deps:/rust/lib/rustlib/x86/lib:/opt/lib",
            ),
        ] {
            assert_eq!(of(name), Some(value), "{name}");
        }
    }
}
