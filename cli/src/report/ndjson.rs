//! The stream of events: one JSON object a line, written while the run goes on.

use super::event::{
    Asked, Attempt, Counts, Database, Event, Exit, Finished, Line, Loss, Output, Planned, Queried, Statement, Suite,
    Version,
};
use super::file::Whole;
use super::{Error, attempt};
use crate::render::Ending;
use crate::view::{self, News, View};
use regatta_domain::database::Observation;
use regatta_domain::{FileIx, TestIx, Time, Verdict, history};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Tests in one line: at about 150 bytes each, a line stays below a megabyte.
const TESTS_PER_LINE: usize = 5_000;

/// A stream of events. It is flushed with the news of each event that it is given.
#[derive(Debug)]
pub(crate) struct Stream<W: Write> {
    writer: BufWriter<W>,
    files: usize,
    tests: usize,
}

impl<W: Write> Stream<W> {
    /// A stream to which nothing was written.
    pub(crate) fn new(writer: W) -> Self {
        Self { writer: BufWriter::new(writer), files: 0, tests: 0 }
    }

    /// Writes what is new.
    ///
    /// # Errors
    /// When it cannot be written: whoever reads the stream is gone.
    pub(crate) fn news(&mut self, view: &View, news: &[News]) -> io::Result<()> {
        for news in news {
            if matches!(news, News::Planned) {
                self.planned(view)?;
            } else if let Some(event) = event(view, news) {
                self.line(view.at, event)?;
            }
        }
        self.writer.flush()
    }

    /// Writes the last events.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn finish(&mut self, view: &View, ending: &Ending<'_>) -> io::Result<()> {
        for (test, slower) in ending.usual.map(|usual| usual.slower(view)).unwrap_or_default() {
            self.line(
                view.at,
                Event::TestAskedMore {
                    suite: suite_name(view, test),
                    id: view.id(test),
                    now: queried(slower.now),
                    usual: queried(slower.usual),
                    more_calls: slower.more_calls,
                    more_time: slower.more_time,
                },
            )?;
        }
        self.line(view.at, Event::RunFinished(Box::new(finished(view, ending))))?;
        self.writer.flush()
    }

    /// The files and tests that are new since the last time.
    fn planned(&mut self, view: &View) -> io::Result<()> {
        for files in view.files[self.files..].chunk_by(|a, b| a.suite == b.suite) {
            for part in files.chunks(TESTS_PER_LINE) {
                let suite = &view.suites[part[0].suite.at()].name;
                let files = part.iter().map(|file| &*file.path).collect();
                self.line(view.at, Event::FilesPlanned { suite, files })?;
            }
        }
        self.files = view.files.len();
        let mut at = self.tests;
        for tests in view.tests[self.tests..].chunk_by(|a, b| a.file == b.file) {
            for part in tests.chunks(TESTS_PER_LINE) {
                let file = &view.files[part[0].file.at()];
                let suite = &view.suites[file.suite.at()].name;
                let tests = part
                    .iter()
                    .enumerate()
                    .map(|(offset, test)| planned(view, TestIx::nth(at + offset), test))
                    .collect();
                self.line(view.at, Event::TestsPlanned { suite, file: &file.path, tests })?;
                at += part.len();
            }
        }
        self.tests = view.tests.len();
        Ok(())
    }

    fn line(&mut self, at: Time, event: Event<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, &Line { v: Version, at: seconds(at), event })?;
        self.writer.write_all(b"\n")
    }
}

/// A stream that becomes a file when the run has ended.
#[derive(Debug)]
pub(crate) struct Recording {
    stream: Stream<Whole>,
    path: PathBuf,
}

impl Recording {
    /// Begins a recording that is to appear at this path.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = Whole::create(path).map_err(|source| Error::new("ndjson", path, source))?;
        Ok(Self { stream: Stream::new(file), path: path.to_owned() })
    }

    /// Records what is new.
    ///
    /// # Errors
    /// When it cannot be written: the recording is of no use any more.
    pub(crate) fn news(&mut self, view: &View, news: &[News]) -> Result<(), Error> {
        self.stream.news(view, news).map_err(|source| Error::new("ndjson", &self.path, source))
    }

    /// Records the last event, and lets the file appear.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self, view: &View, ending: &Ending<'_>) -> Result<PathBuf, Error> {
        let finished = self.stream.finish(view, ending);
        let (file, _) = self.stream.writer.into_parts();
        match finished.and_then(|()| file.commit()) {
            Ok(()) => Ok(self.path),
            Err(source) => Err(Error::new("ndjson", &self.path, source)),
        }
    }
}

fn event<'a>(view: &'a View, news: &'a News) -> Option<Event<'a>> {
    Some(match news {
        News::Submitted => Event::RunStarted {
            run: view.run.to_string(),
            project: &view.project,
            regatta: env!("CARGO_PKG_VERSION"),
            suites: view.suites.iter().map(suite).collect(),
            seed: view.policy.shuffle,
        },
        News::Gone(test) => Event::TestGone { suite: suite_name(view, *test), id: view.id(*test) },
        News::Leased(token) => {
            let lease = view.leases.get(token)?;
            Event::ShardLeased { lease: *token, worker: &lease.worker, slot: lease.slot, discovers: lease.discovers }
        }
        News::Started(test) => {
            let running = view.running.get(test)?;
            Event::TestStarted {
                suite: suite_name(view, *test),
                id: view.id(*test),
                worker: &running.worker,
                slot: running.slot,
            }
        }
        News::Retried(test) => Event::TestRetried {
            suite: suite_name(view, *test),
            id: view.id(*test),
            attempt: view.test(*test).last().map(attempt_of)?,
        },
        News::Lost(test) => Event::TestLost {
            suite: suite_name(view, *test),
            id: view.id(*test),
            loss: view.test(*test).lost.last().filter(|loss| loss.number > 0).map(loss),
        },
        News::Refused(test, at) => {
            let late = view.test(*test).refused.get(*at)?;
            Event::TestRefused {
                suite: suite_name(view, *test),
                id: view.id(*test),
                lease: late.token,
                attempt: late.number,
                outcome: late.outcome.into(),
                duration_s: late.duration.as_secs_f64(),
            }
        }
        News::Verdict(test, verdict) => {
            let found = view.test(*test);
            let deciding = attempt::deciding(found, *verdict);
            let untold = deciding.is_none_or(|attempt| attempt.cause.is_none());
            Event::TestFinished {
                suite: suite_name(view, *test),
                id: view.id(*test),
                verdict: (*verdict).into(),
                attempts: attempt::count(found),
                cause: found.cause.filter(|_| untold).map(Into::into),
                attempt: deciding.map(attempt_of),
            }
        }
        News::Erred(at) => {
            let error = &view.errors[*at].error;
            let path = |file: FileIx| view.files.get(file.at()).map(|file| &*file.path);
            Event::Error {
                kind: error.kind.into(),
                place: &error.place,
                message: &error.message,
                file: view.errors[*at].file.and_then(path),
            }
        }
        News::Note(text) => Event::Note { text },
        News::Cancelled(cause) => Event::RunCancelled { cause: (*cause).into() },
        // Files and tests are written as lists; the end is written once the exit code is known.
        News::Planned | News::Closing | News::Ended(_) => return None,
    })
}

fn finished(view: &View, ending: &Ending<'_>) -> Finished {
    let (tally, summary) = (view.tally(), view.summary(ending.slots));
    let count = |wanted: Verdict| {
        let tests = view.planned().filter(|(_, test)| test.verdict == Some(wanted)).count();
        u32::try_from(tests).unwrap_or(u32::MAX)
    };
    Finished {
        outcome: view.outcome.map(Into::into),
        exit: Exit { code: ending.exit.code(), name: ending.exit.name() },
        counts: Counts {
            passed: tally.passed,
            failed: tally.failed,
            skipped: tally.skipped,
            xfailed: tally.xfailed,
            xpassed: tally.xpassed,
            errors: tally.errors,
            flaky: tally.flaky,
            timed_out: count(Verdict::TimedOut),
            crashed: count(Verdict::Crashed),
            not_run: tally.not_run,
        },
        causes: view.causes().into_iter().map(|(cause, tests)| (cause.into(), tests)).collect(),
        wall_s: summary.wall.as_secs_f64(),
        bound_s: summary.bound.as_secs_f64(),
        work_s: summary.work.as_secs_f64(),
        slots: summary.slots,
        ratio: summary.ratio(),
        started_at: seconds(view.submitted),
        first_lease_s: view.first_lease.map(|first| first.since(view.submitted).as_secs_f64()),
    }
}

fn suite(suite: &view::Suite) -> Suite<'_> {
    Suite { name: &suite.name, runner: &suite.runner, root: &suite.root }
}

fn suite_name(view: &View, test: TestIx) -> &str {
    &view.suite_of(test).name
}

fn planned(view: &View, ix: TestIx, test: &view::Test) -> Planned {
    Planned { id: view.id(ix), estimate_s: test.estimate.as_secs_f64(), known: test.known }
}

fn attempt_of(attempt: &view::Attempt) -> Attempt<'_> {
    Attempt {
        attempt: attempt.number,
        outcome: attempt.outcome.into(),
        nuance: attempt.nuance.into(),
        cause: attempt.cause.map(Into::into),
        exit: attempt.exit.map(Into::into),
        began_at: seconds(attempt.started),
        duration_s: attempt.duration.as_secs_f64(),
        reason: attempt.reason.as_deref(),
        worker: attempt.slot.as_ref().map(|(worker, _)| worker.as_str()),
        slot: attempt.slot.as_ref().map(|(_, slot)| *slot),
        output: attempt.output.map(|output| Output { digest: output.digest.to_string(), size: output.size }),
        database: attempt.observation.as_deref().map(|seen| Database {
            leased: seen.leased.name(),
            seen: seen.seen.name(),
            denied: seen.denied,
            notes: seen.notes.iter().map(|note| &**note).collect(),
            asked: asked(seen),
        }),
    }
}

fn loss(loss: &view::Loss) -> Loss<'_> {
    Loss {
        attempt: loss.number,
        cause: loss.cause.into(),
        ran_s: loss.ran.as_secs_f64(),
        worker: loss.slot.as_ref().map(|(worker, _)| worker.as_str()),
        slot: loss.slot.as_ref().map(|(_, slot)| *slot),
    }
}

fn asked(seen: &Observation) -> Option<Asked<'_>> {
    let asked = seen.asked.as_ref()?;
    let top = asked.top.iter();
    let top =
        top.map(|one| Statement { text: &one.text, calls: one.calls, rows: one.rows, time_s: one.time.as_secs_f64() });
    Some(Asked {
        calls: asked.calls,
        time_s: asked.time.as_secs_f64(),
        whole: seen.asked_in_all().is_some(),
        top: top.collect(),
    })
}

fn queried(queried: history::Queried) -> Queried {
    Queried { calls: queried.calls, time_s: queried.time.as_secs_f64() }
}

/// A moment in seconds since the Unix epoch; exact to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
fn seconds(time: Time) -> f64 {
    time.0 as f64 / 1e6
}
