//! The tables.

use crate::store::database::Schema;

/// What is known over all runs. A macro, since `concat!` takes nothing but literals, and both a new file and one of
/// version 1 get these tables.
macro_rules! history_tables {
    () => {
        "
        -- What is known of a test, on a branch (empty for the main line) and a class of machines. Durations as logarithms
        -- of microseconds on a worker of speed 1. `day` is that of the clock below.
        CREATE TABLE history (
            file INTEGER NOT NULL, key BLOB NOT NULL, branch TEXT NOT NULL, class TEXT NOT NULL, name TEXT NOT NULL,
            runs INTEGER NOT NULL, mean REAL NOT NULL, variance REAL NOT NULL, odd REAL,
            passes INTEGER NOT NULL, flakes INTEGER NOT NULL, failures INTEGER NOT NULL, skips INTEGER NOT NULL,
            failing REAL NOT NULL, recent INTEGER NOT NULL, last INTEGER NOT NULL, seen INTEGER NOT NULL,
            imported INTEGER NOT NULL, day INTEGER NOT NULL,
            -- The levels at which it was seen lately.
            levels INTEGER NOT NULL DEFAULT 0,
            -- How much it asked of its databases lately: calls and microseconds, in four bytes each; NULL for most.
            queries BLOB,
            PRIMARY KEY (file, key, branch, class)
        ) WITHOUT ROWID;

        -- What a suite costs a slot beside its tests, in microseconds; NULL where it was not measured.
        CREATE TABLE costs (
            suite INTEGER NOT NULL, class TEXT NOT NULL, start REAL, batch REAL, file REAL, test REAL,
            PRIMARY KEY (suite, class)
        ) WITHOUT ROWID;

        -- A clock of the days on which something ran: it goes on by a day at most, whatever the system's clock does.
        CREATE TABLE activity (
            only INTEGER PRIMARY KEY CHECK (only = 0), at INTEGER NOT NULL, active INTEGER NOT NULL,
            pruned INTEGER NOT NULL
        );
        INSERT INTO activity VALUES (0, 0, 0, 0);
        "
    };
}

/// What came too late. A macro, as above.
macro_rules! refused_table {
    () => {
        "
        -- Results that were refused: their lease had been taken from the worker. They count for nothing.
        CREATE TABLE refused (
            run INTEGER NOT NULL, test INTEGER NOT NULL, token INTEGER NOT NULL, attempt INTEGER NOT NULL,
            outcome INTEGER NOT NULL, at INTEGER NOT NULL, started INTEGER NOT NULL, duration INTEGER NOT NULL,
            worker BLOB NOT NULL,
            PRIMARY KEY (run, test, token)
        ) WITHOUT ROWID;
        "
    };
}

/// From version 1, which knew neither branches nor classes, to version 2.
pub(super) const FROM_1: &str = concat!(
    "
    ALTER TABLE runs ADD COLUMN branch TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN class TEXT NOT NULL DEFAULT '';
    ALTER TABLE history RENAME TO history_1;
    ",
    history_tables!(),
    "
    INSERT INTO history SELECT file, key, '', '', name, runs, mean, variance, NULL,
        max(runs - failures, 0), 0, failures, 0, 0, 0, last, seen, 0, 0, 0, NULL FROM history_1;
    DROP TABLE history_1;
    "
);

/// From version 2, which knew nothing of levels, to version 3.
pub(super) const FROM_2: &str = "ALTER TABLE history ADD COLUMN levels INTEGER NOT NULL DEFAULT 0;";

/// From version 3, which knew nothing of what tests ask, to version 4.
pub(super) const FROM_3: &str = "ALTER TABLE history ADD COLUMN queries BLOB;";

/// From version 4, which knew nothing of causes and exits, and not of late results, to version 5.
pub(super) const FROM_4: &str = concat!(
    "
    ALTER TABLE verdicts ADD COLUMN cause INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE attempts ADD COLUMN cause INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE attempts ADD COLUMN status INTEGER;
    ALTER TABLE attempts ADD COLUMN signal INTEGER;
",
    refused_table!()
);

pub(super) const SCHEMA: Schema = Schema {
    version: 5,
    // What the last power loss took is projected again from the journal.
    create: concat!(
        "
        CREATE TABLE cursor (only INTEGER PRIMARY KEY CHECK (only = 0), seq INTEGER NOT NULL);
        INSERT INTO cursor VALUES (0, 0);

        CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            run BLOB NOT NULL UNIQUE,
            project TEXT NOT NULL,
            submitted INTEGER NOT NULL,
            ended INTEGER,
            listing INTEGER NOT NULL DEFAULT 0,
            outcome INTEGER NOT NULL DEFAULT 0,
            passed INTEGER NOT NULL DEFAULT 0,
            flaky INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            timed_out INTEGER NOT NULL DEFAULT 0,
            crashed INTEGER NOT NULL DEFAULT 0,
            not_run INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0,
            errors INTEGER NOT NULL DEFAULT 0,
            branch TEXT NOT NULL DEFAULT '',
            class TEXT NOT NULL DEFAULT ''
        );
        CREATE INDEX runs_by_time ON runs (submitted);

        -- The record of a run: its events as they are told to whoever watches.
        CREATE TABLE events (
            run INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL,
            PRIMARY KEY (run, seq)
        ) WITHOUT ROWID;

        CREATE TABLE verdicts (
            run INTEGER NOT NULL, test INTEGER NOT NULL, key BLOB NOT NULL,
            verdict INTEGER NOT NULL, attempts INTEGER NOT NULL, duration INTEGER,
            -- Why it is none that passes; 0 where it does.
            cause INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (run, test)
        ) WITHOUT ROWID;

        CREATE TABLE attempts (
            run INTEGER NOT NULL, test INTEGER NOT NULL, attempt INTEGER NOT NULL,
            outcome INTEGER NOT NULL, nuance INTEGER NOT NULL, started INTEGER NOT NULL, duration INTEGER NOT NULL,
            reason TEXT, output BLOB,
            -- Why it did not pass (0 where it did), and how its process ended, where it had one.
            cause INTEGER NOT NULL DEFAULT 0, status INTEGER, signal INTEGER,
            PRIMARY KEY (run, test, attempt)
        ) WITHOUT ROWID;

        CREATE TABLE errors (
            run INTEGER NOT NULL, number INTEGER NOT NULL,
            kind INTEGER NOT NULL, place TEXT NOT NULL, message TEXT NOT NULL,
            PRIMARY KEY (run, number)
        ) WITHOUT ROWID;
        ",
        refused_table!(),
        "

        CREATE TABLE suites (id INTEGER PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (project, name));
        CREATE TABLE files (id INTEGER PRIMARY KEY, suite INTEGER NOT NULL, path TEXT NOT NULL, UNIQUE (suite, path));

        -- Caches.
        CREATE TABLE listings (key BLOB PRIMARY KEY, seen INTEGER NOT NULL, tests BLOB NOT NULL);
        CREATE INDEX listings_by_time ON listings (seen);
        CREATE TABLE file_lists (
            suite INTEGER NOT NULL, tree TEXT NOT NULL, seen INTEGER NOT NULL, files BLOB NOT NULL,
            PRIMARY KEY (suite, tree)
        );
        ",
        history_tables!(),
    ),
};
