"""A workload of which one part needs something that may go away, and the other part needs nothing.

Every test keeps a side log (see sidelog.py), and passes; a test that needs the thing fails when the thing is away at its end. What that
makes of executions is for `Away` to say: those that the thing went away under are excused, and what began while it was away is not.
"""

import json

#: Read by the shell itself, as in workload.py. `touch` is how a test uses what it needs; its end is what comes of that.
SCRIPT = """#!/bin/sh
side=$SIDE_LOG/$REGATTA_WORKER-$REGATTA_SLOT.side
who="{suite}::$1 $REGATTA_ATTEMPT $REGATTA_TOKEN $REGATTA_WORKER $REGATTA_SLOT"
read -r up _ </proc/uptime
echo "begin $who $up" >>"$side"
outcome=failed
sleep "${{1##*-}}"
{touch} && outcome=passed
read -r up _ </proc/uptime
echo "end $who $up $outcome" >>"$side"
[ $outcome = passed ]
"""

MODULE = """
import os, time
import pytest

def note(what, test, *more):
    env = os.environ
    side = f"{env['SIDE_LOG']}/{env['REGATTA_WORKER']}-{env['REGATTA_SLOT']}.side"
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    who = (test, env["REGATTA_ATTEMPT"], env["REGATTA_TOKEN"], env["REGATTA_WORKER"], env["REGATTA_SLOT"])
    line = " ".join((what, *who, f"{up:.2f}", *more)) + "\\n"
    file = os.open(side, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line.encode())
    os.close(file)

@pytest.mark.parametrize("what", PARAMS)
def test_one(what, request):
    note("begin", request.node.nodeid)
    outcome = "failed"
    try:
        time.sleep(float(what.rsplit("-", 1)[1]))
        USE
        outcome = "passed"
    finally:
        note("end", request.node.nodeid, outcome)
"""

#: How a test in there uses what it needs.
CONNECTS = 'import psycopg; psycopg.connect(os.environ["DATABASE_URL"], autocommit=True).execute("CREATE TABLE left_behind (a int)")'
LOOKS = "assert not os.path.exists({gone!r})"

CONFIG = """
[project]
name = "needing"
{suites}
[profile.default]
retries = 0
timeout = "120s"
{override}
"""

SUITE = """
[suite.{suite}]
runner = "exec"
command = ["sh", "{folder}/{suite}.sh", "{{id}}"]
list = ["cat", "{folder}/{suite}.txt"]
"""

MODULES = """
[suite.modules]
runner = "pytest"
python = {python}
args = ["-p", "no:cacheprovider"]
"""

DATABASE = """
[suite.{suite}.database]
resource = "app"
build = ["true"]
"""

NEEDS = """
[[profile.default.override]]
filter = "suite(needy) | suite(modules)"
needs = ["{need}"]
"""


class Needing:
    """So many tests that need nothing, and so many that need a database (through `psql`), or the resource `need`, which is away while
    there is a file `gone`; each of `seconds`. Most of the latter live in processes of `python` that outlast a test.
    """

    def __init__(self, folder, free, needy, seconds, python, psql=None, need=None, gone=None):
        self.folder, self.known, self.needy = folder, {}, set()
        folder.mkdir(parents=True, exist_ok=True)
        self.side = folder / "side"
        self.side.mkdir(exist_ok=True)
        touch = f"{psql} -q -v ON_ERROR_STOP=1 -c 'CREATE TABLE left_behind (a int)' >&2" if psql else f"! test -e {gone}"
        modules = needy * 7 // 8
        suites = self._scripts("free", free, seconds, "true") + self._scripts("needy", needy - modules, seconds, touch)
        self.needy = {id_ for id_ in self.known if id_.startswith("needy::")}
        params = [f"{at:05d}-{seconds:.2f}" for at in range(modules)]
        use = CONNECTS if psql else LOOKS.format(gone=str(gone))
        (folder / "test_needy.py").write_text(MODULE.replace("PARAMS", json.dumps(params)).replace("USE", use))
        ids = {f"test_needy.py::test_one[{one}]" for one in params}
        self.known |= dict.fromkeys(ids, "passed")
        self.needy |= ids
        self.timings = folder / "timings.json"
        self.timings.write_text(json.dumps(dict.fromkeys(sorted(ids), seconds)))
        suites += MODULES.format(python=json.dumps(str(python)))
        if psql:
            suites += DATABASE.format(suite="needy") + DATABASE.format(suite="modules")
        override = NEEDS.format(need=need) if need else ""
        (folder / "regatta.toml").write_text(CONFIG.format(suites=suites, override=override))

    def _scripts(self, suite, tests, seconds, touch):
        ids = [f"{suite[0]}{at:05d}-{seconds:.2f}" for at in range(tests)]
        self.known |= {f"{suite}::{id_}": "passed" for id_ in ids}
        (self.folder / f"{suite}.txt").write_text("\n".join(ids) + "\n")
        (self.folder / f"{suite}.sh").write_text(SCRIPT.format(suite=suite, touch=touch))
        return SUITE.format(folder=self.folder, suite=suite)

    def failing(self):
        return 0


class Away:
    """What was away from one uptime to another, and what executions of a workload have to do with that."""

    #: Nobody knows at once that something is gone: it is looked for, the coordinator is told, and tells workers.
    NOTICED_S = 1.0

    def __init__(self, workload, since, until):
        self.workload, self.since, self.until = workload, since, until

    def _needs(self, one):
        return one.id in self.workload.needy

    def excused(self, executions):
        """Those that failed because the thing went away under them, or began before that was known."""
        last = self.since + self.NOTICED_S
        return [one for one in executions if self._needs(one) and one.outcome != "passed" and one.began < last and (one.ended or last) >= self.since]

    def begun(self, executions):
        """What needs the thing and began while it was known to be away: nothing should."""
        return [one for one in executions if self._needs(one) and self.since + self.NOTICED_S <= one.began < self.until]

    def last_unknowing(self, executions):
        """When the last test that needs the thing began before it was known, in seconds from when it went."""
        return max((one.began - self.since for one in executions if self._needs(one) and self.since <= one.began < self.until), default=0.0)

    def went_on(self, executions):
        """What needs nothing and began meanwhile."""
        return [one for one in executions if not self._needs(one) and self.since + self.NOTICED_S <= one.began < self.until]

    def first_after(self, executions):
        """When the first test that needs the thing began once it was back, in seconds from then; None if none did."""
        return min((one.began - self.until for one in executions if self._needs(one) and one.began >= self.until), default=None)
