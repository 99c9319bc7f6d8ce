//! A file that appears whole or not at all: written beside its place, then moved there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that is being written. Dropped before `commit`, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Whole {
    file: BufWriter<File>,
    /// Where it is written, and where it is to appear; `None` where it is written in place.
    places: Option<(PathBuf, PathBuf)>,
}

impl Whole {
    /// Begins a file that is to appear at this path. Folders above it are made.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        match fs::metadata(path) {
            // A pipe or a device is not moved over.
            Ok(found) if !found.is_file() => {
                return Ok(Self { file: BufWriter::new(File::create(path)?), places: None });
            }
            _ => {}
        }
        // What a link points at is replaced, not the link.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name = place.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.tmp", std::process::id()));
        let beside = place.with_file_name(hidden);
        let file = BufWriter::new(File::create(&beside)?);
        Ok(Self { file, places: Some((beside, place)) })
    }

    /// Lets it appear.
    pub(super) fn commit(mut self) -> io::Result<()> {
        self.file.flush()?;
        match self.places.take() {
            Some((beside, place)) => fs::rename(&beside, &place).inspect_err(|_| drop(fs::remove_file(&beside))),
            None => Ok(()),
        }
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.places {
            // Nobody asked for it; where it cannot be removed, it is in nobody's way.
            let _ = fs::remove_file(beside);
        }
    }
}

/// Writes a whole file.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Whole::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Adds to a file that others add to as well, in one piece.
pub(super) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    File::options().append(true).create(true).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_report_appears_whole_with_the_folders_above_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("target/reports/junit.xml");
        write(&path, b"old").expect("written");
        let mut file = Whole::create(&path).expect("begun");
        file.write_all(b"new").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"old");
        file.commit().expect("moved");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(names(path.parent().expect("a parent")), ["junit.xml"]);
    }

    #[test]
    fn a_report_that_was_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = Whole::create(&folder.path().join("report")).expect("begun");
        file.write_all(b"half").expect("written");
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        let folder = tempfile::tempdir().expect("a folder");
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        fs::write(&file, "old").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        write(&link, b"new").expect("written");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read(&file).expect("read"), b"new");
        write(Path::new("/dev/null"), b"gone").expect("written");
    }

    #[test]
    fn a_folder_in_its_place_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(write(folder.path(), b"x").is_err());
        fs::write(folder.path().join("file"), "").expect("written");
        assert!(write(&folder.path().join("file/report"), b"x").is_err());
    }
}
