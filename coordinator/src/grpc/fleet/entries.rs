//! What a worker tells, on its way to the core: read within bounds, outputs put away, and what it found or listed made
//! into drafts by the planner.

use super::super::{Parts, on_disk};
use super::outputs::Outputs;
use crate::blobs::{Error, Unkept};
use crate::planner::Context;
use regatta_core::{Core, Entry};
use regatta_domain::limits::{ERRORS_PER_RUN, FILES_PER_RUN, TESTS_PER_SHARD};
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::result::{RunError, RunErrorKind, TestResult};
use regatta_domain::{FileIx, FileKey, TestIx, Time, Token};
use regatta_wire::v1::entry::Entry as Said;
use regatta_wire::{Failure, Invalid, Why, run_id, v1};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the core knows of the leases under which something was found or listed.
type Leases = BTreeMap<Token, Lease>;

/// Where a lease works, and the files that were listed under it.
struct Lease {
    context: Context,
    files: BTreeMap<FileIx, (Arc<str>, FileKey)>,
}

/// Reads the entries of a report.
pub(super) async fn read(parts: &Parts, said: Vec<v1::Entry>, outputs: &mut Outputs) -> Result<Vec<Entry>, Failure> {
    let asked: Vec<(Token, Option<FileIx>)> = said.iter().filter_map(places).collect();
    let leases = match asked.is_empty() {
        true => Leases::new(),
        false => parts.driver.look(move |core, _| leases(core, &asked)).await?,
    };
    let taken: Vec<Option<Vec<u8>>> = said.iter().map(|entry| output(entry, outputs)).collect();
    let reading = Reading { parts: parts.clone(), leases, now: Time(regatta_runtime::clock::now_us()) };
    if reading.leases.is_empty() && taken.iter().all(Option::is_none) {
        return reading.all(said, taken);
    }
    on_disk(move || reading.all(said, taken)).await
}

/// Where an entry was found or listed.
fn places(entry: &v1::Entry) -> Option<(Token, Option<FileIx>)> {
    match &entry.entry {
        Some(Said::Discovered(discovered)) => Some((Token(discovered.token), None)),
        Some(Said::Listed(listed)) => Some((Token(listed.token), Some(FileIx(listed.file)))),
        _ => None,
    }
}

fn leases(core: &Core, asked: &[(Token, Option<FileIx>)]) -> Leases {
    let mut leases = Leases::new();
    for &(token, file) in asked {
        let Some(lease) = core.state().leases.get(&token) else { continue };
        let Some(run) = core.state().run(lease.run) else { continue };
        let context = Context { run: lease.run, suite: lease.work.suite() };
        let known = leases.entry(token).or_insert_with(|| Lease { context, files: BTreeMap::new() });
        if let Some((file, found)) = file.and_then(|file| Some((file, run.files.get(file.at())?))) {
            known.files.insert(file, (Arc::clone(&found.path), found.key));
        }
    }
    leases
}

/// The output that belongs to an entry.
fn output(entry: &v1::Entry, outputs: &mut Outputs) -> Option<Vec<u8>> {
    match &entry.entry {
        Some(Said::Finished(v1::Finished { token, result: Some(result) })) => {
            outputs.take((Token(*token), TestIx(result.test), result.attempt))
        }
        Some(Said::Released(v1::Released { token }) | Said::Lost(v1::Lost { token })) => {
            outputs.drop_lease(Token(*token));
            None
        }
        _ => None,
    }
}

struct Reading {
    parts: Parts,
    leases: Leases,
    now: Time,
}

impl Reading {
    fn all(&self, said: Vec<v1::Entry>, outputs: Vec<Option<Vec<u8>>>) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::with_capacity(said.len());
        for (at, (said, output)) in said.into_iter().zip(outputs).enumerate() {
            // What is not known here comes from a newer worker, which does not depend on it.
            let Some(said) = said.entry else { continue };
            entries.extend(self.entry(said, output).map_err(|unread| match unread {
                Unread::Wrong(invalid) => invalid.within(format_args!("report.entries[{at}]")).into(),
                Unread::NotNow(failure) => failure,
            })?);
        }
        Ok(entries)
    }

    /// One entry; `None` where it is late, and the core would drop it.
    fn entry(&self, said: Said, output: Option<Vec<u8>>) -> Result<Option<Entry>, Unread> {
        Ok(Some(match said {
            Said::Discovered(discovered) => return self.discovered(discovered),
            Said::Listed(listed) => return self.listed(listed),
            Said::Erred(v1::Erred { token, file, error }) => {
                let error = error.ok_or_else(|| Invalid::new("erred.error", Why::Missing))?;
                let error = RunError::try_from(error).map_err(|invalid| invalid.within("erred.error"))?;
                Entry::Erred { token: Token(token), file: file.map(FileIx), error }
            }
            Said::Started(started) => Entry::Started { token: Token(started.token), test: TestIx(started.test) },
            Said::Finished(v1::Finished { token, result }) => {
                let result = result.ok_or_else(|| Invalid::new("finished.result", Why::Missing))?;
                let result = TestResult::try_from(result).map_err(|invalid| invalid.within("finished.result"))?;
                Entry::Finished { token: Token(token), result: self.with_output(result, output) }
            }
            Said::GaveBack(v1::GaveBack { token, tests }) => {
                let tests = within("gave_back.tests", tests, TESTS_PER_SHARD)?.into_iter().map(TestIx).collect();
                Entry::GaveBack { token: Token(token), tests }
            }
            Said::Released(released) => Entry::Released { token: Token(released.token) },
            Said::Closed(v1::Closed { run, errors }) => {
                let run = run_id("closed.run", &run)?;
                let errors = within("closed.errors", errors, ERRORS_PER_RUN)?.into_iter().map(RunError::try_from);
                Entry::Closed { run, errors: errors.collect::<Result<_, _>>()? }
            }
            Said::Draining(_) => Entry::Draining,
            Said::Lost(lost) => Entry::Lost { token: Token(lost.token) },
        }))
    }

    fn discovered(&self, discovered: v1::Discovered) -> Result<Option<Entry>, Unread> {
        let token = Token(discovered.token);
        let files = within("discovered.files", discovered.files, FILES_PER_RUN)?;
        let files: Vec<ListedFile> = files.into_iter().map(ListedFile::try_from).collect::<Result<_, _>>()?;
        let Some(lease) = self.leases.get(&token) else { return Ok(None) };
        Ok(Some(match self.parts.planner.discovered(&lease.context, files, self.now) {
            Ok(files) => Entry::Discovered { token, files },
            Err(failure) => not_planned(token, None, failure)?,
        }))
    }

    fn listed(&self, listed: v1::Listed) -> Result<Option<Entry>, Unread> {
        let (token, file) = (Token(listed.token), FileIx(listed.file));
        let tests: Vec<ListedTest> = listed.tests.into_iter().map(ListedTest::try_from).collect::<Result<_, _>>()?;
        let Some(lease) = self.leases.get(&token) else { return Ok(None) };
        let Some((path, key)) = lease.files.get(&file) else { return Ok(None) };
        Ok(Some(match self.parts.planner.listed(&lease.context, path, *key, tests, self.now) {
            Ok(tests) => Entry::Listed { token, file, tests },
            Err(failure) => not_planned(token, Some(file), failure)?,
        }))
    }

    /// The result with the address of its output. A result is worth more than its output: where that cannot be kept, the
    /// result stands, and its address says that there was some.
    fn with_output(&self, mut result: TestResult, output: Option<Vec<u8>>) -> TestResult {
        let kept = output.filter(|output| !output.is_empty()).map(|output| self.parts.blobs.put(&output));
        result.output = kept.map(|kept| {
            kept.unwrap_or_else(|Unkept { address, why }| {
                match why {
                    // That was told once, and how many it were is told at its end.
                    Error::TooMuchWaits { .. } => tracing::debug!(%why, "the output of a test is not kept"),
                    why => tracing::error!(%why, "the output of a test could not be kept"),
                }
                address
            })
        });
        result
    }
}

/// Why an entry was not read.
enum Unread {
    /// The worker says what no worker may say.
    Wrong(Invalid),
    /// It cannot be taken in at the moment: the worker keeps it, and says it again over its next connection.
    NotNow(Failure),
}

impl From<Invalid> for Unread {
    fn from(invalid: Invalid) -> Self {
        Self::Wrong(invalid)
    }
}

/// What was found could not be planned: not now, or the run is told, and ends red.
fn not_planned(token: Token, file: Option<FileIx>, failure: Failure) -> Result<Entry, Unread> {
    if failure.may_pass() {
        return Err(Unread::NotNow(failure));
    }
    let error = RunError {
        kind: RunErrorKind::Infrastructure,
        place: "coordinator".into(),
        message: format!("what a worker found could not be planned: {failure}").into(),
    };
    Ok(Entry::Erred { token, file, error })
}

fn within<T>(field: &str, items: Vec<T>, most: usize) -> Result<Vec<T>, Invalid> {
    match items.len() {
        found if found > most => Err(Invalid::new(field, Why::TooMany { most, found })),
        _ => Ok(items),
    }
}
