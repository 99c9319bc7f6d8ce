//! Verdicts and imported timings into the rows of history.

use super::history::{self, COLUMNS, Scope};
use super::row::Row;
use super::write::Ids;
use regatta_domain::evidence::Observed;
use regatta_domain::history::{Queried, Queries, TestHistory};
use regatta_domain::{Micros, TestKey, Time, Verdict};
use regatta_wire::v1;
use rusqlite::{OptionalExtension as _, params};
use std::sync::Arc;

/// A test as a row names it.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) project: &'a Arc<str>,
    pub(super) suite: &'a Arc<str>,
    pub(super) path: &'a Arc<str>,
    pub(super) name: &'a Arc<str>,
    pub(super) key: TestKey,
}

impl Ids<'_> {
    /// A verdict teaches: with the duration on a worker of speed 1, and with what was seen of its databases.
    pub(super) fn learn(
        &mut self,
        named: Named<'_>,
        scope: &Scope,
        (verdict, duration): (Verdict, Option<Micros>),
        (observed, queried): (Option<Observed>, Option<Queried>),
        at: Time,
    ) -> rusqlite::Result<()> {
        // What was not run teaches nothing.
        if verdict == Verdict::NotRun {
            return Ok(());
        }
        let file = self.file(named.project, named.suite, named.path)?;
        let mut history = self.known(file, named.key, scope)?.unwrap_or_default();
        history.learn(verdict, duration, at);
        if let Some(observed) = observed {
            history.levels.push(observed);
        }
        if let Some(queried) = queried {
            history.queries.push(queried);
        }
        self.put(file, named, scope, &history)
    }

    /// A timing that was imported, where nothing was measured.
    pub(super) fn import(&mut self, row: &Row) -> rusqlite::Result<()> {
        let Row::Imported { project, suite, path, name, key, scope, mean, spread, at } = row else { return Ok(()) };
        let named = Named { project, suite, path, name, key: *key };
        let file = self.file(project, suite, path)?;
        let mut history = self.known(file, *key, scope)?.unwrap_or_default();
        if history.import(*mean, *spread, *at) { self.put(file, named, scope, &history) } else { Ok(()) }
    }

    /// What is known of a test: on its branch, else on the main line, from where the branch goes on.
    fn known(&self, file: i64, key: TestKey, scope: &Scope) -> rusqlite::Result<Option<TestHistory>> {
        let find = format!("SELECT {COLUMNS} FROM history WHERE file = ? AND key = ? AND branch = ? AND class = ?");
        let mut find = self.transaction.prepare_cached(&find)?;
        for branch in [&*scope.branch, ""] {
            let row = params![file, key.0, branch, &*scope.class];
            let found = find.query_row(row, |row| history::history(row, 0)).optional()?;
            if found.is_some() || branch.is_empty() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn put(&self, file: i64, named: Named<'_>, scope: &Scope, history: &TestHistory) -> rusqlite::Result<()> {
        let put = format!(
            "INSERT OR REPLACE INTO history (file, key, branch, class, name, {COLUMNS}, day)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        let TestHistory { runs, mean, variance, odd, passes, flakes, failures, skips, failing, imported, .. } =
            *history;
        let queries = (history.queries != Queries::default()).then(|| history.queries.to_bytes());
        self.execute(
            &put,
            params![
                file,
                named.key.0,
                &*scope.branch,
                &*scope.class,
                &**named.name,
                runs,
                mean,
                variance,
                odd,
                passes,
                flakes,
                failures,
                skips,
                failing,
                history.recent.0,
                history.last.map_or(0, |last| i32::from(v1::Verdict::from(last))),
                history.seen.0.cast_signed(),
                imported,
                history.levels.0,
                queries,
                self.day.cast_signed(),
            ],
        )
    }
}

/// What took `duration` on a worker of this speed, on one of speed 1.
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and speeds are positive"
)]
pub(super) fn at_speed_1(duration: Micros, speed: f64) -> Micros {
    if speed.is_finite() && speed > 0.0 { Micros((duration.0 as f64 * speed) as u64) } else { duration }
}
