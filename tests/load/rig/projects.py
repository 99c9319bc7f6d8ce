"""The real projects: their table, and what `fetch` made of each."""

import tomllib
from dataclasses import dataclass

from .places import CACHE, LOAD, PROJECTS


@dataclass(frozen=True)
class Project:
    """One row of projects.toml."""

    name: str
    version: str
    sha256: str
    args: tuple = ()
    measured: int = 5

    @property
    def folder(self):
        """The unpacked source, where every runner is started."""
        return PROJECTS / self.name

    @property
    def requirements(self):
        return LOAD / "projects" / f"{self.name}.txt"

    @property
    def python(self):
        return CACHE / "venv" / f"load-{self.name}" / "bin" / "python"

    @property
    def stamp(self):
        """Written last by `fetch`: names the source that is there."""
        return PROJECTS / f"{self.name}.stamp"

    def is_fetched(self):
        return self.stamp.exists() and self.stamp.read_text().startswith(self.sha256) and self.python.exists()


def table():
    """All projects by name, in the table's order."""
    with open(LOAD / "projects.toml", "rb") as file:
        rows = tomllib.load(file)
    return {name: Project(name=name, **{**row, "args": tuple(row.get("args", ()))}) for name, row in rows.items()}
