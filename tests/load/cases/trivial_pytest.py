"""10,000 pytest tests that do nothing: what the tool itself costs."""

from generate import trivial_pytest
from rig import pytest_peers, regatta
from rig.measure import Case, Goal
from rig.places import CACHE, GENERATED


def cases(with_regatta):
    folder = GENERATED / "trivial-pytest"
    trivial_pytest(folder)
    python = CACHE / "venv" / "pytest-9" / "bin" / "python"
    args = ["-p", "no:randomly"]
    columns = pytest_peers.columns(python, folder, 2, args)
    if with_regatta:
        regatta.configure(folder, "pytest", python=str(python), args=args)
        columns += [regatta.cold(folder, 2), regatta.warm(folder, 2)]
    goals = [Goal("regatta, cold", 0.60, "xdist"), Goal("regatta, warm", 0.45, "xdist")]
    about = "10,000 trivial pytest tests in 100 files, two slots."
    yield Case("trivial-pytest", about, columns, goals, figures={"tests": "tests"})
