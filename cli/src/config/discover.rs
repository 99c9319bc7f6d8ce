//! Where the configuration is: `--config`, `REGATTA_CONFIG`, else the nearest file upward to the root of the checkout.

use std::path::{Path, PathBuf};

/// The names of the file, nearest first.
const NAMES: [&str; 2] = ["regatta.toml", ".config/regatta.toml"];

/// What marks the root of a checkout.
const MARKS: [&str; 4] = [".git", ".hg", ".jj", ".svn"];

/// The nearest configuration file, from `start` upward to the root of the checkout. Outside of a checkout only `start`
/// itself is looked at: a stray file in a home directory should not take hold of everything below it.
pub(crate) fn nearest(start: &Path) -> Option<PathBuf> {
    upward(start).into_iter().flat_map(|dir| NAMES.map(|name| dir.join(name))).find(|path| path.is_file())
}

/// The directories from `start` up to the root of its checkout; only `start` outside of one.
pub(crate) fn upward(start: &Path) -> Vec<&Path> {
    let dirs: Vec<&Path> = start.ancestors().collect();
    let root = dirs.iter().position(|dir| MARKS.iter().any(|mark| dir.join(mark).exists()));
    dirs[..=root.unwrap_or(0)].to_vec()
}

/// The directory that paths in the file at `path` start from: `.config` belongs to the directory that holds it.
pub(crate) fn base(path: &Path) -> PathBuf {
    let dir = path.parent().unwrap_or(Path::new(""));
    let base = if dir.file_name().is_some_and(|name| name == ".config") { dir.parent().unwrap_or(dir) } else { dir };
    if base.as_os_str().is_empty() { PathBuf::from(".") } else { base.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_file_up_to_the_root_of_the_checkout_is_found() {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let deep = temp.path().join("checkout/a/b");
        fs::create_dir_all(&deep).expect("directories");
        fs::write(temp.path().join("regatta.toml"), "").expect("a file outside of the checkout");
        assert_eq!(nearest(&deep), None);

        fs::create_dir(temp.path().join("checkout/.git")).expect("a mark");
        assert_eq!(nearest(&deep), None, "the file above the checkout is not looked at");

        let hidden = temp.path().join("checkout/.config/regatta.toml");
        fs::create_dir(hidden.parent().expect("a parent")).expect("a directory");
        fs::write(&hidden, "").expect("a hidden file");
        assert_eq!(nearest(&deep), Some(hidden.clone()));
        assert_eq!(base(&hidden), temp.path().join("checkout"));

        let near = temp.path().join("checkout/a/regatta.toml");
        fs::write(&near, "").expect("a nearer file");
        assert_eq!(nearest(&deep), Some(near.clone()));
        assert_eq!(base(&near), temp.path().join("checkout/a"));
    }

    #[test]
    fn a_bare_file_name_belongs_to_the_current_directory() {
        assert_eq!(base(Path::new("regatta.toml")), Path::new("."));
    }
}
