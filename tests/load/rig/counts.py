"""How many tests ended how: what pytest prints, and what regatta reports, in the same words."""

import re

WORDS = ("passed", "failed", "skipped", "xfailed", "xpassed", "errors")

_SUMMARY = re.compile(r"\d+ (?:passed|failed|skipped|xfailed|xpassed|errors?|deselected|no tests ran)\b.* in \d")
# `21194 subtests passed` counts parts of tests, and is not a count of tests.
_COUNT = re.compile(r"(\d+) (passed|failed|skipped|xfailed|xpassed|errors?)\b")


def of_pytest(output):
    """The counts in pytest's last summary line, or None where it printed none."""
    lines = [line for line in output.splitlines() if _SUMMARY.search(line)]
    if not lines:
        return None
    found = dict.fromkeys(WORDS, 0)
    for number, word in _COUNT.findall(lines[-1]):
        found["errors" if word == "error" else word] = int(number)
    return found


def of_regatta(event):
    """The counts in regatta's `run_finished` event, absent ones as 0."""
    told = event.get("counts", {})
    return {word: int(told.get(word, 0)) for word in WORDS}


def shown(counts):
    """Like `909 passed, 2 skipped`."""
    if counts is None:
        return "no summary"
    return ", ".join(f"{counts[w]} {w}" for w in WORDS if counts[w]) or "nothing ran"
