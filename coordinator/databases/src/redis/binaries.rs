//! Where Redis (or Valkey) is installed on this machine, and which version. Nothing is downloaded.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The server.
    pub path: PathBuf,
    /// Its major version, e.g. 7.
    pub major: u32,
}

/// Why no server can be started here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// None of the places has one.
    Nowhere {
        /// Where was looked, in that order.
        looked: Vec<PathBuf>,
    },
    /// What was found is older than anything supported.
    Old {
        /// What was found.
        found: Program,
    },
}

/// The names under which servers are installed; those of the same place are tried in this order.
pub(super) const NAMES: [&str; 2] = ["redis-server", "valkey-server"];

/// The oldest version that is supported: 7 is the first that counts subcommands apart, so that `CONFIG GET` and `CONFIG SET`
/// differ.
pub const OLDEST: u32 = 7;

impl Program {
    /// The program to use: in `configured` alone if it is given (a directory, or the program), else the first of `PATH` and the
    /// places where packages put it.
    ///
    /// # Errors
    /// When there is none, or only one that is too old.
    pub fn find(configured: Option<&Path>) -> Result<Self, Missing> {
        let places = configured.map_or_else(places, |only| vec![only.to_owned(), only.join("bin")]);
        let mut old = None;
        for path in places.iter().flat_map(|place| {
            let itself = place.is_file().then(|| place.clone());
            itself.into_iter().chain(NAMES.map(|name| place.join(name)))
        }) {
            match Self::at(&path) {
                Some(found) if found.major >= OLDEST => return Ok(found),
                Some(found) => old = old.or(Some(found)),
                None => {}
            }
        }
        Err(old.map_or(Missing::Nowhere { looked: places }, |found| Missing::Old { found }))
    }

    fn at(path: &Path) -> Option<Self> {
        if !path.is_file() {
            return None;
        }
        let said = Command::new(path).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        let major = major(&String::from_utf8_lossy(&said.stdout))?;
        Some(Self { path: path.to_owned(), major })
    }
}

/// The major version in `Redis server v=7.0.15 sha=...` or `Valkey server v=8.1.0 sha=...`.
fn major(said: &str) -> Option<u32> {
    let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    version.split('.').next()?.parse().ok()
}

fn places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    places.extend(["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    places
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere { looked } => {
                f.write_str("no Redis server (redis-server, valkey-server) was found; looked in ")?;
                for (at, place) in looked.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", " }, place.display())?;
                }
                f.write_str(". Install one (e.g. the package `redis-server`), or name its directory")
            }
            Self::Old { found } => write!(
                f,
                "Redis {} at {} is too old; {OLDEST} or newer is needed. Install a newer one (or Valkey), or name its directory",
                found.major,
                found.path.display()
            ),
        }
    }
}

impl std::error::Error for Missing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_both_servers_print_them() {
        for (said, want) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d", Some(7)),
            ("Valkey server v=8.1.0 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", Some(8)),
            ("no such thing", None),
        ] {
            assert_eq!(major(said), want, "{said}");
        }
    }

    #[test]
    fn a_missing_server_is_told_with_the_places_and_what_to_do() {
        let error = Program::find(Some(Path::new("/nowhere/at/all"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("Install"), "{error}");
    }

    #[test]
    fn a_server_that_is_too_old_is_told_with_its_version() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("redis-server");
        std::fs::write(&path, "#!/bin/sh\necho 'Redis server v=6.0.16 sha=0'\n").unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let error = Program::find(Some(place.path())).unwrap_err().to_string();
        assert!(error.contains("Redis 6") && error.contains("7 or newer"), "{error}");
    }
}
