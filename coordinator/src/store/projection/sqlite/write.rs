//! Writing the tables: rows gather, and go into them in one transaction with the cursor.

use super::{Shared, prune, recall};
use crate::store::Error;
use crate::store::projection::cache::cached;
use crate::store::projection::costs::Learnt;
use crate::store::projection::history::Scope;
use crate::store::projection::keep::Keep;
use crate::store::projection::learn::Lesson;
use crate::store::projection::row::{Row, signal_of, status_of};
use crate::store::projection::write::Sink;
use regatta_core::Refused;
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::result::TestResult;
use regatta_domain::{RunId, Time};
use regatta_wire::v1;
use regatta_wire::verdict::of_cause;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::sync::Arc;

/// The tables, to be written.
pub(in crate::store::projection) struct Tables {
    database: Shared,
    keep: Keep,
    cursor: u64,
    /// The day on which tests are seen; see `activity.rs`.
    day: u64,
}

impl Tables {
    pub(super) fn new(database: Shared, keep: Keep) -> Result<Self, Error> {
        let read = |connection: &mut Connection| {
            let cursor = connection.query_row("SELECT seq FROM cursor", [], |row| row.get::<_, i64>(0))?;
            Ok((cursor.cast_unsigned(), prune::activity(connection)?.day()))
        };
        let (cursor, day) = database.lock().run(read)?;
        Ok(Self { database, keep, cursor, day })
    }
}

impl Sink for Tables {
    fn cursor(&self) -> u64 {
        self.cursor
    }

    fn write(&mut self, rows: &[Row], cursor: u64) -> Result<(), Error> {
        let day = self.day;
        self.database.lock().run(|connection| {
            let transaction = connection.transaction()?;
            let mut batch = Ids { transaction: &transaction, day, run: None, file: None };
            rows.iter().try_for_each(|row| batch.write(row))?;
            transaction.prepare_cached("UPDATE cursor SET seq = ?")?.execute([cursor.cast_signed()])?;
            transaction.commit()
        })?;
        self.cursor = cursor;
        Ok(())
    }

    fn prune(&mut self, now: Time) -> Result<Option<Time>, Error> {
        let keep = self.keep;
        let (kept_from, day) = self.database.lock().run(|connection| prune::prune(connection, keep, now))?;
        self.day = day;
        Ok(kept_from)
    }
}

/// A transaction, and the ids that were looked up last: rows of the same run and file follow one another.
pub(super) struct Ids<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    /// The day on which tests are seen.
    pub(super) day: u64,
    run: Option<(RunId, i64, Scope)>,
    file: Option<(Place, i64)>,
}

/// Project, suite and path: what names a file.
type Place = [Arc<str>; 3];

impl Ids<'_> {
    fn write(&mut self, row: &Row) -> rusqlite::Result<()> {
        match row {
            Row::Run { run, project, submitted, listing, scope } => self.execute(
                "INSERT OR IGNORE INTO runs (run, project, submitted, listing, branch, class) VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    run.0.as_bytes(),
                    &**project,
                    submitted.0.cast_signed(),
                    listing,
                    &*scope.branch,
                    &*scope.class
                ],
            ),
            Row::Progress { run, counts, errors, ended } => self.progress(*run, *counts, *errors, *ended),
            Row::Event { run, seq, body } => {
                let run = self.run(*run)?;
                self.execute(
                    "INSERT OR REPLACE INTO events (run, seq, body) VALUES (?, ?, ?)",
                    params![run, seq.cast_signed(), body],
                )
            }
            Row::Attempt { run, result } => self.attempt(*run, result),
            Row::Refused { run, at, token, worker, refused } => {
                let run = self.run(*run)?;
                let Refused { test, attempt, outcome, started, duration } = *refused;
                self.execute(
                    "INSERT OR REPLACE INTO refused
                            (run, test, token, attempt, outcome, at, started, duration, worker)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    params![
                        run,
                        test.0,
                        token.0.cast_signed(),
                        attempt,
                        i32::from(v1::Outcome::from(outcome)),
                        at.0.cast_signed(),
                        started.0.cast_signed(),
                        duration.0.cast_signed(),
                        worker.0.as_bytes(),
                    ],
                )
            }
            Row::Verdict { .. } => self.verdict(row),
            Row::Imported { scope, .. } => self.lesson(row, scope),
            Row::Costs { run, project, suite, measured } => {
                let class = self.scope(*run)?.class;
                self.costs(project, suite, &class, *measured)
            }
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
                params![key.0, at.0.cast_signed(), cached(&**tests)],
            ),
            Row::FileList { project, suite, tree_key, files, at } => {
                let suite = self.suite(project, suite)?;
                self.execute(
                    "INSERT OR REPLACE INTO file_lists (suite, tree, seen, files) VALUES (?, ?, ?, ?)",
                    params![suite, &**tree_key, at.0.cast_signed(), cached(files)],
                )
            }
        }
    }

    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(params).map(drop)
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
            "INSERT OR REPLACE INTO attempts
                    (run, test, attempt, outcome, nuance, started, duration, reason, output, cause, status, signal)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                of_cause(result.cause),
                status_of(result.exit),
                signal_of(result.exit),
            ],
        )
    }

    fn verdict(&mut self, row: &Row) -> rusqlite::Result<()> {
        let Row::Verdict { run, test, key, verdict, cause, attempts, duration, .. } = row else { return Ok(()) };
        let scope = self.scope(*run)?;
        let run = self.run(*run)?;
        self.execute(
            "INSERT OR REPLACE INTO verdicts (run, test, key, verdict, attempts, duration, cause)
                VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                run,
                test.0,
                key.0,
                i32::from(v1::Verdict::from(*verdict)),
                attempts,
                duration.map(|duration| duration.0.cast_signed()),
                of_cause(*cause),
            ],
        )?;
        self.lesson(row, &scope)
    }

    fn lesson(&mut self, row: &Row, scope: &Scope) -> rusqlite::Result<()> {
        Lesson::of(row).map_or(Ok(()), |lesson| self.learn(&lesson, scope))
    }

    /// What a run measured of a suite.
    fn costs(&self, project: &str, suite: &str, class: &str, measured: Learnt) -> rusqlite::Result<()> {
        let suite = self.suite(project, suite)?;
        let find = "SELECT 1 FROM costs WHERE suite = ? AND class = ?";
        let is_known = self.transaction.prepare_cached(find)?.exists(params![suite, class])?;
        let mut known = if is_known { recall::costs(self.transaction, Some(suite), class)? } else { Learnt::default() };
        known.blend(measured);
        let [start, batch, file, test] = known.columns();
        self.execute(
            "INSERT OR REPLACE INTO costs (suite, class, start, batch, file, test) VALUES (?, ?, ?, ?, ?, ?)",
            params![suite, class, start, batch, file, test],
        )
    }

    fn run(&mut self, run: RunId) -> rusqlite::Result<i64> {
        self.found(run).map(|(id, _)| id)
    }

    /// Whose history the verdicts of a run are.
    fn scope(&mut self, run: RunId) -> rusqlite::Result<Scope> {
        self.found(run).map(|(_, scope)| scope.clone())
    }

    fn found(&mut self, run: RunId) -> rusqlite::Result<(i64, &Scope)> {
        if self.run.as_ref().is_none_or(|(last, ..)| *last != run) {
            let mut find = self.transaction.prepare_cached("SELECT id, branch, class FROM runs WHERE run = ?")?;
            let found = find.query_row([run.0.as_bytes()], |row| {
                let text = |at| row.get::<_, String>(at).map(Arc::from);
                Ok((run, row.get(0)?, Scope { branch: text(1)?, class: text(2)? }))
            })?;
            self.run = Some(found);
        }
        let (_, id, scope) = self.run.as_ref().expect("it was looked up just now");
        Ok((*id, scope))
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

    pub(super) fn file(&mut self, project: &Arc<str>, suite: &Arc<str>, path: &Arc<str>) -> rusqlite::Result<i64> {
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
