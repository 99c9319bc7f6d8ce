"""A pytest plugin: how people give tests a database today. Each process has one, made from a template; what a test committed is
thrown away before the next, what is rolled back is left to the rollback. With PEER_SERVER=own each process starts a server of
its own, as with containers; else all share the one at PEER_URL.

Loaded with `-p rig.database_per_worker`; knows the levels by the suite's own markers, as authors know their tests.
"""

import fcntl
import os
from pathlib import Path

import psycopg
import pytest

from rig.postgres import Server

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
LOCK = os.environ.get("PEER_LOCK", "/tmp/peer.lock")
NAME, TEMPLATE = f"test_{WORKER}", f"template_{WORKER}"


class State:
    server = None
    admin = None
    dirty = True


def _execute(*statements):
    for statement in statements:
        State.admin.execute(statement)


def _renew():
    """A fresh copy of the template."""
    _execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"CREATE DATABASE {NAME} TEMPLATE {TEMPLATE}")
    State.dirty = False


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput") or WORKER == "alone":
        if session.config.getoption("numprocesses", None):
            return
        url = os.environ.get("PEER_URL")
        if os.environ.get("PEER_SERVER") == "own":
            State.server = Server().__enter__()
            url = State.server.url()
        State.admin = psycopg.connect(url, autocommit=True)
        _execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        _execute(f"CREATE DATABASE {TEMPLATE}")
        base = url.rsplit("/", 1)[0]
        with psycopg.connect(f"{base}/{TEMPLATE}", autocommit=True) as connection:
            connection.execute((Path(session.config.rootpath) / "schema.sql").read_text())
        os.environ["DATABASE_URL"] = f"{base}/{NAME}"
        _renew()


def pytest_sessionfinish(session):
    if State.admin is None:
        return
    _execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
    State.admin.close()
    if State.server:
        State.server.__exit__()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    mark = item.get_closest_marker("regatta")
    level = mark.kwargs.get("level") if mark else "isolated"
    # A sequence does not roll back, so what counts on ids needs a fresh copy, too.
    if level != "none" and State.dirty:
        _renew()
    State.dirty |= level in ("transaction", "isolated", "exclusive")
    if level != "exclusive":
        return (yield)
    # What changes the server goes one at a time, by a lock that all processes know.
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = yield
        if State.admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'auditor'").fetchone():
            _drop_role()
        _execute("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
    return outcome


def _drop_role():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("DROP OWNED BY auditor")
    _execute("DROP ROLE auditor")
