//! Writing: rows gather, and go into the tables in one transaction with the cursor.

use super::history::TestHistory;
use super::prune::{self, Keep};
use super::{Shared, read};
use crate::store::Error;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::result::{RunError, TestResult};
use regatta_domain::{FileKey, Micros, RunId, TestIx, TestKey, Time, Verdict};
use regatta_wire::v1;
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::sync::Arc;

/// The first byte of a cached list. A cache of another format is as good as none.
pub(super) const CACHE_VERSION: u8 = 1;

/// One thing to be written.
#[derive(Clone, Debug)]
pub enum Row {
    /// A run was handed in.
    Run {
        /// The run.
        run: RunId,
        /// Its project.
        project: Arc<str>,
        /// When.
        submitted: Time,
        /// Whether it only lists: no run to come back to.
        listing: bool,
    },
    /// How far a run is.
    Progress {
        /// The run.
        run: RunId,
        /// Its verdicts so far.
        counts: Counts,
        /// Its errors so far.
        errors: u32,
        /// How it ended, if it did.
        ended: Option<(Time, RunOutcome)>,
    },
    /// An event of a run's record.
    Event {
        /// The run.
        run: RunId,
        /// Its number in the run.
        seq: u64,
        /// The wire event.
        body: Vec<u8>,
    },
    /// An attempt that was accepted.
    Attempt {
        /// The run.
        run: RunId,
        /// What was reported of it.
        result: TestResult,
    },
    /// A test has its verdict.
    Verdict {
        /// The run.
        run: RunId,
        /// Its project.
        project: Arc<str>,
        /// The suite's name.
        suite: Arc<str>,
        /// The file's path.
        path: Arc<str>,
        /// The test's name.
        name: Arc<str>,
        /// The test.
        test: TestIx,
        /// What its history hangs on.
        key: TestKey,
        /// The verdict.
        verdict: Verdict,
        /// How many attempts it took.
        attempts: u16,
        /// How long the last one took, where there was one.
        duration: Option<Micros>,
        /// When.
        at: Time,
    },
    /// Something went wrong beside the tests.
    Error {
        /// The run.
        run: RunId,
        /// The how manieth of the run.
        number: u32,
        /// What.
        error: RunError,
    },
    /// The tests of a file, to be remembered by its content address.
    Listing {
        /// The content address.
        key: FileKey,
        /// All of its tests.
        tests: Arc<[ListedTest]>,
        /// When it was listed, or last used.
        at: Time,
    },
    /// The files of a suite, to be remembered by what the list depends on.
    FileList {
        /// The project.
        project: Arc<str>,
        /// The suite's name.
        suite: Arc<str>,
        /// What the list depends on.
        tree_key: Arc<str>,
        /// All of its files.
        files: Vec<ListedFile>,
        /// When.
        at: Time,
    },
}

/// The one that writes.
pub struct Writer {
    database: Shared,
    keep: Keep,
    cursor: u64,
}

impl Writer {
    pub(super) fn new(database: Shared, keep: Keep) -> Result<Self, Error> {
        let read = |connection: &mut rusqlite::Connection| {
            connection.query_row("SELECT seq FROM cursor", [], |row| row.get::<_, i64>(0))
        };
        let cursor = database.lock().run(read)?.cast_unsigned();
        Ok(Self { database, keep, cursor })
    }

    /// The last commit of the journal that is in the tables.
    #[must_use]
    pub const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Writes rows, and moves the cursor with them: all, or nothing.
    ///
    /// # Errors
    /// When the store refuses; nothing was written then.
    pub fn write(&mut self, rows: &[Row], cursor: u64) -> Result<(), Error> {
        self.database.lock().run(|connection| {
            let transaction = connection.transaction()?;
            let mut batch = Ids { transaction: &transaction, run: None, file: None };
            rows.iter().try_for_each(|row| batch.write(row))?;
            transaction.prepare_cached("UPDATE cursor SET seq = ?")?.execute([cursor.cast_signed()])?;
            transaction.commit()
        })?;
        self.cursor = cursor;
        Ok(())
    }

    /// Drops what is beyond the bounds. Gives the moment from which on runs are still kept, where any were dropped.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn prune(&mut self, now: Time) -> Result<Option<Time>, Error> {
        let keep = self.keep;
        self.database.lock().run(|connection| prune::prune(connection, keep, now))
    }
}

/// A transaction, and the ids that were looked up last: rows of the same run and file follow one another.
struct Ids<'a> {
    transaction: &'a Transaction<'a>,
    run: Option<(RunId, i64)>,
    file: Option<(Place, i64)>,
}

/// Project, suite and path: what names a file.
type Place = [Arc<str>; 3];

impl Ids<'_> {
    fn write(&mut self, row: &Row) -> rusqlite::Result<()> {
        match row {
            Row::Run { run, project, submitted, listing } => self.run_row(*run, project, *submitted, *listing),
            Row::Progress { run, counts, errors, ended } => self.progress(*run, *counts, *errors, *ended),
            Row::Event { run, seq, body } => {
                let run = self.run(*run)?;
                self.execute(
                    "INSERT OR REPLACE INTO events (run, seq, body) VALUES (?, ?, ?)",
                    params![run, seq.cast_signed(), body],
                )
            }
            Row::Attempt { run, result } => self.attempt(*run, result),
            Row::Verdict { .. } => self.verdict(row),
            Row::Error { run, number, error } => {
                let run = self.run(*run)?;
                let kind = i32::from(v1::RunErrorKind::from(error.kind));
                self.execute(
                    "INSERT OR REPLACE INTO errors (run, number, kind, place, message) VALUES (?, ?, ?, ?, ?)",
                    params![run, number, kind, &*error.place, &*error.message],
                )
            }
            Row::Listing { key, tests, at } => self.execute(
                "INSERT OR REPLACE INTO listings (key, seen, tests) VALUES (?, ?, ?)",
                params![key.0, at.0.cast_signed(), read::cached(&**tests)],
            ),
            Row::FileList { project, suite, tree_key, files, at } => {
                let suite = self.suite(project, suite)?;
                self.execute(
                    "INSERT OR REPLACE INTO file_lists (suite, tree, seen, files) VALUES (?, ?, ?, ?)",
                    params![suite, &**tree_key, at.0.cast_signed(), read::cached(files)],
                )
            }
        }
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(params).map(drop)
    }

    fn run_row(&self, run: RunId, project: &str, submitted: Time, listing: bool) -> rusqlite::Result<()> {
        self.execute(
            "INSERT OR IGNORE INTO runs (run, project, submitted, listing) VALUES (?, ?, ?, ?)",
            params![run.0.as_bytes(), project, submitted.0.cast_signed(), listing],
        )
    }

    fn progress(
        &mut self,
        run: RunId,
        counts: Counts,
        errors: u32,
        ended: Option<(Time, RunOutcome)>,
    ) -> rusqlite::Result<()> {
        let run = self.run(run)?;
        let outcome = ended.map_or(0, |(_, outcome)| i32::from(v1::RunOutcome::from(outcome)));
        let ended = ended.map(|(at, _)| at.0.cast_signed());
        let Counts { passed, flaky, failed, timed_out, crashed, not_run, skipped } = counts;
        self.execute(
            "UPDATE runs SET ended = ?, outcome = ?, passed = ?, flaky = ?, failed = ?, timed_out = ?, crashed = ?,
                not_run = ?, skipped = ?, errors = ? WHERE id = ?",
            params![ended, outcome, passed, flaky, failed, timed_out, crashed, not_run, skipped, errors, run],
        )
    }

    fn attempt(&mut self, run: RunId, result: &TestResult) -> rusqlite::Result<()> {
        let run = self.run(run)?;
        self.execute(
            "INSERT OR REPLACE INTO attempts (run, test, attempt, outcome, nuance, started, duration, reason, output)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                run,
                result.test.0,
                result.attempt,
                i32::from(v1::Outcome::from(result.outcome)),
                i32::from(v1::Nuance::from(result.nuance)),
                result.started.0.cast_signed(),
                result.duration.0.cast_signed(),
                result.reason.as_deref(),
                result.output.map(|output| output.digest.0),
            ],
        )
    }

    fn verdict(&mut self, row: &Row) -> rusqlite::Result<()> {
        let Row::Verdict { run, project, suite, path, name, test, key, verdict, attempts, duration, at } = row else {
            return Ok(());
        };
        let run = self.run(*run)?;
        self.execute(
            "INSERT OR REPLACE INTO verdicts (run, test, key, verdict, attempts, duration) VALUES (?, ?, ?, ?, ?, ?)",
            params![
                run,
                test.0,
                key.0,
                i32::from(v1::Verdict::from(*verdict)),
                attempts,
                duration.map(|duration| duration.0.cast_signed()),
            ],
        )?;
        // What was not run teaches nothing.
        if *verdict == Verdict::NotRun {
            return Ok(());
        }
        let file = self.file(project, suite, path)?;
        let find = "SELECT key, runs, mean, variance, failures, last, seen FROM history WHERE file = ? AND key = ?";
        let known = self.transaction.prepare_cached(find)?.query_row(params![file, key.0], read::history).optional()?;
        let mut history = known.map_or_else(TestHistory::default, |(_, history)| history);
        history.learn(*verdict, *duration, *at);
        let last = history.last.map_or(0, |last| i32::from(v1::Verdict::from(last)));
        let (seen, TestHistory { runs, mean, variance, failures, .. }) = (history.seen.0.cast_signed(), history);
        self.execute(
            "INSERT OR REPLACE INTO history (file, key, name, runs, mean, variance, failures, last, seen)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![file, key.0, &**name, runs, mean, variance, failures, last, seen],
        )
    }

    fn run(&mut self, run: RunId) -> rusqlite::Result<i64> {
        if let Some((last, id)) = self.run
            && last == run
        {
            return Ok(id);
        }
        let mut find = self.transaction.prepare_cached("SELECT id FROM runs WHERE run = ?")?;
        let id = find.query_row([run.0.as_bytes()], |row| row.get(0))?;
        self.run = Some((run, id));
        Ok(id)
    }

    fn suite(&self, project: &str, suite: &str) -> rusqlite::Result<i64> {
        let find = "SELECT id FROM suites WHERE project = ? AND name = ?";
        let found = self.transaction.prepare_cached(find)?.query_row([project, suite], |row| row.get(0)).optional()?;
        found.map_or_else(
            || {
                let add = "INSERT INTO suites (project, name) VALUES (?, ?)";
                self.transaction.prepare_cached(add)?.insert([project, suite])
            },
            Ok,
        )
    }

    fn file(&mut self, project: &Arc<str>, suite: &Arc<str>, path: &Arc<str>) -> rusqlite::Result<i64> {
        if let Some((last, id)) = &self.file
            && last.each_ref() == [project, suite, path]
        {
            return Ok(*id);
        }
        let in_suite = self.suite(project, suite)?;
        let find = "SELECT id FROM files WHERE suite = ? AND path = ?";
        let find = self.transaction.prepare_cached(find)?.query_row(params![in_suite, &**path], |row| row.get(0));
        let id = match find.optional()? {
            Some(id) => id,
            None => {
                let add = "INSERT INTO files (suite, path) VALUES (?, ?)";
                self.transaction.prepare_cached(add)?.insert(params![in_suite, &**path])?
            }
        };
        self.file = Some(([project, suite, path].map(Arc::clone), id));
        Ok(id)
    }
}
