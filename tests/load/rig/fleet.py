"""Coordinators and workers as processes that can be killed, stopped, and started again; all of them end with whoever started them.

The rig works with a copy of the binary, because a build may replace the original while a fleet runs. Only one thread may start
processes: the system ends a child that asked to end with its parent together with the *thread* that made it.
"""

import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from datetime import datetime
from pathlib import Path

from . import regatta
from .places import ROOT

READY_S = 60


def uptime():
    """Seconds since the machine started, by the clock that side logs tell: no step of the system's clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """To be called in a child: a rig that is killed leaves nothing behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def binary_in(folder):
    """A copy of the binary under test."""
    found = regatta.binary()
    if found is None:
        raise SystemExit("no regatta: build it (cargo build -p regatta --release), or name one in REGATTA_BIN")
    copy = Path(folder) / "regatta"
    if not copy.exists():
        shutil.copy(found, copy)
    return copy


def knows(binary, command, flag):
    """Whether a command of this binary has a flag."""
    return flag in subprocess.run([binary, command, "--help"], capture_output=True, text=True).stdout


class Process:
    """One process of a fleet, and its log. It may be started again: another process in the same seat."""

    def __init__(self, words, env, folder, name, prefix=(), cwd=ROOT):
        self.words, self.env, self.folder, self.name = [*prefix, *map(str, words)], env, Path(folder), name
        self.cwd, self.logs, self.process = cwd, [], None
        self.start()

    def start(self, prefix=()):
        self.logs.append(self.folder / f"{self.name}-{len(self.logs) + 1}.log")
        with open(self.logs[-1], "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.words],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.cwd,
                preexec_fn=die_with_parent,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        """The log of the process that was started last."""
        return self.logs[-1]

    def said(self):
        return self.log.read_text(errors="replace")

    def runs(self):
        return self.process.poll() is None

    def signal(self, which):
        if self.runs():
            self.process.send_signal(which)

    def kill(self):
        """`kill -9`. Returns when, by `uptime`."""
        at = uptime()
        self.process.kill()
        self.process.wait()
        return at

    def wait_for(self, text, seconds=READY_S):
        """Until the process has said something."""
        deadline = time.monotonic() + seconds
        while text not in self.said():
            if not self.runs() and text not in self.said():
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}: {self.said()[-2000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not say `{text}` in {seconds} s: {self.said()[-2000:]}")
            time.sleep(0.02)

    def end(self, seconds=30):
        """Asks it to end, and sees to it that it does. Returns its exit code."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self.process.returncode


class Worker(Process):
    """A worker in its seat. What it spools stays in the seat when it is killed."""

    #: Every worker process that was killed: its id, and when by `uptime`.
    def __init__(self, *words, **more):
        self.killed = []
        super().__init__(*words, **more)

    def ids(self):
        """Its ids: its own, and that of a worker for which it goes on. None where it was killed before it could say so."""
        return set(re.findall(r'"worker":"([^"]+)"', self.said()))

    def kill(self):
        at = super().kill()
        self.killed += [(id_, at) for id_ in self.ids()]
        return at


class Fleet:
    """Coordinators that share a store, and workers."""

    def __init__(self, folder, env, store=None, coordinators=1, log="info", more=(), binary=None, prefix=(), data=None, own=()):
        """`store` is an address for `--store`, or one for each coordinator; without one it is the directory `data`. `more` are further words for coordinators, and
        `prefix` puts them into a network of their own, where they listen to everybody. `own` are variables for them alone.
        """
        self.folder, self.env = Path(folder), env
        self.binary = binary or binary_in(folder)
        self.data = data or self.folder / "data"
        self.spools = knows(self.binary, "worker", "--spool")
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(coordinators)]
        self.url = ",".join(f"http://{address}" for address in self.addresses)
        self.workers, self.coordinators, self.coordinator_kills = [], [], []
        env = {**env, "REGATTA_LOG": log, **dict(own)}
        for at, address in enumerate(self.addresses):
            own_store = store[at] if isinstance(store, list) else store
            where = ["--store", own_store, "--advertise", f"http://{address}"] if store else []
            data = self.data if at == 0 else self.folder / f"data-{at}"
            listen = address.replace("127.0.0.1", "0.0.0.0") if prefix else address
            words = [self.binary, "coordinator", "--listen", listen, "--data", data, *where, *more]
            self.coordinators.append(Process(words, env, self.folder, f"coordinator-{at}", prefix=prefix))
        self.prefix = prefix
        self.wait()

    def wait(self):
        """Until each coordinator listens."""
        if self.prefix:
            # Nobody gets at them from here.
            return [process.wait_for("the coordinator is ready") for process in self.coordinators]
        for process, address in zip(self.coordinators, self.addresses):
            host, port = address.split(":")
            deadline = time.monotonic() + READY_S
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex((host, int(port))) == 0:
                        break
                if not process.runs() or time.monotonic() > deadline:
                    raise RuntimeError(f"no coordinator on {address}: {process.said()[-2000:]}")
                time.sleep(0.05)

    def add_worker(self, slots, url=None, prefix=(), more=(), env=()):
        at = len(self.workers)
        spool = ["--spool", self.folder / f"spool-{at}"] if self.spools else []
        words = [self.binary, "worker", "--on", url or self.url, "--slots", slots, "--name", f"w{at}", *spool, *more]
        self.workers.append(Worker(words, {**self.env, **dict(env)}, self.folder, f"worker-{at}", prefix=prefix))
        return self.workers[-1]

    def kill_worker(self, at):
        """Kills the worker in a seat; another one takes the seat."""
        self.workers[at].kill()
        self.workers[at].start()

    def kill_coordinator(self, at=0):
        self.coordinator_kills.append((time.time(), self.coordinators[at].kill()))
        self.coordinators[at].start()

    def killed(self):
        """When each worker was killed, by its id."""
        found = {}
        for worker in self.workers:
            for id_, at in worker.killed:
                found.setdefault(id_, []).append(at)
        return found

    def away(self):
        """From each kill of a coordinator to the next word that one is ready, in seconds."""
        ready = sorted(at for process in self.coordinators for log in process.logs for at in _ready(log))
        return [next((at - killed for at in ready if at > killed), None) for killed, _ in self.coordinator_kills]

    def end(self):
        for process in [*self.workers, *self.coordinators]:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in [*self.workers, *self.coordinators]:
            process.end()

    def panics(self):
        """What no log may hold, a line each."""
        found = []
        for log in sorted(self.folder.glob("*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if "panicked at" in line or "mistake in Regatta" in line:
                    found.append(f"{log.name}: {line[:300]}")
        return found


def _ready(log):
    for line in log.read_text(errors="replace").splitlines():
        if "the coordinator is ready" in line:
            try:
                yield datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
            except (ValueError, KeyError):
                continue


class Run:
    """`regatta run` on a fleet, with its stream of events in a file."""

    def __init__(self, fleet, cwd, *more, name="run", prefix=(), url=None):
        self.out = fleet.folder / f"{name}.ndjson"
        self.err = fleet.folder / f"{name}.err"
        words = [*prefix, str(fleet.binary), "run", "--on", url or fleet.url, "--format", "ndjson", *map(str, more)]
        self.began = time.monotonic()
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                words, cwd=cwd, env=fleet.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=die_with_parent
            )
        self.read, self.finished = 0, 0

    def progress(self):
        """How many verdicts it has told so far."""
        with open(self.out, "rb") as out:
            out.seek(self.read)
            new = out.read()
        # A line that is not whole yet is read again.
        whole = new[: new.rfind(b"\n") + 1]
        self.read += len(whole)
        self.finished += whole.count(b'"event":"test_finished"')
        return self.finished

    def runs(self):
        return self.process.poll() is None

    def wait(self, seconds):
        """Its exit code, or None when it takes longer."""
        try:
            return self.process.wait(max(0.1, seconds))
        except subprocess.TimeoutExpired:
            return None

    def seconds(self):
        return time.monotonic() - self.began

    def end(self):
        if self.runs():
            self.process.kill()
            self.process.wait()

    def events(self):
        found = []
        for line in self.out.read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found
