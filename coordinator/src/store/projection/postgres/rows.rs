//! The rows that are written as they are: one statement for all of a kind.
//!
//! Of rows with the same key the last one counts, as if they were written one after the other; one statement must not meet a
//! row twice.

use super::names::{Runs, Suites};
use super::refused::Refused;
use super::{code, column, numbers, text};
use crate::store::projection::Row;
use crate::store::projection::cache::cached;
use crate::store::projection::row::{signal_of, status_of};
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::result::TestResult;
use regatta_domain::{FileKey, Micros, TestKey, Time, WorkerId};
use regatta_wire::v1;
use regatta_wire::verdict::of_cause;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

/// What is heard when a row that was taken for new is there.
const STALE: [SqlState; 2] = [SqlState::UNIQUE_VIOLATION, SqlState::IN_FAILED_SQL_TRANSACTION];

/// Rows of a kind, each with what it is found by.
type Keyed<K, V> = Vec<(K, V)>;

struct Verdict {
    key: TestKey,
    code: i16,
    cause: i32,
    attempts: u16,
    duration: Option<Micros>,
}

struct Failure<'a> {
    kind: i16,
    place: Cow<'a, str>,
    message: Cow<'a, str>,
}

/// A result that was refused.
struct Late {
    at: Time,
    worker: WorkerId,
    refused: regatta_core::Refused,
}

struct Progress {
    counts: Counts,
    errors: u32,
    ended: Option<(Time, RunOutcome)>,
}

/// The rows of a batch, by kind, in the order in which they lie on disk.
pub(super) struct Batch<'a> {
    /// By the run's number, the event's, and the part.
    events: Keyed<(i64, u64, i32), &'a [u8]>,
    /// By the run's number, the test's, that of the attempt, and the part.
    attempts: Keyed<(i64, u32, u16, i32), &'a TestResult>,
    /// By the run's number, the test's, and the part.
    verdicts: Keyed<(i64, u32, i32), Verdict>,
    /// By the run's number, and the error's.
    errors: Keyed<(i64, u32), Failure<'a>>,
    /// By the run's number, the test's, and the token.
    refused: Keyed<(i64, u32, u64), Late>,
    /// By the run's number.
    progress: Keyed<i64, Progress>,
    listings: Keyed<FileKey, (Time, Vec<u8>)>,
    /// By the suite's number, and the tree.
    file_lists: Keyed<(i64, Cow<'a, str>), (Time, Vec<u8>)>,
}

impl<'a> Batch<'a> {
    /// Sorts rows by kind.
    pub(super) fn of(rows: &'a [Row], runs: &Runs, suites: &Suites<'a>) -> Result<Self, Refused> {
        let (mut events, mut attempts, mut verdicts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut errors, mut refused, mut progress) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut listings, mut file_lists) = (BTreeMap::new(), BTreeMap::new());
        for row in rows {
            match row {
                Row::Event { run, seq, body } => {
                    let run = runs.get(*run)?;
                    events.insert((run.id, *seq, run.part), &body[..]);
                }
                Row::Attempt { run, result } => {
                    let run = runs.get(*run)?;
                    attempts.insert((run.id, result.test.0, result.attempt, run.part), result);
                }
                Row::Verdict { run, test, key, verdict, cause, attempts, duration, .. } => {
                    let run = runs.get(*run)?;
                    let code = code(v1::Verdict::from(*verdict).into());
                    let (cause, attempts) = (of_cause(*cause), *attempts);
                    let verdict = Verdict { key: *key, code, cause, attempts, duration: *duration };
                    verdicts.insert((run.id, test.0, run.part), verdict);
                }
                Row::Error { run, number, error } => {
                    let kind = code(v1::RunErrorKind::from(error.kind).into());
                    let failure = Failure { kind, place: text(&error.place), message: text(&error.message) };
                    errors.insert((runs.get(*run)?.id, *number), failure);
                }
                Row::Refused { run, at, token, worker, refused: late } => {
                    let key = (runs.get(*run)?.id, late.test.0, token.0);
                    refused.insert(key, Late { at: *at, worker: *worker, refused: *late });
                }
                Row::Progress { run, counts, errors, ended } => {
                    let stand = Progress { counts: *counts, errors: *errors, ended: *ended };
                    progress.insert(runs.get(*run)?.id, stand);
                }
                Row::Listing { key, tests, at } => {
                    listings.insert(*key, (*at, cached(&**tests)));
                }
                Row::FileList { project, suite, tree_key, files, at } => {
                    file_lists.insert((suites.get(project, suite), text(tree_key)), (*at, cached(files)));
                }
                // Others see to these.
                Row::Run { .. } | Row::Imported { .. } | Row::Costs { .. } => {}
            }
        }
        Ok(Self {
            events: events.into_iter().collect(),
            attempts: attempts.into_iter().collect(),
            verdicts: verdicts.into_iter().collect(),
            errors: errors.into_iter().collect(),
            refused: refused.into_iter().collect(),
            progress: progress.into_iter().collect(),
            listings: listings.into_iter().collect(),
            file_lists: file_lists.into_iter().collect(),
        })
    }

    /// Writes them. The statements are on their way together: none waits for the answer to the one before.
    pub(super) async fn write(&self, transaction: &mut Transaction<'_>) -> Result<(), Refused> {
        self.record(transaction).await?;
        let transaction = &*transaction;
        tokio::try_join!(
            self.errors(transaction),
            self.refused(transaction),
            self.progress(transaction),
            self.listings(transaction),
            self.file_lists(transaction),
        )?;
        Ok(())
    }

    /// Writes the record of runs: as rows that are new, which they are unless the journal was replaced by an older one. To look
    /// for each whether it is there would take a server twice as long.
    async fn record(&self, transaction: &mut Transaction<'_>) -> Result<(), Refused> {
        let fresh = transaction.savepoint("fresh").await?;
        let written = tokio::try_join!(self.events(&fresh, ""), self.attempts(&fresh, ""), self.verdicts(&fresh, ""));
        match written {
            Ok(_) => Ok(fresh.commit().await?),
            // Of several that are under way, it may be one behind it that is heard first.
            Err(Refused::Said(error)) if error.code().is_some_and(|code| STALE.contains(code)) => {
                fresh.rollback().await?;
                tokio::try_join!(
                    self.events(transaction, "ON CONFLICT (run, seq, part) DO UPDATE SET body = excluded.body"),
                    self.attempts(
                        transaction,
                        "ON CONFLICT (run, test, attempt, part) DO UPDATE SET outcome = excluded.outcome,
                            nuance = excluded.nuance, started = excluded.started, duration = excluded.duration,
                            reason = excluded.reason, output = excluded.output, cause = excluded.cause,
                            status = excluded.status, signal = excluded.signal"
                    ),
                    self.verdicts(
                        transaction,
                        "ON CONFLICT (run, test, part) DO UPDATE SET key = excluded.key, verdict = excluded.verdict,
                            attempts = excluded.attempts, duration = excluded.duration, cause = excluded.cause"
                    ),
                )?;
                Ok(())
            }
            Err(refused) => Err(refused),
        }
    }

    async fn events(&self, transaction: &Transaction<'_>, otherwise: &str) -> Result<(), Refused> {
        let rows = &self.events;
        if rows.is_empty() {
            return Ok(());
        }
        let put = format!(
            "INSERT INTO regatta.events (run, seq, part, body)
                SELECT $1[i + 1], $1[i + 2], $1[i + 3], body FROM (
                    SELECT body, (at::int - 1) * 3 AS i FROM unnest($2::bytea[]) WITH ORDINALITY a (body, at) OFFSET 0
                ) a {otherwise}"
        );
        let numbers = numbers(rows, |((run, seq, part), _)| [*run, seq.cast_signed(), i64::from(*part)]);
        let columns = [(&numbers as _, Type::INT8_ARRAY), (&column(rows, |row| row.1) as _, Type::BYTEA_ARRAY)];
        transaction.execute_typed(&put, &columns).await?;
        Ok(())
    }

    async fn attempts(&self, transaction: &Transaction<'_>, otherwise: &str) -> Result<(), Refused> {
        let rows = &self.attempts;
        if rows.is_empty() {
            return Ok(());
        }
        // No status and no signal are -1.
        let put = format!(
            "INSERT INTO regatta.attempts
                    (run, test, attempt, part, outcome, nuance, started, duration, cause, status, signal, reason, output)
                SELECT $1[i + 1], $1[i + 2], $1[i + 3], $1[i + 4], $1[i + 5], $1[i + 6], $1[i + 7], $1[i + 8],
                    $1[i + 9], nullif($1[i + 10], -1), nullif($1[i + 11], -1), reason, output
                FROM (
                    SELECT reason, output, (at::int - 1) * 11 AS i
                    FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY a (reason, output, at) OFFSET 0
                ) a {otherwise}"
        );
        let numbers = numbers(rows, |((run, test, attempt, part), result)| {
            let outcome = i32::from(v1::Outcome::from(result.outcome));
            let nuance = i32::from(v1::Nuance::from(result.nuance));
            let (started, duration) = (result.started.0.cast_signed(), result.duration.0.cast_signed());
            let (test, cause) = (test.cast_signed().into(), of_cause(result.cause).into());
            let ends = [status_of(result.exit), signal_of(result.exit)].map(|end| end.unwrap_or(-1).into());
            let (attempt, part) = ((*attempt).into(), (*part).into());
            let ([status, signal], outcome, nuance) = (ends, outcome.into(), nuance.into());
            [*run, test, attempt, part, outcome, nuance, started, duration, cause, status, signal]
        });
        let columns = [
            (&numbers as _, Type::INT8_ARRAY),
            (&column(rows, |row| row.1.reason.as_deref().map(text)) as _, Type::TEXT_ARRAY),
            (&column(rows, |row| row.1.output.as_ref().map(|output| &output.digest.0[..])) as _, Type::BYTEA_ARRAY),
        ];
        transaction.execute_typed(&put, &columns).await?;
        Ok(())
    }

    async fn verdicts(&self, transaction: &Transaction<'_>, otherwise: &str) -> Result<(), Refused> {
        let rows = &self.verdicts;
        if rows.is_empty() {
            return Ok(());
        }
        // No duration is -1.
        let put = format!(
            "INSERT INTO regatta.verdicts (run, test, part, verdict, attempts, duration, cause, key)
                SELECT $1[i + 1], $1[i + 2], $1[i + 3], $1[i + 4], $1[i + 5], nullif($1[i + 6], -1), $1[i + 7], key FROM (
                    SELECT key, (at::int - 1) * 7 AS i FROM unnest($2::bytea[]) WITH ORDINALITY a (key, at) OFFSET 0
                ) a {otherwise}"
        );
        let numbers = numbers(rows, |((run, test, part), verdict)| {
            let duration = verdict.duration.map_or(-1, |duration| duration.0.cast_signed());
            let test = test.cast_signed();
            let (code, attempts) = (verdict.code.into(), verdict.attempts.into());
            [*run, test.into(), (*part).into(), code, attempts, duration, verdict.cause.into()]
        });
        let columns =
            [(&numbers as _, Type::INT8_ARRAY), (&column(rows, |row| &row.1.key.0[..]) as _, Type::BYTEA_ARRAY)];
        transaction.execute_typed(&put, &columns).await?;
        Ok(())
    }

    async fn errors(&self, transaction: &Transaction<'_>) -> Result<(), Refused> {
        let rows = &self.errors;
        if rows.is_empty() {
            return Ok(());
        }
        let put = "INSERT INTO regatta.errors (run, number, kind, place, message)
            SELECT * FROM unnest($1::bigint[], $2::int[], $3::smallint[], $4::text[], $5::text[])
            ON CONFLICT (run, number) DO UPDATE SET
                kind = excluded.kind, place = excluded.place, message = excluded.message";
        let columns = [
            (&column(rows, |row| row.0.0) as _, Type::INT8_ARRAY),
            (&column(rows, |row| row.0.1.cast_signed()) as _, Type::INT4_ARRAY),
            (&column(rows, |row| row.1.kind) as _, Type::INT2_ARRAY),
            (&column(rows, |row| &*row.1.place) as _, Type::TEXT_ARRAY),
            (&column(rows, |row| &*row.1.message) as _, Type::TEXT_ARRAY),
        ];
        transaction.execute_typed(put, &columns).await?;
        Ok(())
    }

    async fn refused(&self, transaction: &Transaction<'_>) -> Result<(), Refused> {
        let rows = &self.refused;
        if rows.is_empty() {
            return Ok(());
        }
        let put = "INSERT INTO regatta.refused (run, test, token, attempt, outcome, at, started, duration, worker)
            SELECT $1[i + 1], $1[i + 2], $1[i + 3], $1[i + 4], $1[i + 5], $1[i + 6], $1[i + 7], $1[i + 8], worker
            FROM (
                SELECT worker, (at::int - 1) * 8 AS i FROM unnest($2::uuid[]) WITH ORDINALITY a (worker, at) OFFSET 0
            ) a
            ON CONFLICT (run, test, token) DO UPDATE SET attempt = excluded.attempt, outcome = excluded.outcome,
                at = excluded.at, started = excluded.started, duration = excluded.duration, worker = excluded.worker";
        let numbers = numbers(rows, |((run, test, token), late)| {
            let regatta_core::Refused { attempt, outcome, started, duration, .. } = late.refused;
            let outcome = i32::from(v1::Outcome::from(outcome));
            let (test, token, attempt) = (test.cast_signed().into(), token.cast_signed(), attempt.into());
            let [at, started, duration] = [late.at.0, started.0, duration.0].map(u64::cast_signed);
            [*run, test, token, attempt, outcome.into(), at, started, duration]
        });
        let workers = column(rows, |row| row.1.worker.0);
        transaction.execute_typed(put, &[(&numbers as _, Type::INT8_ARRAY), (&workers as _, Type::UUID_ARRAY)]).await?;
        Ok(())
    }

    async fn progress(&self, transaction: &Transaction<'_>) -> Result<(), Refused> {
        let rows = &self.progress;
        if rows.is_empty() {
            return Ok(());
        }
        let put = "UPDATE regatta.runs r SET ended = p.ended, outcome = p.outcome, passed = p.passed, flaky = p.flaky,
                failed = p.failed, timed_out = p.timed_out, crashed = p.crashed, not_run = p.not_run,
                skipped = p.skipped, errors = p.errors
            FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::int[], $5::int[], $6::int[], $7::int[],
                $8::int[], $9::int[], $10::int[], $11::int[])
                AS p (id, ended, outcome, passed, flaky, failed, timed_out, crashed, not_run, skipped, errors)
            WHERE r.id = p.id";
        let ended = |ended: Option<(Time, RunOutcome)>| ended.map(|(at, _)| at.0.cast_signed());
        let outcome = |ended: Option<(Time, RunOutcome)>| {
            code(ended.map_or(0, |(_, outcome)| v1::RunOutcome::from(outcome).into()))
        };
        let count = |of: fn(&Counts) -> u32| column(rows, move |row| of(&row.1.counts).cast_signed());
        let columns = [
            (&column(rows, |row| row.0) as _, Type::INT8_ARRAY),
            (&column(rows, |row| ended(row.1.ended)) as _, Type::INT8_ARRAY),
            (&column(rows, |row| outcome(row.1.ended)) as _, Type::INT2_ARRAY),
            (&count(|counts| counts.passed) as _, Type::INT4_ARRAY),
            (&count(|counts| counts.flaky) as _, Type::INT4_ARRAY),
            (&count(|counts| counts.failed) as _, Type::INT4_ARRAY),
            (&count(|counts| counts.timed_out) as _, Type::INT4_ARRAY),
            (&count(|counts| counts.crashed) as _, Type::INT4_ARRAY),
            (&count(|counts| counts.not_run) as _, Type::INT4_ARRAY),
            (&count(|counts| counts.skipped) as _, Type::INT4_ARRAY),
            (&column(rows, |row| row.1.errors.cast_signed()) as _, Type::INT4_ARRAY),
        ];
        transaction.execute_typed(put, &columns).await?;
        Ok(())
    }

    async fn listings(&self, transaction: &Transaction<'_>) -> Result<(), Refused> {
        let rows = &self.listings;
        if rows.is_empty() {
            return Ok(());
        }
        let put = "INSERT INTO regatta.listings (key, seen, tests)
            SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])
            ON CONFLICT (key) DO UPDATE SET seen = excluded.seen, tests = excluded.tests";
        let columns = [
            (&column(rows, |row| &row.0.0[..]) as _, Type::BYTEA_ARRAY),
            (&column(rows, |row| row.1.0.0.cast_signed()) as _, Type::INT8_ARRAY),
            (&column(rows, |row| &row.1.1[..]) as _, Type::BYTEA_ARRAY),
        ];
        transaction.execute_typed(put, &columns).await?;
        Ok(())
    }

    async fn file_lists(&self, transaction: &Transaction<'_>) -> Result<(), Refused> {
        let rows = &self.file_lists;
        if rows.is_empty() {
            return Ok(());
        }
        let put = "INSERT INTO regatta.file_lists (suite, tree, seen, files)
            SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])
            ON CONFLICT (suite, tree) DO UPDATE SET seen = excluded.seen, files = excluded.files";
        let columns = [
            (&column(rows, |row| row.0.0) as _, Type::INT8_ARRAY),
            (&column(rows, |row| &*row.0.1) as _, Type::TEXT_ARRAY),
            (&column(rows, |row| row.1.0.0.cast_signed()) as _, Type::INT8_ARRAY),
            (&column(rows, |row| &row.1.1[..]) as _, Type::BYTEA_ARRAY),
        ];
        transaction.execute_typed(put, &columns).await?;
        Ok(())
    }
}
