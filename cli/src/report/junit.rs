//! JUnit XML in one dialect: Jenkins' and Surefire's, with what GitLab, Buildkite and the common GitHub actions read of it.
//!
//! `classname` is the file, and no two cases share classname and name: GitLab drops the second. Numbers of cases and bytes of
//! a file stay below what those systems take; beyond them the report goes on in `PATH-2`, `PATH-3`, ….

mod case;
mod part;

use super::Sources;
use super::file::Whole;
use crate::render::failure;
use crate::view::{Outputs, View};
use case::Names;
use part::Parts;
use std::io;
use std::path::{Path, PathBuf};

/// How much one file takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// So many cases.
    pub(super) cases: usize,
    /// So many bytes.
    pub(super) bytes: usize,
}

/// What every system takes: Buildkite 5,000 results of a file, GitLab less than 30 MB.
pub(super) const EVERYWHERE: Most = Most { cases: 5_000, bytes: 25_000_000 };

/// Writes the report into files that are no larger than this, and names them.
pub(super) fn write(
    path: &Path,
    view: &View,
    outputs: &Outputs,
    sources: &Sources,
    most: Most,
) -> io::Result<Vec<PathBuf>> {
    let mut names = Names::default();
    let mut written = Vec::new();
    let mut parts = Parts::new(view, most);
    let mut put = |part: quick_junit::Report| -> io::Result<()> {
        let place = numbered(path, written.len() + 1);
        let mut file = Whole::create(&place)?;
        part.serialize(&mut file).map_err(io::Error::other)?;
        file.commit()?;
        written.push(place);
        Ok(())
    };
    for (ix, _) in view.planned() {
        let suite = &view.suite_of(ix).name;
        if let Some(full) = parts.add(suite, case::of_test(view, ix, outputs, sources, &mut names)) {
            put(full)?;
        }
    }
    for (at, times) in failure::errors(view) {
        if let Some(full) = parts.add("regatta", case::of_error(view, at, times, sources, &mut names)) {
            put(full)?;
        }
    }
    if let Some(rest) = parts.finish() {
        put(rest)?;
    }
    Ok(written)
}

/// `junit.xml`, `junit-2.xml`, `junit-3.xml`, ….
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}
