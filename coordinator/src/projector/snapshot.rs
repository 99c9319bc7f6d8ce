//! The translator as bytes: the state that the core goes on from, and what was told of each run. And when it is time to
//! keep them.
//!
//! Postcard carries no names, so any change to the shape of the state is a new version, as with events in the journal. What
//! such bytes are is checked by whoever keeps them.

use super::translate::{Tale, Translator};
use regatta_core::{Event, Run, State};
use regatta_domain::submission::FileDraft;
use regatta_domain::{RunId, Time};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

/// The first byte.
const VERSION: u8 = 2;

/// Values are written in small pieces: so many bytes of them gather first.
const GATHERED: usize = 64 * 1024;

/// What is kept: when the last commit in it was made, and everything that it led to.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    at: Time,
    state: Cow<'a, State>,
    runs: Cow<'a, BTreeMap<RunId, Tale>>,
}

/// Writes a translator that has taken in everything up to a commit of that moment.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(translator: &Translator, at: Time, to: &mut dyn Write) -> io::Result<()> {
    let kept = Kept { at, state: Cow::Borrowed(translator.state()), runs: Cow::Borrowed(translator.runs()) };
    let mut to = Remembering { to: BufWriter::with_capacity(GATHERED, to), error: None };
    to.write_all(&[VERSION])?;
    match postcard::to_io(&kept, &mut to) {
        Ok(to) => to.to.flush(),
        Err(error) => Err(to.error.unwrap_or_else(|| io::Error::other(error))),
    }
}

/// Reads what was written so; or why not.
pub(super) fn read(bytes: &[u8]) -> Result<(Translator, Time), String> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            let kept: Kept<'static> =
                postcard::from_bytes(rest).map_err(|error| format!("it does not decode: {error}"))?;
            let Kept { at, state, runs } = kept;
            Ok((Translator::resume(state.into_owned(), runs.into_owned()), at))
        }
        Some((version, _)) => Err(format!("it is written in format {version}, and this program knows {VERSION}")),
        None => Err("it is empty".to_owned()),
    }
}

/// Postcard says that it could not write, and not why.
struct Remembering<W> {
    to: W,
    error: Option<io::Error>,
}

impl<W: Write> Write for Remembering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).map_err(|error| {
            let kind = error.kind();
            self.error = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Less than this is not worth a snapshot: it is replayed in half a second.
const WORTH: u64 = 500_000;

/// What there is to do about these events when they are replayed or written: so many tests and results.
pub(super) fn weight(events: &[Event]) -> u64 {
    let tests =
        |files: &[FileDraft]| -> usize { files.iter().map(|file| 1 + file.tests.as_ref().map_or(0, Vec::len)).sum() };
    let weight = |event: &Event| match event {
        Event::RunSubmitted { submission, .. } => submission.suites.iter().map(|suite| tests(&suite.files)).sum(),
        Event::SuiteDiscovered { files, .. } => tests(files),
        Event::FileListed { tests, .. } => tests.len(),
        Event::ResultsAccepted { results, .. } => results.len(),
        _ => 1,
    };
    events.iter().map(weight).map(|weight| weight.max(1) as u64).sum()
}

/// Whether what was done since the last snapshot is worth another one.
///
/// As much has to have been done as there are tests to be written down: so a snapshot costs about as much as what it saves,
/// once. A start reads at most one snapshot, and about as much journal again.
pub(super) fn is_due(state: &State, done: u64) -> bool {
    let size = |run: &Run| run.tests.len() + run.files.len();
    done >= WORTH && done >= state.runs.values().map(size).sum::<usize>() as u64
}
