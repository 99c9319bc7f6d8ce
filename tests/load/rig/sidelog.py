"""What tests themselves write down of each of their executions, outside Regatta: one line when one begins, one when it ends.

    begin ID ATTEMPT TOKEN WORKER SLOT UPTIME
    end ID ATTEMPT TOKEN WORKER SLOT UPTIME OUTCOME

A line is written by one call to the end of a file of the worker's slot, so that a process that is killed leaves whole lines or none.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Execution:
    """One execution of a test."""

    id: str
    attempt: int
    token: int
    worker: str
    slot: str
    began: float
    #: None where it was killed.
    ended: float | None = None
    outcome: str | None = None


def read(folder, run=""):
    """All executions, in the order in which they began; and lines that make no sense. Of one run, where files begin with its id."""
    found, nonsense = [], []
    for file in sorted(Path(folder).glob(f"{run}*.side")):
        running = {}
        for line in file.read_text(errors="replace").splitlines():
            words = line.split(" ")
            try:
                what, id_, attempt, token, worker, slot, at = words[:7]
                key = (id_, attempt, token, worker)
                if what == "begin" and len(words) == 7:
                    if key in running:
                        nonsense.append(f"{file.name}: began twice under one lease as the same attempt: {line}")
                    running[key] = Execution(id_, int(attempt), int(token), worker, slot, float(at))
                    found.append(running[key])
                elif what == "end" and len(words) == 8:
                    running[key].ended, running[key].outcome = float(at), words[7]
                else:
                    nonsense.append(f"{file.name}: {line}")
            except (ValueError, KeyError):
                nonsense.append(f"{file.name}: {line}")
    return sorted(found, key=lambda one: one.began), nonsense
