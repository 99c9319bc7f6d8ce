"""The suites in tests/suites whose tests use a database: what each needs before it runs, and how it looks without levels."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

from .places import ROOT, SETUP, environment

SUITES = ROOT / "tests" / "suites"


def _said(*words):
    """What a script of tests/setup prints: where a thing is."""
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Suite:
    """One of them."""

    def __init__(self, name):
        self.name, self.folder = name, SUITES / name
        self.config = tomllib.loads((self.folder / "regatta.toml").read_text())

    def prepare(self):
        """Installs what it needs and builds it, where that has not been done. Returns the environment that its tests run in."""
        path = []
        if (self.folder / "Cargo.toml").exists():
            subprocess.run(["cargo", "test", "--no-run", "--locked", "--quiet"], cwd=self.folder, env=environment(), check=True)
        elif (self.folder / "package.json").exists():
            _said(SETUP / "npm", self.folder)
        elif (self.folder / "pom.xml").exists():
            _said(SETUP / "maven", self.folder)
        else:
            own = SETUP / f"{self.name}.txt"
            needed = own if own.exists() else SETUP / "pytest-9.txt"
            path = [str(Path(_said(SETUP / "venv", needed.stem, needed)) / "bin")]
        return environment(PATH=":".join([*path, os.environ["PATH"]]))

    def build(self, url, env):
        """Builds the database at `url` as a template is built."""
        for suite in self.config["suite"].values():
            subprocess.run(suite["database"]["build"], cwd=self.folder, env={**env, "DATABASE_URL": url, **parts(url)}, check=True)

    def without_levels(self):
        """Its configuration, as if there were no databases to hand out. Tests wait for locks of others: not for ever."""
        lines = ["[profile.default]", 'timeout = "20s"']
        for name, suite in self.config["suite"].items():
            kept = {key: value for key, value in suite.items() if key != "database"} | {"root": str(self.folder)}
            # A JSON string, number, boolean or list of strings is the same in TOML.
            lines += [f"[suite.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in kept.items())]
        return "\n".join(lines) + "\n"


def parts(url):
    """The variables beside DATABASE_URL that a test is handed."""
    user, at = url.removeprefix("postgresql://").split("@")
    host, name = at.split("/")
    host, port = host.split(":")
    return {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGDATABASE": name, "PGSSLMODE": "disable", "PGPASSWORD": "none"}
