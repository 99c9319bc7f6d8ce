//! Where the source files of tests are, as those who read a report look for them.

use crate::view::View;
use regatta_domain::FileIx;
use std::path::{Component, Path, PathBuf};

/// Tells paths relative to a folder.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// The folder that relative roots of suites are below.
    cwd: PathBuf,
    /// The folder that paths are told from.
    base: PathBuf,
}

impl Sources {
    /// Paths from the folder that Regatta was started in.
    pub(crate) fn here() -> Self {
        // Where that is gone, paths stay as they are.
        let cwd = std::env::current_dir().unwrap_or_default();
        Self { base: cwd.clone(), cwd }
    }

    /// Paths from the top of the repository, as GitHub's annotations have them.
    pub(crate) fn in_repository() -> Self {
        let here = Self::here();
        let top = std::env::var_os("GITHUB_WORKSPACE").filter(|top| !top.is_empty());
        Self { base: top.map_or_else(|| here.base, PathBuf::from), cwd: here.cwd }
    }

    /// The file of the plan; nothing where it is not a file of source.
    pub(crate) fn of(&self, view: &View, file: FileIx) -> Option<String> {
        let planned = view.files.get(file.at())?;
        let runner = &view.suites.get(planned.suite.at())?.runner;
        // What cargo builds is called a file here, and so is whatever a command lists.
        let is_file =
            runner != "rust" && !planned.path.contains(char::is_whitespace) && planned.path.contains(['/', '.']);
        if is_file { self.below_root(view, file, &planned.path) } else { None }
    }

    /// A path below the root of the file's suite.
    pub(crate) fn below_root(&self, view: &View, file: FileIx, path: &str) -> Option<String> {
        let suite = view.suites.get(view.files.get(file.at())?.suite.at())?;
        let whole: PathBuf = self.cwd.join(&suite.root).join(path);
        let told = whole.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
        Some(told.strip_prefix(&self.base).map_or(told.as_path(), Path::new).to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::script::Script;

    #[test]
    fn paths_are_told_from_where_readers_look() {
        let mut script = Script::new(&[("api", "pytest"), ("core", "rust")], |_, _, _| {});
        script.unlisted(0, "tests/test_a.py");
        script.unlisted(1, "core::bin/x");
        let sources = Sources { cwd: "/repo/services".into(), base: "/repo".into() };
        let cases = [
            (".", "services/tests/test_a.py"),
            ("./api", "services/api/tests/test_a.py"),
            ("/repo/services/api", "services/api/tests/test_a.py"),
            ("/elsewhere", "/elsewhere/tests/test_a.py"),
        ];
        for (root, wanted) in cases {
            script.view.suites[0].root = root.to_owned();
            assert_eq!(sources.of(&script.view, FileIx(0)).as_deref(), Some(wanted));
        }
        assert_eq!(sources.of(&script.view, FileIx(1)), None);
        assert_eq!(sources.below_root(&script.view, FileIx(1), "src/lib.rs").as_deref(), Some("services/src/lib.rs"));
    }
}
