"""How long it takes until the first test of 10,000 is handed out: what a person waits for who changed one line.

Seen from outside: the time from starting the process until the line that says so comes out of it. For the peers, which say
only when a test has ended, that is the first result.
"""

from generate import trivial_pytest
from rig import pytest_peers, regatta
from rig.measure import Case, Goal
from rig.places import CACHE, GENERATED


def cases(with_regatta):
    folder = GENERATED / "trivial-pytest"
    trivial_pytest(folder)
    python = CACHE / "venv" / "pytest-9" / "bin" / "python"
    args = ["-p", "no:randomly"]
    columns = pytest_peers.columns(python, folder, 2, [*args, "-v", "-v"])
    for column in columns:
        column.env = {"PYTHONUNBUFFERED": "1"}
        column.watch = lambda line: b"PASSED" in line
    if with_regatta:
        regatta.configure(folder, "pytest", python=str(python), args=args)
        for column in (regatta.cold(folder, 2), regatta.warm(folder, 2)):
            column.watch = regatta.hands_out
            columns.append(column)
    goals = [Goal("regatta, warm", 0.100, figure="first_s")]
    figures = {"first_s": "first test s", "first_lease_s": "own first lease s"}
    yield Case("first-test", "The first of 10,000 pytest tests, two slots.", columns, goals, figures=figures)
