"""Where things are, and the environment that measured processes get."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / "tests" / ".cache"
PROJECTS = CACHE / "projects"
GENERATED = CACHE / "generated"
LOAD = ROOT / "tests" / "load"
SETUP = ROOT / "tests" / "setup"

# Set by some images and shells: without compiled files every process compiles every module anew, which no user's machine
# does, and which favours whoever starts fewer processes.
_DISTORTING = ("PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "CARGO_TARGET_DIR", "CI")


def environment(**more):
    """The caller's environment without what distorts, and with `more`."""
    kept = {k: v for k, v in os.environ.items() if k not in _DISTORTING and not k.startswith("REGATTA_")}
    return {**kept, **more}
