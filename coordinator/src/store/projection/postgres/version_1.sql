-- The tables of the projection, version 1, in the schema `regatta`. Texts are compared byte by byte, as everywhere in this
-- house: a collation of the system's would make an index worthless when the system is upgraded.

-- How far the journal is in the tables. `epoch` is that of the leader who writes; `writes` tells one whose last commit was
-- not answered whether it was done.
CREATE TABLE regatta.cursor (
    single boolean PRIMARY KEY CHECK (single), seq bigint NOT NULL, epoch bigint NOT NULL, writes bigint NOT NULL
);
INSERT INTO regatta.cursor VALUES (true, 0, 0, 0);

-- The parts in which what is written of runs lies: a part is dropped as a whole.
CREATE TABLE regatta.parts (part integer PRIMARY KEY);

CREATE TABLE regatta.runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run uuid NOT NULL UNIQUE,
    part integer NOT NULL,
    submitted bigint NOT NULL,
    ended bigint,
    listing boolean NOT NULL,
    outcome smallint NOT NULL DEFAULT 0,
    passed integer NOT NULL DEFAULT 0,
    flaky integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    timed_out integer NOT NULL DEFAULT 0,
    crashed integer NOT NULL DEFAULT 0,
    not_run integer NOT NULL DEFAULT 0,
    skipped integer NOT NULL DEFAULT 0,
    errors integer NOT NULL DEFAULT 0,
    project text COLLATE "C" NOT NULL,
    branch text COLLATE "C" NOT NULL,
    class text COLLATE "C" NOT NULL
-- Rows change five times a second while a run is live: with room on their pages no index has to know.
) WITH (fillfactor = 50);
CREATE INDEX runs_by_time ON regatta.runs (submitted);
CREATE INDEX runs_by_part ON regatta.runs (part);

-- The record of a run: its events as they are told to whoever watches.
CREATE TABLE regatta.events (
    run bigint NOT NULL, seq bigint NOT NULL, part integer NOT NULL, body bytea NOT NULL,
    PRIMARY KEY (run, seq, part)
) PARTITION BY LIST (part);

CREATE TABLE regatta.verdicts (
    run bigint NOT NULL, duration bigint, part integer NOT NULL, test integer NOT NULL, attempts integer NOT NULL,
    verdict smallint NOT NULL, key bytea NOT NULL,
    PRIMARY KEY (run, test, part)
) PARTITION BY LIST (part);

CREATE TABLE regatta.attempts (
    run bigint NOT NULL, started bigint NOT NULL, duration bigint NOT NULL, part integer NOT NULL, test integer NOT NULL,
    attempt integer NOT NULL, outcome smallint NOT NULL, nuance smallint NOT NULL, output bytea,
    reason text COLLATE "C",
    PRIMARY KEY (run, test, attempt, part)
) PARTITION BY LIST (part);

CREATE TABLE regatta.errors (
    run bigint NOT NULL, number integer NOT NULL, kind smallint NOT NULL, place text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    PRIMARY KEY (run, number)
);

CREATE TABLE regatta.suites (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    UNIQUE (project, name)
);

-- Paths may be longer than what an index can hold: found by a digest.
CREATE TABLE regatta.files (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    suite bigint NOT NULL, digest bytea NOT NULL, path text COLLATE "C" NOT NULL,
    UNIQUE (suite, digest)
);

-- Caches.
CREATE TABLE regatta.listings (key bytea PRIMARY KEY, seen bigint NOT NULL, tests bytea NOT NULL);
CREATE INDEX listings_by_time ON regatta.listings (seen);
CREATE TABLE regatta.file_lists (
    suite bigint NOT NULL, tree text COLLATE "C" NOT NULL, seen bigint NOT NULL, files bytea NOT NULL,
    PRIMARY KEY (suite, tree)
);

-- What is known of a test, on a branch (empty for the main line) and a class of machines. Durations as logarithms of
-- microseconds on a worker of speed 1. `day` is that of the clock below. Every run writes every row again, and no index has
-- to know where its page has room.
CREATE TABLE regatta.history (
    file bigint NOT NULL, seen bigint NOT NULL, day bigint NOT NULL,
    mean double precision NOT NULL, variance double precision NOT NULL, odd double precision,
    failing double precision NOT NULL,
    runs integer NOT NULL, passes integer NOT NULL, flakes integer NOT NULL, failures integer NOT NULL,
    skips integer NOT NULL, recent integer NOT NULL, levels integer NOT NULL, last smallint NOT NULL,
    imported boolean NOT NULL,
    key bytea NOT NULL, branch text COLLATE "C" NOT NULL, class text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL, queries bytea,
    PRIMARY KEY (file, key, branch, class)
) WITH (fillfactor = 60);

-- What a suite costs a slot beside its tests, in microseconds; NULL where it was not measured.
CREATE TABLE regatta.costs (
    suite bigint NOT NULL, class text COLLATE "C" NOT NULL,
    start double precision, batch double precision, file double precision, test double precision,
    PRIMARY KEY (suite, class)
);

-- A clock of the days on which something ran: it goes on by a day at most, whatever the system's clock does.
CREATE TABLE regatta.activity (
    single boolean PRIMARY KEY CHECK (single), at bigint NOT NULL, active bigint NOT NULL, pruned bigint NOT NULL
);
INSERT INTO regatta.activity VALUES (true, 0, 0, 0);
