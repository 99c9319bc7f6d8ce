//! A registry as a test left it: bounded, and never believed further than its last whole line.

use super::entry::Entry;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Lines that are looked at: a test that leaves more behind has a loop in it.
const LINES: usize = 1_000;

/// Bytes of one line.
const LINE_BYTES: usize = 64 * 1024;

/// The registries in `directory` whose names begin with `prefix`, the last of them first.
pub(crate) fn left(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    // Longer numbers are larger ones.
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    paths.reverse();
    paths
}

/// What a registry says.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// What is to be done, in the order in which it was written.
    pub(super) entries: Vec<Entry>,
    /// What is wrong with it.
    pub(super) faults: Vec<String>,
}

impl Registry {
    /// Reads the one at `path`.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut registry = Self::default();
        let (mut number, mut line) = (0, Vec::new());
        loop {
            line.clear();
            if file.by_ref().take(LINE_BYTES as u64 + 1).read_until(b'\n', &mut line)? == 0 {
                return Ok(registry);
            }
            number += 1;
            if number > LINES {
                registry.faults.push(format!("only the first {LINES} lines of the registry were performed"));
                return Ok(registry);
            }
            match line.pop() {
                Some(b'\n') => registry.take(number, &line),
                // A command that was cut off is another command: `rm -r /srv/data/x` begins with `rm -r /srv`.
                _ if line.len() < LINE_BYTES => {
                    registry.faults.push(format!("line {number} of the registry has no end, and was not performed"));
                }
                _ => {
                    let fault = format!("line {number} of the registry is longer than 64 KiB, and was not performed");
                    registry.faults.push(fault);
                    skip_line(&mut file)?;
                }
            }
        }
    }

    fn take(&mut self, number: usize, line: &[u8]) {
        let read = std::str::from_utf8(line).map_err(|_| "it is no UTF-8".to_owned()).and_then(Entry::read);
        match read {
            Ok(entry) => self.entries.extend(entry),
            Err(wrong) => self.faults.push(format!("line {number} of the registry was not performed: {wrong}")),
        }
    }
}

/// Passes over the rest of a line, however long it is.
fn skip_line(file: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = file.fill_buf()?;
        let (length, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        file.consume(length);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> (Vec<String>, Vec<String>) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("it can be written");
        let Registry { entries, faults } = Registry::read(file.path()).expect("it can be read");
        (entries.iter().map(ToString::to_string).collect(), faults)
    }

    #[test]
    fn a_line_without_an_end_is_never_performed() {
        let (entries, faults) = read(b"echo 1\n\necho 2\nrm -r /srv");
        assert_eq!(entries, ["echo 1", "echo 2"]);
        assert_eq!(faults, ["line 4 of the registry has no end, and was not performed"]);
    }

    #[test]
    fn what_is_too_long_or_too_much_is_said() {
        let mut text = vec![b'x'; LINE_BYTES];
        text.extend_from_slice(b"\n");
        text.extend(vec![b'y'; 3 * LINE_BYTES]);
        text.extend_from_slice(b"\n\xff\necho after\n");
        let (entries, faults) = read(&text);
        assert_eq!((entries.len(), entries[1].as_str()), (2, "echo after"), "a line at the bound is one");
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("line 2") && faults[0].contains("64 KiB"), "{faults:?}");
        assert!(faults[1].contains("line 3") && faults[1].contains("UTF-8"), "{faults:?}");
        let (entries, faults) = read("true\n".repeat(LINES + 7).as_bytes());
        assert_eq!((entries.len(), faults.len()), (LINES, 1));
    }
}
