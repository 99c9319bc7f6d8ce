"""A network of its own for each worker, with a wire to the coordinator's that can be cut, in one direction or both.

Everything is in network namespaces that end with the rig; nothing of it is seen by the rest of the machine. Packets are dropped without
a word, as by a partition: a queue without room stands at the end of the wire whose packets are to be lost. Needs root, and `ip` and
`tc` (Debian: iproute2).
"""

import os
import shutil
import subprocess

#: What may become of a wire. `out` loses what the worker says, `in` what it is told.
FAULTS = ("both", "out", "in", "slow", "down")


class Unable(Exception):
    """This machine does not allow it."""


def _run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Unable(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


class Network:
    """A hub, in which the coordinator lives, and a place for each worker."""

    def __init__(self, places):
        if os.getuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
            raise Unable("network namespaces need root, and `ip` and `tc` (Debian: apt-get install iproute2)")
        self.names, self.faults = [], {}
        self.mark = f"rg{os.getpid():x}"
        self.places = places

    def __enter__(self):
        try:
            self.hub = self._place("hub")
            for at in range(self.places):
                self._wire(at, self._place(str(at)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def _place(self, what):
        name = f"{self.mark}-{what}"
        _run("ip", "netns", "add", name)
        self.names.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def _wire(self, at, place):
        _run("ip", "-n", self.hub, "link", "add", f"h{at}", "type", "veth", "peer", "name", "wire", "netns", place)
        _run("ip", "-n", self.hub, "addr", "add", f"{self.address(at)}/30", "dev", f"h{at}")
        _run("ip", "-n", place, "addr", "add", f"10.213.{at}.2/30", "dev", "wire")
        _run("ip", "-n", self.hub, "link", "set", f"h{at}", "up")
        _run("ip", "-n", place, "link", "set", "wire", "up")

    def address(self, at):
        """Under which a worker sees the hub."""
        return f"10.213.{at}.1"

    def inside(self, at=None):
        """What has to stand before a command that is to run at a place; in the hub without one."""
        return ["ip", "netns", "exec", self.hub if at is None else f"{self.mark}-{at}"]

    def _ends(self, at):
        return {"out": (f"{self.mark}-{at}", "wire"), "in": (self.hub, f"h{at}")}

    def cut(self, at, fault):
        """Does something to a wire that is whole."""
        ends = self._ends(at)
        if fault == "down":
            _run("ip", "-n", self.hub, "link", "set", f"h{at}", "down")
        elif fault == "slow":
            for place, wire in ends.values():
                # Some 4 KB a second, and what does not fit is lost.
                _run("ip", "netns", "exec", place, "tc", "qdisc", "replace", "dev", wire, "root", *"tbf rate 32kbit burst 2000 limit 6000".split())
        else:
            for place, wire in ends.values() if fault == "both" else [ends[fault]]:
                _run("ip", "netns", "exec", place, "tc", "qdisc", "replace", "dev", wire, "root", "pfifo", "limit", "0")
        self.faults[at] = fault

    def heal(self, at):
        """Makes a wire whole again."""
        fault = self.faults.pop(at, None)
        if fault == "down":
            # Takes its address along, and brings it back by itself.
            _run("ip", "-n", self.hub, "link", "set", f"h{at}", "up")
        for place, wire in self._ends(at).values() if fault else []:
            subprocess.run(["ip", "netns", "exec", place, "tc", "qdisc", "del", "dev", wire, "root"], capture_output=True)
