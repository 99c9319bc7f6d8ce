//! Where MariaDB is installed on this machine, and which version. Nothing is downloaded.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The server.
    pub server: PathBuf,
    /// What makes a data directory.
    pub install: PathBuf,
    /// Its version, e.g. (10, 11).
    pub version: (u32, u32),
}

/// Why no server can be started here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// None of the places has both programs.
    Nowhere {
        /// Where was looked, in that order.
        looked: Vec<PathBuf>,
    },
    /// What was found is older than anything supported.
    Old {
        /// What was found.
        server: PathBuf,
        /// Its version.
        version: (u32, u32),
    },
    /// What was found is MySQL.
    Mysql {
        /// What was found.
        server: PathBuf,
    },
}

/// The names under which servers are installed; those of the same place are tried in this order.
pub(super) const NAMES: [&str; 2] = ["mariadbd", "mysqld"];

const INSTALLERS: [&str; 2] = ["mariadb-install-db", "mysql_install_db"];

/// The oldest version that is supported: the oldest that is still maintained, and what is read of its log is as in newer ones.
pub const OLDEST: (u32, u32) = (10, 6);

impl Programs {
    /// The programs to use: in the directory `configured` alone if it is given (or in those beside it, as packages part them),
    /// else in the first of `PATH` and the places where packages put them.
    ///
    /// # Errors
    /// When there is none, or only one that is not fit.
    pub fn find(configured: Option<&Path>) -> Result<Self, Missing> {
        let places = configured.map_or_else(places, around);
        let first = |names: [&str; 2]| {
            let paths = places.iter().flat_map(|place| names.map(|name| place.join(name)));
            paths.filter(|path| path.is_file()).collect::<Vec<_>>()
        };
        let mut unfit = None;
        if let Some(install) = first(INSTALLERS).into_iter().next() {
            for server in first(NAMES) {
                match version(&server) {
                    Some(Some(version)) if version >= OLDEST => return Ok(Self { server, install, version }),
                    Some(Some(version)) => unfit = unfit.or(Some(Missing::Old { server, version })),
                    Some(None) => unfit = unfit.or(Some(Missing::Mysql { server })),
                    None => {}
                }
            }
        } else if let Some(server) = first(NAMES).into_iter().find(|server| version(server) == Some(None)) {
            unfit = Some(Missing::Mysql { server });
        }
        Err(unfit.unwrap_or(Missing::Nowhere { looked: places }))
    }
}

fn version(server: &Path) -> Option<Option<(u32, u32)>> {
    // Without it the server reads the files of the system's own.
    let mut command = Command::new(server);
    let said = command.args(["--no-defaults", "--version"]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    read(&String::from_utf8_lossy(&said.stdout))
}

/// The version in `mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for ...`; nothing inside for a server that is not MariaDB.
fn read(said: &str) -> Option<Option<(u32, u32)>> {
    let version = said.split_whitespace().skip_while(|word| *word != "Ver").nth(1)?;
    let mut parts = version.split(['.', '-']);
    let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(said.contains("MariaDB").then_some(version))
}

fn around(only: &Path) -> Vec<PathBuf> {
    let only = if only.is_file() { only.parent().unwrap_or(only) } else { only };
    vec![only.to_owned(), only.join("bin"), only.join("sbin"), only.join("scripts"), only.join("../bin")]
}

fn places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let more =
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin", "/opt/homebrew/bin"];
    places.extend(more.map(PathBuf::from));
    places
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere { looked } => {
                f.write_str("no MariaDB server (mariadbd and mariadb-install-db) was found; looked in ")?;
                for (at, place) in looked.iter().enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", " }, place.display())?;
                }
                f.write_str(". Install one (e.g. the package `mariadb-server`), or name its directory")
            }
            Self::Old { server, version: (major, minor) } => write!(
                f,
                "MariaDB {major}.{minor} at {} is too old; {}.{} or newer is needed. Install a newer one, or name its directory",
                server.display(),
                OLDEST.0,
                OLDEST.1
            ),
            Self::Mysql { server } => write!(
                f,
                "{} is MySQL, which does not tell what each of its users did; install MariaDB (e.g. the package \
                 `mariadb-server`), which speaks the same protocol, or name its directory",
                server.display()
            ),
        }
    }
}

impl std::error::Error for Missing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_servers_print_them() {
        for (said, want) in [
            (
                "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
                Some(Some((10, 11))),
            ),
            ("/usr/sbin/mysqld  Ver 11.4.2-MariaDB for Linux", Some(Some((11, 4)))),
            ("/usr/sbin/mysqld  Ver 8.0.40 for Linux on x86_64 (MySQL Community Server - GPL)", Some(None)),
            ("no such thing", None),
        ] {
            assert_eq!(read(said), want, "{said}");
        }
    }

    #[test]
    fn what_is_not_fit_is_told_with_the_reason_and_what_to_do() {
        let error = Programs::find(Some(Path::new("/nowhere/at/all"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("Install"), "{error}");
        for (said, want) in [("Ver 10.3.1-MariaDB", "10.6 or newer"), ("Ver 8.0.40 (MySQL)", "is MySQL")] {
            let place = tempfile::tempdir().unwrap();
            for (name, said) in [("mysqld", said), ("mariadb-install-db", "")] {
                let path = place.path().join(name);
                std::fs::write(&path, format!("#!/bin/sh\necho 'mysqld {said}'\n")).unwrap();
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            }
            let error = Programs::find(Some(place.path())).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
