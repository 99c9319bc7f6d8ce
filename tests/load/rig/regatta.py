"""Regatta as people run it in a project, and what its event stream says. Everything that knows its command line, its
configuration and its events is in this file.

*Cold* is a run without `.regatta`; *warm* is one after another. Both are measured in the same folder: what a cold run would
lose is put aside for the while.
"""

import json
import os
import shutil

from . import counts
from .measure import Column, Failed, run
from .places import ROOT


def binary():
    """The binary that is measured: REGATTA_BIN, else this tree's release build; None where there is none."""
    path = os.environ.get("REGATTA_BIN") or str(ROOT / "target" / "release" / "regatta")
    return path if os.access(path, os.X_OK) else None


def configure(folder, runner, **settings):
    """Writes the folder's regatta.toml, with one suite."""
    lines = ["[suite.measured]", f"runner = {json.dumps(runner)}"]
    # A JSON string, number, boolean or list of strings is the same in TOML.
    lines += [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in settings.items()]
    (folder / "regatta.toml").write_text("\n".join(lines) + "\n")


def cold(folder, slots, name="regatta, cold", before=lambda: None, **more):
    """A column of runs without history."""
    store, aside = folder / ".regatta", folder / ".regatta.aside"

    def put_aside():
        before()
        # One that is still there was put aside by a run that was interrupted.
        if store.exists() and not aside.exists():
            store.rename(aside)
        shutil.rmtree(store, ignore_errors=True)

    def put_back():
        shutil.rmtree(store, ignore_errors=True)
        if aside.exists():
            aside.rename(store)

    return Column(name, "regatta", _argv(slots), folder, before=put_aside, after=put_back, read=figures, **more)


def warm(folder, slots, name="regatta, warm", before=lambda: None, **more):
    """A column of runs that follow others."""
    column = Column(name, "regatta", _argv(slots), folder, read=figures, **more)

    def primed():
        before()
        if not (folder / ".regatta").exists():
            run(Column(f"{name}, first", "regatta", column.argv, folder, done=column.done))

    column.before = primed
    return column


def events(out):
    """The events of a stream; a line that is none is an error, because stdout is data."""
    return [json.loads(line) for line in out.splitlines() if line.strip()]


def hands_out(line):
    """Whether a line of the stream says that tests were handed to a slot: a lease that looks for files has none."""
    return b'"shard_leased"' in line and b'"discovers":false' in line


def finished(out):
    """The `run_finished` event."""
    found = [event for event in events(out) if event.get("event") == "run_finished"]
    if not found:
        raise Failed("regatta's event stream has no run_finished")
    return found[-1]


def figures(done):
    """What a run says of itself."""
    event = finished(done.out)
    told = {name: event[name] for name in ("wall_s", "bound_s", "ratio", "first_lease_s") if event.get(name) is not None}
    return {**told, "tests": sum(counts.of_regatta(event).values())}


def _argv(slots):
    return [binary(), "run", "--slots", str(slots), "--format", "ndjson"]
