//! Which branch is checked out: whose history a run reads and writes.

use crate::git;
use std::path::Path;

/// The main line, where nobody says otherwise: it has no name in history.
const MAIN: [&str; 2] = ["main", "master"];

/// Where CI systems, which check out a commit and no branch, say which branch that is of; those of merge requests first.
const VARIABLES: [&str; 7] = [
    "GITHUB_HEAD_REF",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",
    "GITHUB_REF_NAME",
    "CI_COMMIT_BRANCH",
    "BUILDKITE_BRANCH",
    "CIRCLE_BRANCH",
    "BRANCH_NAME",
];

/// The branch of the checkout at `base`; nothing for the main line, and where git knows of none.
pub(crate) fn branch(base: &Path) -> Option<String> {
    let named = match line(base, &["symbolic-ref", "--short", "--quiet", "HEAD"]) {
        Some(branch) => branch,
        None => {
            // Not a repository, or no branch is checked out.
            line(base, &["rev-parse", "--git-dir"])?;
            VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|branch| !branch.is_empty()))?
        }
    };
    let main = line(base, &["symbolic-ref", "--short", "--quiet", "refs/remotes/origin/HEAD"]);
    let is_main = match main.as_deref().and_then(|main| main.strip_prefix("origin/")) {
        Some(main) => main == named,
        None => MAIN.contains(&&*named),
    };
    (!is_main).then_some(named)
}

/// The line that a command of git prints, if it succeeds.
fn line(base: &Path, args: &[&str]) -> Option<String> {
    let line = String::from_utf8(git::git(base, args).ok()?).ok()?.trim_end().to_owned();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::sh;

    #[test]
    fn the_main_line_has_no_name_and_other_branches_have_theirs() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(branch(dir.path()), None, "no repository");
        sh(dir.path(), "git init -q -b main");
        assert_eq!(branch(dir.path()), None);
        sh(dir.path(), "git checkout -q -b feature/x");
        assert_eq!(branch(dir.path()).as_deref(), Some("feature/x"));
        sh(dir.path(), "git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/feature/x");
        assert_eq!(branch(dir.path()), None, "the remote calls this its main line");
        sh(dir.path(), "git checkout -q -b main");
        assert_eq!(branch(dir.path()).as_deref(), Some("main"));
    }
}
