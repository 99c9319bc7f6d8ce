//! An event as one line of the log: the log is the history.

use regatta_core::{Event, Work};
use std::fmt;

/// An event as one line, however much it holds.
pub(super) struct Line<'a>(pub(super) &'a Event);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::RunSubmitted { submission, .. } => {
                write!(f, "run submitted: project {}, {} suites", submission.project, submission.suites.len())
            }
            Event::SuiteDiscovered { suite, files, gone, .. } => {
                write!(f, "suite {suite} discovered: {} files joined, {} left", files.len(), gone.len())
            }
            Event::FileListed { token, file, tests, gone, .. } => {
                write!(f, "file {file} listed under {token}: {} tests joined, {} left", tests.len(), gone.len())
            }
            Event::FileFailed { token, file, error, .. } => {
                write!(f, "file {file} failed under {token}: {:?} at {}", error.kind, error.place)
            }
            Event::RunErred { error, .. } => write!(f, "run erred: {:?} at {}", error.kind, error.place),
            Event::WaitGivenUp { suite, error, .. } => {
                write!(f, "waiting given up in suite {suite}: {}", error.message)
            }
            Event::ShardLeased { token, worker, slot, work, .. } => {
                write!(f, "shard {token} leased to {worker} slot {slot}: ")?;
                match work {
                    Work::Discover(suite) => write!(f, "discover suite {suite}"),
                    Work::List(_, files) => write!(f, "list {} files", files.len()),
                    Work::Run(_, tests) => write!(f, "run {} tests", tests.len()),
                    Work::Again(_, test) => write!(f, "run test {test} a second time"),
                }
            }
            Event::ResultsAccepted { token, results, .. } => {
                write!(f, "{} results accepted under {token}", results.len())
            }
            Event::ResultsRefused { token, worker, results, .. } => {
                write!(f, "{} late results of {worker} refused under {token}", results.len())
            }
            Event::TestsGivenBack { token, tests, .. } => write!(f, "{} tests given back of {token}", tests.len()),
            Event::LeaseEnded { token, cause, blamed, .. } => {
                write!(f, "lease {token} ended: {cause:?}")?;
                blamed.map_or(Ok(()), |blamed| write!(f, ", under test {}: {}", blamed.test, blamed.cause))
            }
            Event::RunCancelled { cause, kill, .. } => write!(f, "run cancelled: {cause:?}, kill {kill}"),
            Event::RunClosing { .. } => f.write_str("run closing"),
            Event::WorkerClosed { worker, .. } => write!(f, "worker {worker} closed the run"),
            Event::RunEnded { outcome, .. } => write!(f, "run ended: {outcome:?}"),
            Event::RunForgotten { .. } => f.write_str("run forgotten"),
        }
    }
}
