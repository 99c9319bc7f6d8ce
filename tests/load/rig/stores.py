"""What a coordinator has recorded, read from its store's own tables, past all of Regatta's code."""

import importlib.util
import os
import sqlite3
import sys
from dataclasses import dataclass, field

from .places import CACHE

#: Has pytest for the workload, and psycopg for a look at PostgreSQL.
PYTHON = CACHE / "venv" / "pytest-9" / "bin" / "python"

# The numbers of proto/regatta/v1/run.proto.
OUTCOMES = {1: "passed", 2: "failed", 3: "skipped", 4: "timed_out", 5: "crashed", 6: "missing"}
VERDICTS = {1: "passed", 2: "flaky", 3: "skipped", 4: "failed", 5: "timed_out", 6: "crashed", 7: "not_run"}

VERDICT = "SELECT test, key, verdict, attempts FROM {at}verdicts WHERE run = {bound}"
ATTEMPT = "SELECT test, attempt, outcome, started FROM {at}attempts WHERE run = {bound}"
REFUSED = "SELECT test, token, attempt, outcome, worker FROM {at}refused WHERE run = {bound}"
NAME = "SELECT DISTINCT h.key, f.path, h.name FROM {at}history h JOIN {at}files f ON f.id = h.file"


def with_psycopg():
    """Starts the script again in the environment that has psycopg, where this one has not."""
    if importlib.util.find_spec("psycopg") is None:
        if not PYTHON.exists():
            raise SystemExit(f"no psycopg here, and no {PYTHON}: run tests/setup/venv pytest-9 tests/setup/pytest-9.txt")
        os.execv(PYTHON, [str(PYTHON), *sys.argv])


@dataclass
class Attempt:
    """An attempt whose result was accepted."""

    number: int
    outcome: str
    #: By the worker's clock, in seconds since the epoch.
    started: float


@dataclass
class Recorded:
    """A test and its verdict."""

    id: str
    verdict: str
    #: How many were made, those that were lost included.
    made: int
    attempts: list = field(default_factory=list)


@dataclass
class Late:
    """A result that came when its lease had been taken from the worker, and was refused."""

    id: str
    token: int
    number: int
    outcome: str
    #: Its id, as hexadecimal digits.
    worker: str


@dataclass
class Record:
    """A run."""

    ended: bool
    tests: list
    #: Attempts of tests that have no verdict.
    orphans: int
    late: list = field(default_factory=list)


class Sqlite:
    """The directory of a coordinator."""

    def __init__(self, data):
        self.data = data

    def run(self, run):
        connection = sqlite3.connect(f"file:{self.data / 'projection.db'}?mode=ro", uri=True, timeout=30)
        try:
            return _record(lambda query, *bound: connection.execute(query.format(at="", bound="?"), bound).fetchall(), run)
        finally:
            connection.close()

    def unsound(self):
        """What SQLite itself says is wrong with the files."""
        found = []
        for name in ("journal.db", "projection.db"):
            connection = sqlite3.connect(f"file:{self.data / name}?mode=ro", uri=True, timeout=30)
            try:
                said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
                found += [f"{name}: {line}" for line in said if line != "ok"]
            finally:
                connection.close()
        return found


class Postgres:
    """The schema `regatta` of a database."""

    def __init__(self, url):
        # See `with_psycopg`.
        import psycopg

        self.connect = lambda: psycopg.connect(url, autocommit=True)

    def run(self, run):
        with self.connect() as connection:
            ask = lambda query, *bound: connection.execute(query.format(at="regatta.", bound="%s"), bound).fetchall()
            return _record(ask, run)

    def leader(self):
        """Whoever leads: the epoch, and its address."""
        with self.connect() as connection:
            found = connection.execute("SELECT epoch, address FROM regatta.leader WHERE until > now()").fetchone()
            return found or (None, None)

    def unsound(self):
        return []


def _record(ask, run):
    # Kept as the sixteen bytes of the id by SQLite, and as a uuid or bytes by PostgreSQL: read all, and compare here.
    ids = [row for row in ask("SELECT id, run, ended FROM {at}runs") if _hex(row[1]) == run.replace("-", "")]
    if len(ids) != 1:
        raise LookupError(f"{len(ids)} runs {run} in the store")
    number, _, ended = ids[0]
    names = {_hex(key): f"{path}::{name}" if path and path != name else name for key, path, name in ask(NAME)}
    tests, found = [], {}
    for test, key, verdict, made in ask(VERDICT, number):
        one = Recorded(names.get(_hex(key), f"a test without a name ({_hex(key)})"), VERDICTS.get(verdict, str(verdict)), made)
        tests.append(one)
        found[test] = one
    orphans = 0
    for test, attempt, outcome, started in ask(ATTEMPT, number):
        if test in found:
            found[test].attempts.append(Attempt(attempt, OUTCOMES.get(outcome, str(outcome)), started / 1e6))
        else:
            orphans += 1
    late = []
    for test, token, attempt, outcome, worker in ask(REFUSED, number):
        id_ = found[test].id if test in found else f"test {test}, which has no verdict"
        late.append(Late(id_, token, attempt, OUTCOMES.get(outcome, str(outcome)), _hex(worker)))
    return Record(ended is not None, tests, orphans, late)


def _hex(value):
    return bytes(value).hex() if isinstance(value, (bytes, memoryview)) else str(value).replace("-", "")
