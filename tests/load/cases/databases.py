"""400 tests that use PostgreSQL at every level, on eight slots: against how people give tests a database today."""

import os

from rig import regatta
from rig.measure import Case, Column, Goal
from rig.places import CACHE, LOAD, ROOT
from rig.postgres import Server

SLOTS = 8
SUITE = ROOT / "tests" / "suites" / "pytest-postgres"
PYTHON = CACHE / "venv" / "pytest-9" / "bin" / "python"


def _peer(name, *flags, own=False):
    """A column; the shared server is started before it, unmeasured: it would stand there anyway."""
    running = {}
    column = Column(
        name,
        "pytest",
        [str(PYTHON), "-m", "pytest", "-q", "-p", "no:randomly", "-p", "rig.database_per_worker", *flags],
        SUITE,
        env={"PYTHONPATH": str(LOAD), "PEER_LOCK": str(CACHE / "peer.lock")},
    )

    def before():
        if own:
            column.env["PEER_SERVER"] = "own"
        else:
            running["server"] = Server().__enter__()
            column.env["PEER_URL"] = running["server"].url()

    def after():
        if "server" in running:
            running.pop("server").__exit__()

    column.before, column.after = before, after
    return column


def cases(with_regatta):
    columns = [
        _peer("serial, one database"),
        _peer("xdist, a database each", "-n", str(SLOTS), "--dist", "worksteal"),
        _peer("xdist, a server each", "-n", str(SLOTS), "--dist", "worksteal", own=True),
    ]
    goals = []
    if with_regatta:
        # The build command finds psycopg where the tests do.
        path = {"PATH": f"{PYTHON.parent}:{os.environ['PATH']}"}
        columns += [regatta.cold(SUITE, SLOTS, env=path), regatta.warm(SUITE, SLOTS, env=path)]
        goals = [Goal("regatta, cold", 1.0, "pytest"), Goal("regatta, warm", 1.0, "pytest")]
    yield Case("databases/400", "400 tests at five levels, 8 slots; a fresh template each time", columns, goals)
