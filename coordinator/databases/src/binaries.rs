//! Where PostgreSQL is installed on this machine, and which version.
//!
//! Nothing is downloaded: what is looked for is `initdb` and `postgres` side by side.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The directory with `initdb` and `postgres`.
    pub directory: PathBuf,
    /// The major version, e.g. 15.
    pub major: u32,
}

/// Why no server can be started here.
#[derive(Debug)]
pub enum Error {
    /// None of the places has them.
    Missing {
        /// Where was looked, in that order.
        looked: Vec<PathBuf>,
    },
    /// What was found is older than anything supported.
    Old {
        /// What was found.
        found: Binaries,
    },
}

/// The oldest version that is supported: 14 is the first whose statistics count sessions.
pub const OLDEST: u32 = 14;

impl Binaries {
    /// The installation to use: `configured` alone if it is given, else the first of `PATH`, `pg_config --bindir` and the
    /// places where packages put it (the newest version first).
    ///
    /// # Errors
    /// When there is none, or only one that is too old.
    pub fn find(configured: Option<&Path>) -> Result<Self, Error> {
        let places = configured.map_or_else(places, |only| vec![only.to_owned(), only.join("bin")]);
        let mut old = None;
        for place in &places {
            match Self::at(place) {
                Some(found) if found.major >= OLDEST => return Ok(found),
                Some(found) => old = old.or(Some(found)),
                None => {}
            }
        }
        Err(old.map_or(Error::Missing { looked: places }, |found| Error::Old { found }))
    }

    /// The path of the program `name`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether the loadable module `name` is installed, as far as it can be told; packages for contributed modules are optional.
    #[must_use]
    pub fn has_module(&self, name: &str) -> bool {
        let said = Command::new(self.program("pg_config")).arg("--pkglibdir").stdin(Stdio::null()).output();
        let told = said.ok().map(|said| PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
        let parent = self.directory.parent().unwrap_or(&self.directory);
        let places = told.into_iter().chain(["lib", "lib/postgresql", "lib64/pgsql"].map(|place| parent.join(place)));
        places
            .collect::<Vec<_>>()
            .iter()
            .any(|place| ["so", "dylib"].iter().any(|kind| place.join(format!("{name}.{kind}")).is_file()))
    }

    fn at(directory: &Path) -> Option<Self> {
        if !directory.join("initdb").is_file() {
            return None;
        }
        let said = Command::new(directory.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let major = major(&String::from_utf8_lossy(&said.ok()?.stdout))?;
        // Where packages link to them, the modules are beside what is linked to.
        let real = std::fs::canonicalize(directory.join("postgres")).ok();
        let home = real.as_deref().and_then(Path::parent).filter(|home| home.join("initdb").is_file());
        Some(Self { directory: home.unwrap_or(directory).to_owned(), major })
    }
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian ...)` or `... 19devel`.
fn major(said: &str) -> Option<u32> {
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let bindir = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null()).output();
    if let Ok(said) = bindir
        && said.status.success()
    {
        places.push(PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()));
    }
    places.extend(versions(Path::new("/usr/lib/postgresql"), "", "bin"));
    places.extend(versions(Path::new("/usr"), "pgsql-", "bin"));
    places.extend(versions(Path::new("/opt/homebrew/opt"), "postgresql@", "bin"));
    places.extend(["/opt/homebrew/bin", "/usr/local/bin", "/usr/local/pgsql/bin", "/usr/bin"].map(PathBuf::from));
    places
}

/// `parent/<prefix><number>/<tail>`, the greatest number first.
fn versions(parent: &Path, prefix: &str, tail: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join(tail)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { looked } => {
                f.write_str("no PostgreSQL server programs (initdb, postgres) were found; looked in ")?;
                for (at, place) in looked.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", " }, place.display())?;
                }
                f.write_str(
                    ". Install them (e.g. the package `postgresql`), name their directory, or name a server by its URL",
                )
            }
            Self::Old { found } => write!(
                f,
                "PostgreSQL {} in {} is too old; {OLDEST} or newer is needed. Install a newer one, or name its directory",
                found.major,
                found.directory.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_every_package_prints_them() {
        for (said, want) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-1)", Some(15)),
            ("postgres (PostgreSQL) 18.4", Some(18)),
            ("postgres (PostgreSQL) 19devel", Some(19)),
            ("no such thing", None),
        ] {
            assert_eq!(major(said), want, "{said}");
        }
    }

    #[test]
    fn a_missing_installation_is_told_with_the_places_and_what_to_do() {
        let error = Binaries::find(Some(Path::new("/nowhere/at/all"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("Install"), "{error}");
    }

    #[test]
    fn the_newest_of_several_versions_is_looked_at_first() {
        let parent = tempfile::tempdir().unwrap();
        for version in ["9", "15", "18"] {
            std::fs::create_dir_all(parent.path().join(version)).unwrap();
        }
        let found = versions(parent.path(), "", "bin");
        assert_eq!(found[0], parent.path().join("18/bin"));
        assert_eq!(found.len(), 3);
    }
}
