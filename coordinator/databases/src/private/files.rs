//! The files of a server of ours that nobody writes to while tests run: those that it is set by, and which others there are.
//!
//! What a superuser puts there by `COPY ... TO`, `lo_export` or a program is told by the text of the statement, unless it
//! failed half-way; then the file is found here. What is inside of databases and of the log is left to the watch.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// By which a server is set. Whoever writes to one changes its time, its size or its number.
const SETTINGS: [&str; 4] = ["postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"];

/// Directories whose files stay the same, or come and go only with what a test may not leave behind.
const SETTLED: [&str; 6] = ["global", "pg_replslot", "pg_tblspc", "pg_twophase", "pg_stat", "pg_logical"];

/// The first number that is given to a database which somebody makes.
const FIRST_MADE: u32 = 16_384;

/// What there was when somebody looked. Equal to another look where nothing came, went, or was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Places with a digest of what they have, so that a difference has a name.
    places: Vec<(String, u64)>,
}

impl Files {
    /// Looks at the server in `directory`, whose template is the database of this number.
    ///
    /// # Errors
    /// When something cannot be read that was there before.
    pub(super) fn look(directory: &Path, template: u32) -> io::Result<Self> {
        let data = directory.join("data");
        let mut files = Self::default();
        files.names("its directory", directory, |_| true)?;
        files.names("its data directory", &data, |_| true)?;
        for name in SETTINGS {
            let about = fs::metadata(data.join(name))?;
            let stamp = (about.mtime(), about.mtime_nsec(), about.size(), about.ino(), about.mode());
            files.add(name, &stamp);
        }
        for name in SETTLED {
            files.names(name, &data.join(name), stays)?;
        }
        let base = data.join("base");
        for entry in fs::read_dir(&base)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.parse().is_ok_and(|number: u32| number < FIRST_MADE || number == template) {
                files.names(&format!("base/{name}"), &base.join(&name), stays)?;
            }
        }
        // The order of a directory says nothing.
        files.places.sort();
        Ok(files)
    }

    /// The first place that is not as it was.
    pub(super) fn difference<'a>(&'a self, now: &'a Self) -> Option<&'a str> {
        let (before, after): (BTreeSet<_>, BTreeSet<_>) = (self.places.iter().collect(), now.places.iter().collect());
        before.symmetric_difference(&after).next().map(|(place, _)| place.as_str())
    }

    fn names(&mut self, place: &str, directory: &Path, counts: impl Fn(&str) -> bool) -> io::Result<()> {
        let mut sum = 0_u64;
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            if counts(&name.to_string_lossy()) {
                sum = sum.wrapping_add(digest(&name));
            }
        }
        self.places.push((place.to_owned(), sum));
        Ok(())
    }

    fn add(&mut self, place: &str, what: &impl Hash) {
        self.places.push((place.to_owned(), digest(what)));
    }
}

/// Caches are written by whoever connects first, and checkpoints write beside what they replace.
fn stays(file: &str) -> bool {
    !file.starts_with("pg_internal.init") && Path::new(file).extension().is_none_or(|end| end != "tmp")
}

fn digest(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_or_was_written_is_found() {
        let server = tempfile::tempdir().unwrap();
        let data = server.path().join("data");
        for directory in SETTLED.iter().copied().chain(["base/1", "base/16384", "base/20000"]) {
            fs::create_dir_all(data.join(directory)).unwrap();
        }
        for name in SETTINGS {
            fs::write(data.join(name), "").unwrap();
        }
        let look = || Files::look(server.path(), 16_384).unwrap();
        let before = look();
        for (file, told) in [
            ("evil", Some("its data directory")),
            ("global/evil", Some("global")),
            ("base/1/evil", Some("base/1")),
            ("base/16384/evil", Some("base/16384")),
            ("base/20000/its_own", None),
            ("base/1/pg_internal.init.17", None),
        ] {
            fs::write(data.join(file), "x").unwrap();
            assert_eq!(before.difference(&look()), told, "{file}");
            fs::remove_file(data.join(file)).unwrap();
            assert_eq!(before, look(), "{file}");
        }
        fs::write(data.join("pg_hba.conf"), "host all all all trust").unwrap();
        assert_eq!(before.difference(&look()), Some("pg_hba.conf"));
    }
}
