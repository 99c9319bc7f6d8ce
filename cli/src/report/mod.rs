//! Reports: what a run came to, for machines and for pages that others show.
//!
//! Each format is a pure function of the [`View`] and the outputs that were fetched, but for the stream of events, which
//! is written while the run goes on. It leaves the terminal to `render`. Its invariant: a report appears whole or not at
//! all, and one that could not be written never changes what the tests came to.

pub(crate) mod annotation;
mod attempt;
mod ctrf;
mod event;
mod file;
mod github;
mod junit;
mod ndjson;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use event::schema as event_schema;
pub(crate) use ndjson::{Recording, Stream};
pub(crate) use source::Sources;

use crate::error::{Error as Told, Mistake};
use crate::exit::Exit;
use crate::render::Ending;
use crate::view::{Outputs, View};
use std::io;
use std::path::{Path, PathBuf};

/// A report that is written once the run has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// JUnit XML; more files beside it where one would grow too large.
    Junit(PathBuf),
    /// The Common Test Report Format.
    Ctrf(PathBuf),
    /// A summary in Markdown.
    Github(PathBuf),
    /// The same, added to the file that GitHub shows beside a job.
    StepSummary(PathBuf),
}

/// A report that could not be written.
#[derive(Debug)]
pub(crate) struct Error {
    format: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Target {
    /// Writes the report, and names the files that it became.
    ///
    /// # Errors
    /// When a file cannot be written; what stood there before still does.
    pub(crate) fn write(&self, view: &View, outputs: &Outputs, ending: &Ending<'_>) -> Result<Vec<PathBuf>, Error> {
        let sources = Sources::here();
        let (format, path, written) = match self {
            Self::Junit(path) => ("JUnit", path, junit::write(path, view, outputs, &sources, junit::EVERYWHERE)),
            Self::Ctrf(path) => ("CTRF", path, ctrf::write(path, view, outputs, &sources).map(|()| vec![path.clone()])),
            Self::Github(path) => {
                let text = github::summary(view, outputs, ending);
                ("GitHub", path, file::write(path, text.as_bytes()).map(|()| vec![path.clone()]))
            }
            Self::StepSummary(path) => {
                let text = github::summary(view, outputs, ending);
                ("GitHub", path, file::append(path, text.as_bytes()).map(|()| Vec::new()))
            }
        };
        written.map_err(|source| Error::new(format, path, source))
    }
}

impl Error {
    fn new(format: &'static str, path: &Path, source: io::Error) -> Self {
        Self { format, path: path.to_owned(), source }
    }
}

impl From<Error> for Told {
    fn from(error: Error) -> Self {
        let Error { format, path, source } = error;
        let what = format!("cannot write the {format} report to {}", path.display());
        let help = "the tests are not affected; once the path can be written to, `regatta report --report FORMAT=PATH` writes \
                    the report of the latest run";
        Self::new(Exit::Infrastructure, Mistake::new(what).because(&source).help(help))
    }
}

/// How a process ends that would have ended like this, had all its reports been written.
pub(crate) const fn exit_without_report(exit: Exit) -> Exit {
    match exit {
        Exit::Ok => Exit::Infrastructure,
        worse => worse,
    }
}
