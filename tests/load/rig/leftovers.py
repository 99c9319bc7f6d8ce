"""What a cluster with databases may leave behind: servers, directories, sessions, roles, databases, things held.

Others may run servers on this machine. Those of our cluster are known by a mark, a folder at the end of the PATH in which the
coordinator was started: it is the one variable that a server is given.
"""

import json
import os
import subprocess
import time
from pathlib import Path

from . import regatta

MEMORY = Path("/dev/shm")
# What is kept ready on a server at most: 64 clones, one that readers share, and the system's own four; for these roles of owners (64, and
# 24 in stock) and of readers (64, and 8 that were begun).
READY = {"databases": 70, "roles": 160}
ENOUGH_S = 20
# Lease roles and their databases are named rg_TEMPLATE_EPOCH_NUMBER; owners and readers of a template end in words.
LEASED = "rg_[0-9a-f]{8}_[0-9a-z]+_[0-9]+"


def servers(mark):
    """The data directories of the PostgreSQL servers that run under the mark, by process id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"-D" in words[:-1] and words[0].endswith(b"postgres") and os.fsencode(mark) in (folder / "environ").read_bytes():
                found[int(folder.name)] = Path(os.fsdecode(words[words.index(b"-D") + 1]))
        except OSError:
            continue
    return found


def ask(data, query):
    """Rows of a server, asked as its administrator, who comes in by its socket; none of a server that has ended meanwhile."""
    try:
        lines = (data / "postmaster.pid").read_text().split("\n")
        words = ["psql", "-h", lines[4].strip(), "-p", lines[3].strip(), "-U", "regatta", "-d", "postgres", "-XAtc", query]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=ENOUGH_S)
    except (OSError, IndexError):
        return []
    if ran.returncode == 0:
        return ran.stdout.split("\n")[:-1]
    return [f"no answer of {data}: {ran.stderr.strip()}"] if (data / "postmaster.pid").exists() else []


class Leftovers:
    """Looks for them."""

    def __init__(self, mark, temporary):
        self.mark, self.temporary, self.homes = str(mark), temporary, set()

    def look(self):
        """Remembers what is there now, so that it is missed if it stays. Returns the servers."""
        found = servers(self.mark)
        # HOME/sN/data
        self.homes |= {data.parents[1] for data in found.values()}
        return found

    def after_a_round(self, url):
        """What should not be there while the cluster stands and does nothing, a line each."""
        return _until(lambda: self._held(url) + self._inside())

    def at_the_end(self):
        """What should not be there once the cluster has ended."""
        return _until(self._outside)

    def _held(self, url):
        words = [regatta.binary(), "resources", "list", "--on", url, "--format", "json"]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=ENOUGH_S)
        if ran.returncode != 0:
            return [f"no answer to `regatta resources`: {ran.stderr.strip()}"]
        return [f"{one['name']}: held by {one['holds']}, {one['taken']} taken" for one in json.loads(ran.stdout) if one["holds"] or one["taken"]]

    def _inside(self):
        found = []
        for data in self.look().values():
            sessions = ask(data, f"SELECT usename || ' in ' || datname FROM pg_stat_activity WHERE usename ~ '^{LEASED}$'")
            # Roles are made ahead, too; who may not come in any more had a lease, or something of it.
            roles = ask(data, f"SELECT rolname FROM pg_roles WHERE rolname ~ '^{LEASED}' AND (NOT rolcanlogin OR rolname !~ '^{LEASED}$')")
            ready = ask(data, f"SELECT rolname FROM pg_roles WHERE rolname ~ '^{LEASED}$'")
            prepared = ask(data, "SELECT gid FROM pg_prepared_xacts")
            databases = ask(data, "SELECT datname FROM pg_database")
            found += [f"a session of {who}" for who in sessions] + [f"the role {name}" for name in roles]
            found += [f"the prepared transaction {name}" for name in prepared]
            for what, names in (("databases", databases), ("roles", ready)):
                found += [f"{len(names)} {what} on one server"] if len(names) > READY[what] else []
        return found

    def _outside(self):
        found = [f"the server {pid} in {data}" for pid, data in servers(self.mark).items()]
        found += [f"the directory {home}" for home in sorted(self.homes) if home.exists()]
        return found + [f"the temporary {entry.name}" for entry in sorted(self.temporary.iterdir())]


def _until(look):
    """What `look` finds until it finds nothing, or for long enough."""
    deadline = time.monotonic() + ENOUGH_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found
