"""pytest as people run it: plain, and under xdist with each way to distribute."""

from . import counts
from .measure import Column

DISTRIBUTIONS = ("load", "worksteal", "loadfile")


def columns(python, folder, processes, args=(), done=(0,), plain=True):
    """A column for plain pytest (group `plain`), and one for each distribution of xdist (group `xdist`)."""
    pytest = [str(python), "-m", "pytest", "-q", *args]
    made = [Column("pytest", "plain", pytest, folder, done=done, read=_tests)] if plain else []
    for dist in DISTRIBUTIONS:
        argv = [*pytest, "-n", str(processes), "--dist", dist]
        made.append(Column(f"pytest -n {processes} {dist}", "xdist", argv, folder, done=done, read=_tests))
    return made


def _tests(done):
    """How many tests it counted, so that the table shows that all columns ran the same."""
    found = counts.of_pytest(done.out)
    return {"tests": sum(found.values())} if found else {}
