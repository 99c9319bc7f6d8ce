//! The `[env]` table of cargo's own configuration: variables that cargo sets for everything it runs.
//!
//! Cargo merges `.cargo/config.toml` of every directory above the suite with that of its home; what is nearer wins.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

/// One of cargo's configuration files: the part needed here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    env: BTreeMap<String, Entry>,
}

/// A variable, as it may be written.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Plain(String),
    Full {
        value: String,
        #[serde(default)]
        force: bool,
        #[serde(default)]
        relative: bool,
    },
}

/// The variables that cargo would set in `root`, where `is_set` says whether one is set already.
pub(super) fn environment(root: &Path, is_set: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut variables = BTreeMap::new();
    for file in files(root) {
        // One that cannot be read is cargo's to complain about: it has just been run.
        let Some(config) = std::fs::read_to_string(&file).ok().and_then(|text| toml::from_str::<Config>(&text).ok())
        else {
            continue;
        };
        for (name, entry) in config.env {
            variables.entry(name).or_insert((entry, file.clone()));
        }
    }
    let set = |(name, (entry, file)): (String, (Entry, PathBuf))| {
        let (value, force) = value(entry, &file);
        (force || !is_set(&name)).then_some((name, value))
    };
    variables.into_iter().filter_map(set).collect()
}

/// Configuration files, the nearest first.
fn files(root: &Path) -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let above = root.ancestors().map(|directory| directory.join(".cargo"));
    let named = |directory: PathBuf| ["config.toml", "config"].map(|name| directory.join(name));
    above.chain(home).filter_map(|directory| named(directory).into_iter().find(|file| file.is_file())).collect()
}

/// A relative value starts at the directory that holds `.cargo`.
fn value(entry: Entry, file: &Path) -> (String, bool) {
    match entry {
        Entry::Plain(value) => (value, false),
        Entry::Full { value, force, relative: false } => (value, force),
        Entry::Full { value, force, relative: true } => {
            let base = file.parent().and_then(Path::parent).unwrap_or(Path::new(""));
            (base.join(value).to_string_lossy().into_owned(), force)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }

    #[test]
    fn the_nearest_file_wins_and_what_is_set_stays_unless_forced() {
        let directory = tempfile::tempdir().expect("a directory");
        let top = directory.path().canonicalize().expect("it is there");
        write(
            &top.join(".cargo/config.toml"),
            "[build]\njobs = 1\n[env]\nA = 'far'\nB = 'far'\nROOT = { value = 'x', relative = true }\n",
        );
        write(
            &top.join("inner/.cargo/config"),
            "[env]\nA = 'near'\nSET = 'kept out'\nFORCED = { value = 'put in', force = true }\n",
        );
        let told = environment(&top.join("inner"), |name| ["SET", "FORCED"].contains(&name));
        let of = |name: &str| told.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        assert_eq!(of("A").as_deref(), Some("near"));
        assert_eq!(of("B").as_deref(), Some("far"));
        assert_eq!(of("SET"), None);
        assert_eq!(of("FORCED").as_deref(), Some("put in"));
        assert_eq!(of("ROOT"), Some(top.join("x").to_string_lossy().into_owned()));
    }
}
