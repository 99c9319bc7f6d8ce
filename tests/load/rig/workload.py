"""A workload whose every execution can be checked: short tests of two runners, some of which fail on purpose, and all of which keep a
side log (see sidelog.py).
"""

import json
import random

# Lines are written by the shell's own `echo`, and the clock is read by its own `read`: a test costs one process, and one for its sleep.
SCRIPT = """#!/bin/sh
side=$SIDE_LOG/$REGATTA_WORKER-$REGATTA_SLOT.side
who="scripts::$1 $REGATTA_ATTEMPT $REGATTA_TOKEN $REGATTA_WORKER $REGATTA_SLOT"
read -r up _ </proc/uptime
echo "begin $who $up" >>"$side"
sleep "${1##*-}"
case $1 in *-fail-*) outcome=failed ;; *) outcome=passed ;; esac
read -r up _ </proc/uptime
echo "end $who $up $outcome" >>"$side"
[ $outcome = passed ]
"""

CONFTEST = '''
import os, time
import pytest

def note(what, request, *more):
    env = os.environ
    side = f"{env['SIDE_LOG']}/{env['REGATTA_WORKER']}-{env['REGATTA_SLOT']}.side"
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    who = (request.node.nodeid, env["REGATTA_ATTEMPT"], env["REGATTA_TOKEN"], env["REGATTA_WORKER"], env["REGATTA_SLOT"])
    line = " ".join((what, *who, f"{up:.2f}", *more)) + "\\n"
    file = os.open(side, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line.encode())
    os.close(file)

@pytest.fixture
def noted(request):
    note("begin", request)
    yield lambda outcome: note("end", request, outcome)
'''

MODULE = """
import time
import pytest

@pytest.mark.parametrize("what", {params})
def test_one(what, noted):
    _, kind, seconds = what.split("-")
    time.sleep(float(seconds))
    noted("failed" if kind == "fail" else "passed")
    assert kind != "fail"
"""

CONFIG = """
[project]
name = "survive"

{suites}

[profile.default]
retries = 0
# A test is not to blame for the storm around it.
uncompleted-retries = 50
timeout = "120s"
"""

EXEC = """
[suite.scripts]
runner = "exec"
command = ["sh", "{folder}/test.sh", "{{id}}"]
list = ["cat", "{folder}/ids.txt"]
env = {{ LD_PRELOAD = "" }}
"""

PYTEST = """
[suite.modules]
runner = "pytest"
python = {python}
args = ["-p", "no:cacheprovider"]
env = {{ LD_PRELOAD = "" }}
"""


class Workload:
    """So many tests, written into a folder: what each is called, and how it ends."""

    def __init__(self, folder, tests, seconds, python=None, share=0.5, seed=1, per_file=50):
        """`share` of them run under pytest where `python` has one; each takes `seconds` on average, one in 50 fails."""
        self.folder, self.known = folder, {}
        folder.mkdir(parents=True, exist_ok=True)
        chance = random.Random(seed)
        modules = round(tests * share) if python else 0
        ids, params, name = [], [], ""
        for at in range(tests):
            kind = "fail" if at % 50 == 7 else "pass"
            one = f"{at:05d}-{kind}-{chance.uniform(0.2, 1.8) * seconds:.3f}"
            outcome = "failed" if kind == "fail" else "passed"
            if at < modules:
                name = f"test_{at // per_file:04d}.py"
                params.append(one)
                self.known[f"{name}::test_one[{one}]"] = outcome
                if len(params) == per_file or at + 1 == modules:
                    (folder / name).write_text(MODULE.format(params=json.dumps(params)))
                    params = []
            else:
                ids.append(f"e{one}")
                # Tests without a file stand under the name of their suite.
                self.known[f"scripts::{ids[-1]}"] = outcome
        suites = ""
        if modules:
            (folder / "conftest.py").write_text(CONFTEST)
            suites += PYTEST.format(python=json.dumps(str(python)))
        if ids:
            (folder / "test.sh").write_text(SCRIPT)
            (folder / "ids.txt").write_text("\n".join(ids) + "\n")
            suites += EXEC.format(folder=folder)
        (folder / "regatta.toml").write_text(CONFIG.format(suites=suites))
        self.side = folder / "side"
        self.side.mkdir(exist_ok=True)

    def failing(self):
        return sum(outcome == "failed" for outcome in self.known.values())
