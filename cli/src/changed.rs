//! Which files of a workspace have changed: what git says of the working tree against its last commit.
//!
//! It leaves to the coordinator which tests that selects.

use crate::git;
use regatta_domain::limits::FILES_PER_RUN;
use std::path::Path;
use std::sync::Arc;

/// The files below `root` that differ from the last commit, those that git does not track yet and does not ignore
/// included; their paths from `root`.
///
/// # Errors
/// In words, when git cannot tell.
pub(crate) fn changed(root: &Path) -> Result<Vec<Arc<str>>, String> {
    let mut paths = printed(root, &["diff", "--name-only", "--no-renames", "--relative", "-z", "HEAD"])?;
    paths.extend(printed(root, &["ls-files", "--others", "--exclude-standard", "-z"])?);
    if paths.len() > FILES_PER_RUN {
        return Err(format!("{} files have changed; a run takes at most {FILES_PER_RUN}", paths.len()));
    }
    Ok(paths)
}

/// The paths that a command of git prints.
fn printed(root: &Path, args: &[&str]) -> Result<Vec<Arc<str>>, String> {
    let printed = git::git(root, args)?;
    let paths = printed.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    Ok(paths.map(|path| String::from_utf8_lossy(path).into()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::sh;
    use std::fs;

    #[test]
    fn what_differs_from_the_last_commit_has_changed() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("below");
        fs::create_dir_all(root.join("tests")).expect("room");
        for path in ["top.py", "below/same.py", "below/edited.py", "below/tests/staged.py", "below/gone.py"] {
            fs::write(dir.path().join(path), "1").expect("room");
        }
        fs::write(dir.path().join(".gitignore"), "*.tmp\n").expect("room");
        sh(
            dir.path(),
            "git init -q; git add .; git -c user.name=n -c user.email=e commit -qm c; \
             echo 2 > top.py; cd below; echo 2 > edited.py; echo 2 > tests/staged.py; git add tests; rm gone.py; \
             echo 2 > 'tests/new one.py'; echo 2 > junk.tmp",
        );
        let mut paths = changed(&root).expect("git tells");
        paths.sort();
        assert_eq!(
            paths.iter().map(|path| &**path).collect::<Vec<_>>(),
            ["edited.py", "gone.py", "tests/new one.py", "tests/staged.py"]
        );
    }

    #[test]
    fn without_a_commit_it_is_said_what_git_said() {
        let dir = tempfile::tempdir().expect("a directory");
        sh(dir.path(), "git init -q");
        let said = changed(dir.path()).expect_err("there is nothing to compare with");
        assert!(said.starts_with("git says: fatal: "), "{said}");
    }
}
