"""A skewed suite that only sleeps: how near the schedule comes to the lower bound, with and without history.

Sleeping takes no core, so that eight slots are honest on a small machine. The bound is computed from the nominal sleeps,
whatever a tool says of itself: max(total / slots, longest).
"""

from generate import sleep_pytest, sleep_rust, sleeps
from rig import pytest_peers, regatta, rust_peers
from rig.measure import Case, Goal
from rig.places import CACHE, GENERATED

SLOTS = 8
SEEDS = (1, 2, 3)
FIGURES = {"bound_ratio": "÷ bound", "ratio": "own ÷ own bound"}


def cases(with_regatta):
    for seed in SEEDS:
        for order in ("shuffled", "longest-last") if seed == SEEDS[0] else ("shuffled",):
            yield _pytest(seed, order, with_regatta)
            yield _rust(seed, order, with_regatta)


def _pytest(seed, order, with_regatta):
    folder = GENERATED / f"sleep-pytest-{seed}-{order}"
    sleep_pytest(folder, seed, order)
    python = CACHE / "venv" / "pytest-9" / "bin" / "python"
    args = ["-p", "no:randomly"]
    columns = pytest_peers.columns(python, folder, SLOTS, args, plain=False)
    if with_regatta:
        regatta.configure(folder, "pytest", python=str(python), args=args)
    return _case("pytest", folder, seed, order, columns, with_regatta)


def _rust(seed, order, with_regatta):
    folder = GENERATED / f"sleep-rust-{seed}-{order}"
    sleep_rust(folder, seed, order)
    columns = rust_peers.columns(folder, SLOTS)
    if with_regatta:
        regatta.configure(folder, "rust")
    return _case("rust", folder, seed, order, columns, with_regatta)


def _case(runner, folder, seed, order, columns, with_regatta):
    seconds = sleeps(seed, order)
    bound = max(sum(seconds) / SLOTS, max(seconds))
    if with_regatta:
        columns += [regatta.cold(folder, SLOTS, "regatta, no history"), regatta.warm(folder, SLOTS, "regatta, history")]
    for column in columns:
        column.read = _with_bound(column.read, bound)
    return Case(
        f"sleep/{runner}/{seed}-{order}",
        f"400 sleeping {runner} tests, {sum(seconds):.0f} s together, the longest {max(seconds):.0f} s, {SLOTS} slots, "
        f"bound {bound:.2f} s; seed {seed}, {order}.",
        columns,
        [Goal("regatta, no history", 1.20, figure="ratio"), Goal("regatta, history", 1.05, figure="ratio")],
        warm_up=False,
        figures=FIGURES,
    )


def _with_bound(read, bound):
    return lambda done: {**read(done), "bound_ratio": done.seconds / bound}
