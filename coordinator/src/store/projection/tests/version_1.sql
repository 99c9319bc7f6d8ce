-- A projection as version 1 of its schema had it.
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
    errors INTEGER NOT NULL DEFAULT 0
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
    PRIMARY KEY (run, test)
) WITHOUT ROWID;

CREATE TABLE attempts (
    run INTEGER NOT NULL, test INTEGER NOT NULL, attempt INTEGER NOT NULL,
    outcome INTEGER NOT NULL, nuance INTEGER NOT NULL, started INTEGER NOT NULL, duration INTEGER NOT NULL,
    reason TEXT, output BLOB,
    PRIMARY KEY (run, test, attempt)
) WITHOUT ROWID;

CREATE TABLE errors (
    run INTEGER NOT NULL, number INTEGER NOT NULL,
    kind INTEGER NOT NULL, place TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;

CREATE TABLE suites (id INTEGER PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (project, name));
CREATE TABLE files (id INTEGER PRIMARY KEY, suite INTEGER NOT NULL, path TEXT NOT NULL, UNIQUE (suite, path));

-- What is known of a test over all runs. Durations as logarithms of microseconds.
CREATE TABLE history (
    file INTEGER NOT NULL, key BLOB NOT NULL, name TEXT NOT NULL,
    runs INTEGER NOT NULL, mean REAL NOT NULL, variance REAL NOT NULL,
    failures INTEGER NOT NULL, last INTEGER NOT NULL, seen INTEGER NOT NULL,
    PRIMARY KEY (file, key)
) WITHOUT ROWID;

-- Caches.
CREATE TABLE listings (key BLOB PRIMARY KEY, seen INTEGER NOT NULL, tests BLOB NOT NULL);
CREATE INDEX listings_by_time ON listings (seen);
CREATE TABLE file_lists (
    suite INTEGER NOT NULL, tree TEXT NOT NULL, seen INTEGER NOT NULL, files BLOB NOT NULL,
    PRIMARY KEY (suite, tree)
);

INSERT INTO suites VALUES (1, 'shop', 'api');
INSERT INTO files VALUES (1, 1, 'a.py');
INSERT INTO history VALUES (1, zeroblob(16), 'test_a', 3, 6.9, 0.1, 1, 1, 77);
UPDATE cursor SET seq = 12;
PRAGMA user_version = 1;
