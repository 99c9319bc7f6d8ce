"""Measuring: columns are run in turn, A B C A B C, so that a slow minute of the machine slows all of them.

A column is one way to do the work; a case is columns that do the same work, and the goals set for some of them. Output goes
to files: reading a pipe would take time from one of the cores that are measured.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .places import environment

# The longest case takes two minutes here; what takes ten times as long hangs.
LIMIT_S = 1200


class Failed(Exception):
    """A column that did not do its work: its time would mean nothing."""


def _nothing(*_):
    return {}


@dataclass
class Column:
    """One way to do the work of a case."""

    name: str
    group: str
    argv: list
    cwd: Path
    env: dict = field(default_factory=dict)
    #: Exit codes that mean that the work was done. 1 where the suite itself has failing tests.
    done: tuple = (0,)
    #: Called before and after each run, unmeasured.
    before: object = _nothing
    after: object = _nothing
    #: Called with what was done, for further figures: `(Done) -> {name: number}`.
    read: object = _nothing
    #: Which line of the output to wait for, as bytes: when it came is the figure `first_s`. Its output is then a pipe.
    watch: object = None


@dataclass(frozen=True)
class Done:
    """One run of a column."""

    seconds: float
    code: int
    out: str
    err: str
    first_s: float | None = None


@dataclass(frozen=True)
class Goal:
    """A column's figure should be at most `limit`: relative to the best column of `group`, or of its own figure."""

    column: str
    limit: float
    group: str = ""
    figure: str = "seconds"


@dataclass
class Case:
    """Columns that do the same work."""

    name: str
    about: str
    columns: list
    goals: list = field(default_factory=list)
    #: How often each is measured, at most.
    runs: int = 5
    #: One unmeasured run of each, to fill caches; left out where a run takes minutes.
    warm_up: bool = True
    #: The figure of the columns that the table shows beside the time, with its heading.
    figures: dict = field(default_factory=dict)


def run(column):
    """Runs a column once."""
    column.before()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            column.argv,
            cwd=column.cwd,
            env=environment(**column.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if column.watch else out,
            stderr=err,
        )
        first = _watched(process.stdout, column.watch, began, out) if column.watch else None
        try:
            code = process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        done = Done(time.perf_counter() - began, code, _text(out), _text(err), first)
    column.after()
    if code not in column.done:
        said = "\n".join((done.out[-3000:] + "\n" + done.err[-3000:]).splitlines()[-30:])
        raise Failed(f"{column.name}: exit code {code} from {' '.join(map(str, column.argv))} in {column.cwd}\n{said}")
    return done


def measure(case, runs):
    """Samples of each column, by name: `{"seconds": […], figure: […]}`."""
    samples = {column.name: {} for column in case.columns}
    rounds = min(runs, case.runs)
    for number in range(-1 if case.warm_up else 0, rounds):
        for column in case.columns:
            _tell(f"{case.name}: {column.name}, {'warming up' if number < 0 else f'{number + 1} of {rounds}'}")
            done = run(column)
            if number < 0:
                continue
            first = {} if done.first_s is None else {"first_s": done.first_s}
            for name, value in {"seconds": done.seconds, **first, **column.read(done)}.items():
                samples[column.name].setdefault(name, []).append(value)
    _tell("")
    return samples


def median(samples, column, figure="seconds"):
    """The median of a figure, or None where the column has none."""
    values = samples[column].get(figure)
    return statistics.median(values) if values else None


def best(case, samples, group):
    """The column of a group with the smallest median time; None where the group is empty."""
    names = [column.name for column in case.columns if column.group == group]
    return min(names, key=lambda name: median(samples, name), default=None)


def attained(case, samples, goal):
    """What a goal is compared with; None where it was not measured."""
    if goal.column not in samples:
        return None
    value = median(samples, goal.column, goal.figure)
    if not goal.group:
        return value
    reference = best(case, samples, goal.group)
    return None if value is None or reference is None else value / median(samples, reference, goal.figure)


def _watched(pipe, watch, began, out):
    """Copies a pipe to a file, and says when the first line came that is waited for."""
    first = None
    for line in pipe:
        if first is None and watch(line):
            first = time.perf_counter() - began
        out.write(line)
    pipe.close()
    return first


def _text(file):
    file.seek(0)
    return file.read().decode(errors="replace")


def _tell(line):
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
