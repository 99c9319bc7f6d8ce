"""Regatta's pytest host: pytest, kept warm, told over a socket what to collect and what to run.

It leaves every decision to the worker at the other end (what runs, in which order, for how long), and everything
about tests to pytest itself: its configuration, its collection, its fixtures, its hooks. It replaces two loops of
pytest: the one over files and the one over tests.

The invariant: a test is `started` before any code of it runs, and its `result` is told only after it ended. What they
say to each other is written down in docs/runner-protocol.md.

One file without dependencies, for Python 3.8 and pytest 7.4 or newer. The socket's path comes in REGATTA_SOCK: as an
argument it could take part in pytest's search for its root directory.
"""

import atexit
import gc
import json
import os
import socket
import sys
import time
from collections import deque

PROTOCOL = 1
OLDEST_PYTEST = (7, 4)
OLDEST_PYTHON = (3, 8)

# How this process exits when the worker cannot be spoken to any more: a test closed descriptors that are not its own.
EXIT_LOST = 86
# How it exits when it has said why it cannot work.
EXIT_REFUSED = 87

# Bounds that mirror shared/domain/src/limits.rs.
REASON_CHARS = 500
ERROR_CHARS = 16 * 1024
HEAD_CHARS = 64 * 1024
TAIL_CHARS = 192 * 1024
# Tests or files in one message: at 200 bytes each, far below what the worker takes as one line.
CHUNK = 1000
TAGS = 32
TAG_CHARS = 200
# A test that took so long (microseconds) may have been overtaken by word that no other is to begin.
LONG_US = 5000
# Above the descriptors that tests close in a loop (`os.closerange(3, 100)`), below every limit.
SOCKET_FD = 200


class Link:
    """The connection to the worker: one JSON object a line."""

    def __init__(self, sock):
        self.sock = sock
        self.pid = os.getpid()
        self.rest = b""
        self.inbox = deque()

    def say(self, line):
        """Sends a line that is JSON already."""
        # A test may fork, and its child may come back into this loop: it must not speak in the name of its parent.
        if os.getpid() != self.pid:
            os._exit(0)
        try:
            self.sock.sendall(line.encode())
        except OSError:
            os._exit(EXIT_LOST)

    def tell(self, say, **fields):
        self.say(json.dumps({"say": say, **fields}, separators=(",", ":")) + "\n")

    def hear(self):
        """The next message; waits for it. `None` once the worker is gone."""
        while not self.inbox:
            if not self._receive(0):
                return None
        return self.inbox.popleft()

    def look(self):
        """Takes in what has arrived, without waiting."""
        try:
            self._receive(socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass

    def _receive(self, flags):
        if os.getpid() != self.pid:
            os._exit(0)
        try:
            data = self.sock.recv(1 << 16, flags)
        except BlockingIOError:
            raise
        except OSError:
            os._exit(EXIT_LOST)
        *lines, self.rest = (self.rest + data).split(b"\n")
        self.inbox.extend(map(json.loads, lines))
        return bool(data)


def bounded(text, head=HEAD_CHARS, tail=TAIL_CHARS):
    """Head and tail of `text`, what was cut between them said; free of what JSON or UTF-8 cannot carry."""
    cut = len(text) - head - tail
    if cut > 0:
        text = "%s\n[... %d characters cut ...]\n%s" % (text[:head], cut, text[-tail:])
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text):
    """The first line of `text` that says something."""
    line = next((line.strip() for line in str(text).splitlines() if line.strip()), "")
    return bounded(line, REASON_CHARS, 0) if len(line) <= REASON_CHARS else bounded(line[:REASON_CHARS]) + "…"


def reason_of(longrepr):
    """The one line that says why a report is not a pass."""
    if isinstance(longrepr, tuple):
        return one_line(longrepr[2])
    crash = getattr(longrepr, "reprcrash", None)
    if crash is not None:
        return one_line(crash.message)
    lines = [line for line in str(longrepr).splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E  ")]
    if marked:
        return one_line(marked[-1])
    if hasattr(longrepr, "errorstring"):
        return one_line(longrepr.errorstring)
    return one_line(lines[0] if isinstance(longrepr, str) and lines else lines[-1] if lines else "")


class Verdict:
    """What the reports of one test add up to."""

    __slots__ = ("outcome", "nuance", "reason", "texts", "seen")

    def __init__(self):
        self.seen = False
        self.clear()

    def clear(self):
        self.outcome = "passed"
        self.nuance = None
        self.reason = None
        self.texts = []

    def add(self, report):
        """Takes in a report that is more than an ordinary pass."""
        if report.outcome == "rerun":
            # pytest-rerunfailures starts over: what was reported of this attempt no longer counts.
            self.clear()
        elif report.outcome == "failed":
            self._failed(report)
        elif report.outcome == "skipped":
            if self.outcome == "passed" and not is_subtest(report):
                self.outcome = "skipped"
                expected = hasattr(report, "wasxfail")
                self.nuance = "expected_failure" if expected else None
                self.reason = one_line(report.wasxfail or "expected to fail") if expected else reason_of(report.longrepr)
        elif hasattr(report, "wasxfail") and report.when == "call" and not is_subtest(report):
            self.nuance = "unexpected_pass"
            self.reason = one_line(report.wasxfail or "expected to fail, and passed")

    def _failed(self, report):
        text = str(report.longreprtext)
        if is_subtest(report):
            nuance, heading = None, "subtest " + subtest_name(report)
        elif report.when == "call":
            unexpected = text.startswith("[XPASS(strict)]") or text == "Unexpected success"
            nuance, heading = "unexpected_pass" if unexpected else None, None
        else:
            nuance = "setup_error" if report.when == "setup" else "teardown_error"
            heading = "error in " + report.when
        if self.outcome != "failed":
            self.outcome = "failed"
            self.nuance = nuance
            self.reason = reason_of(report.longrepr)
        if heading:
            text = "%s\n%s" % (heading.center(len(heading) + 2).center(79, "_"), text)
        self.texts.append(text)

    def interrupted(self, reason):
        """A test that stopped the whole session fails, and the session goes on."""
        self.outcome, self.nuance, self.reason = "failed", None, one_line(reason)
        self.texts.append(reason)


def is_subtest(report):
    # `SubTestReport` of the plugin, `SubtestReport` of pytest 9.
    return type(report).__name__.lower() == "subtestreport"


def subtest_name(report):
    context = getattr(report, "context", None)
    parts = [str(context.msg)] if getattr(context, "msg", None) else []
    parts += ["%s=%s" % pair for pair in (getattr(context, "kwargs", None) or {}).items()]
    return ", ".join(parts) or "(no name)"


class Hold:
    """Stands for a next test that is not known yet, so that pytest tears down what is the test's own and nothing else.

    pytest compares the chain of collectors above the two; this one shares all of them with the test, so that fixtures
    of its class, module and session stay. They are torn down once the next test is known (`Host.settle`).
    """

    def __init__(self, item):
        self._item = item

    def listchain(self):
        return self._item.listchain()[:-1] + [self]

    def __getattr__(self, name):
        return getattr(self._item, name)


def dress(variables):
    """Sets variables; what was there before, for `undress`."""
    before = [(name, os.environ.get(name)) for name, _ in variables]
    os.environ.update(variables)
    return before


def undress(before):
    """Puts back what was there."""
    for name, value in before:
        if value is not None:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


class Shard:
    """What tests are told of the shard that they belong to."""

    def __init__(self):
        self.before = []
        self.namespace = self.cleanup = ""

    def begin(self, told):
        """Another shard: nothing of the last one is told any more."""
        undress(self.before)
        self.before = dress(told["env"])
        self.namespace, self.cleanup = told["namespace"], told["cleanup"]
        self.attempt(0)

    def attempt(self, ix):
        number = str(ix)
        os.environ["REGATTA_NAMESPACE"] = self.namespace + number
        os.environ["REGATTA_CLEANUP"] = self.cleanup + number


class Silent:
    """Stands in for the terminal reporter: plugins that write to it may, and none of its hooks cost anything."""

    def __init__(self, reporter):
        self._reporter = reporter

    def __getattr__(self, name):
        return getattr(self._reporter, name)


class Skipped:
    """A collector that skipped all it holds: pytest counts it as one skipped test, and so do we."""

    def __init__(self, node, report):
        self.nodeid = node.nodeid
        self.node = node
        self.reason = reason_of(report.longrepr)


class File:
    """A collected file: what its names stand for."""

    __slots__ = ("path", "items", "error")

    def __init__(self, path):
        self.path = path
        self.items = {}
        self.error = None


class Catalog:
    """Finds the collectors of files, and the tests in them, by pytest's own collection, one file at a time."""

    def __init__(self, session):
        self.session = session
        self.config = session.config
        # pytest 8 made directories collectors, which can be asked one by one; before, only all of it could be walked.
        import _pytest.nodes

        self.directory = getattr(_pytest.nodes, "Directory", None)
        self.file = _pytest.nodes.File
        self.item = _pytest.nodes.Item
        self.roots = None
        self.known = None
        self.children = {}
        self.broken = {}
        self.base = str(self.config.invocation_params.dir)
        # Parts behind `::` in arguments, by path: what of a file is wanted.
        self.wanted = {}
        # Failed reports of collectors since the last call of `take_errors`.
        self.errors = []
        self.skipped = []
        self.said = set()

    def begin(self):
        """What `Session.perform_collect` does before it goes for the first file."""
        from _pytest.main import resolve_collection_argument

        session, option = self.session, self.config.option
        session._notfound = []
        session._collection_cache = {}
        session.items = []
        parts, paths, parents = [], [], []
        for index, arg in enumerate(self.config.args):
            bare = arg.split("::")[0]
            found = self._resolve(resolve_collection_argument, bare, index, option)
            path = getattr(found, "path", None) or found[0]
            rest = arg[len(bare) + 2 :]
            self.wanted.setdefault(path, set()).add(rest)
            parts.append(found)
            paths.append(path)
            parents += [path, *path.parents]
        if not self.config.getoption("keepduplicates"):
            try:
                from _pytest.main import normalize_collection_arguments
            except ImportError:
                pass
            else:
                parts = normalize_collection_arguments(parts)
        self.wanted = {path: rests for path, rests in self.wanted.items() if "" not in rests}
        session._initial_parts = parts
        session._initialpaths = frozenset(paths)
        session._initialpaths_with_parents = frozenset(parents)

    def _resolve(self, resolve, arg, index, option):
        where = self.config.invocation_params.dir
        try:
            return resolve(where, arg, as_pypath=option.pyargs)
        except TypeError:
            # pytest 9 wants to know more.
            namespaces = self.config.getini("consider_namespace_packages")
            return resolve(where, arg, index, as_pypath=option.pyargs, consider_namespace_packages=namespaces)

    def _roots(self):
        if self.roots is None:
            from _pytest.runner import collect_one_node

            report = collect_one_node(self.session)
            self.session.ihook.pytest_collectreport(report=report)
            self.roots = list(report.result or ()) if report.passed else []
            if self.session._notfound:
                missing = ", ".join(str(arg) for arg, _ in self.session._notfound)
                self.session._notfound = []
                if not self.errors:
                    raise LookupError("pytest finds nothing to collect in " + missing)
        return self.roots

    def _expand(self, node):
        """The children of a directory (of a package, before pytest 8), each seen once."""
        if node not in self.children:
            before = len(self.errors)
            report = collect(node)
            node.ihook.pytest_collectreport(report=report)
            self.children[node] = list(report.result or ()) if report.passed else []
            for error in self.errors[before:]:
                self.broken[str(node.path)] = error
            del self.errors[before:]
        return self.children[node]

    def _is_directory(self, node):
        if self.directory is not None:
            return isinstance(node, self.directory)
        return type(node).__name__ == "Package" or not isinstance(node, (self.file, self.item))

    def discover(self):
        """The collectors of every file, by the path that stands at the front of the ids of its tests."""
        if self.known is None:
            known = {}
            stack = list(reversed(self._roots()))
            while stack:
                node = stack.pop()
                if self._is_directory(node):
                    stack += reversed(self._expand(node))
                else:
                    nodes = known.setdefault(self._shown(node), [])
                    if node not in nodes:
                        nodes.append(node)
            self.known = known
            self.errors += self.broken.values()
        return self.known

    def nodes(self, path):
        """The collectors of one file: usually one, more where doctests stand beside tests, none where it is gone."""
        if self.known is None and self.directory is not None:
            full = os.path.join(self.base, path)
            nodes = self._descend(full)
            if nodes:
                return nodes
            # A directory that could not be collected takes its files with it, each time one is asked for.
            self.errors += [error for at, error in self.broken.items() if full.startswith(at + os.sep)]
            if self.errors:
                return []
        return self.discover().get(path, [])

    def _shown(self, node):
        """How people name the file: its path from where pytest was started, as its arguments would."""
        return os.path.relpath(str(node.path), self.base).replace(os.sep, "/")

    def _descend(self, full):
        for root in self._roots():
            nodes, level = [], [root]
            while level:
                inside = []
                for node in level:
                    here = str(node.path)
                    if self._is_directory(node):
                        if full.startswith(here.rstrip(os.sep) + os.sep):
                            inside += self._expand(node)
                    elif here == full:
                        nodes.append(node)
                level = inside
            if nodes:
                return nodes
        return []

    def collect(self, path):
        """Collects a file as pytest would if there were no other. Runs inside the hook `pytest_collection`."""
        session, config = self.session, self.config
        items, before = [], session.items
        self.skipped = []
        session._collection_cache = {}
        for node in self.nodes(path):
            if isinstance(node, self.item):
                node.ihook.pytest_itemcollected(item=node)
                items.append(node)
            else:
                items.extend(session.genitems(node))
        if self.errors:
            return []
        items = self._asked_for(items)
        session.items = items
        try:
            config.hook.pytest_collection_modifyitems(session=session, config=config, items=items)
            config.hook.pytest_collection_finish(session=session)
        finally:
            session.items = before
        before.extend(items)
        session.testscollected = len(before)
        return self.skipped + items

    def _asked_for(self, items):
        if not self.wanted:
            return items
        asked = []
        for item in items:
            rests = self.wanted.get(getattr(item, "path", None))
            name = item.nodeid.partition("::")[2]
            if rests is None or any(
                name == rest or name.startswith(rest + "::") or name.startswith(rest + "[") for rest in rests
            ):
                asked.append(item)
        return asked

    def reported(self, report):
        """Takes in a collector's report."""
        if report.failed:
            place = report.nodeid or str(self.config.rootpath)
            self.errors.append((place, str(report.longreprtext)))
        elif report.skipped:
            self.skipped.append(Skipped(report, report))

    def take_errors(self):
        """What went wrong since this was last asked: [(place, text)]."""
        errors, self.errors = self.errors, []
        return errors


def collect(node):
    from _pytest.runner import collect_one_node

    return collect_one_node(node)


class Listing:
    """What is told of the tests of a file."""

    def __init__(self):
        self.tags = {}

    def row(self, name, item):
        """[name, line, group, tags, level]"""
        if isinstance(item, Skipped):
            return [name, 0, None, [], None]
        line = item.location[1]
        marks = list(item.iter_markers())
        tags, level, together = [], None, None
        for mark in marks:
            if mark.name == "regatta":
                level = level or mark.kwargs.get("level")
            elif mark.name == "xdist_group" and together is None:
                together = mark.args[0] if mark.args else mark.kwargs.get("name", "default")
            if mark.name != "parametrize":
                tags += tags_of(mark)
        group = "group %s" % together if together is not None else self.group(item)
        return [name, line + 1 if line is not None else 0, group, list(dict.fromkeys(tags))[:TAGS], level]

    def group(self, item):
        """The fixtures of class and module scope that a test requests, as far as they make it stay with others."""
        info = getattr(item, "_fixtureinfo", None)
        if info is None:
            return None
        widest, indexes = None, []
        callspec = getattr(item, "callspec", None)
        for name, defs in info.name2fixturedefs.items():
            scope = defs[-1].scope if defs else "function"
            if scope == "class" and is_idle_setup(name, item):
                continue
            if scope in ("class", "module"):
                if widest != "module":
                    widest = scope
                if callspec is not None and name in callspec.indices:
                    indexes.append("%s=%s" % (name, callspec.indices[name]))
        if widest is None:
            return None
        if widest == "class":
            widest = "class " + item.nodeid.rpartition("::")[0].partition("::")[2]
        return " ".join([widest, *sorted(indexes)])


def is_idle_setup(name, item):
    """Whether this is the fixture that pytest makes for every unittest class, and the class defines nothing for it."""
    if not name.startswith(("_unittest_setUpClass_fixture", "unittest_setUpClass_fixture")):
        return False
    import unittest

    cls, base = getattr(item, "cls", None), unittest.TestCase
    return cls is not None and all(
        getattr(getattr(cls, method, None), "__func__", None) is getattr(base, method).__func__
        for method in ("setUpClass", "tearDownClass")
    )


def tags_of(mark):
    yield mark.name
    for value in mark.args:
        if isinstance(value, (str, int, float)):
            yield ("%s=%s" % (mark.name, value))[:TAG_CHARS]
    for key, value in mark.kwargs.items():
        if isinstance(value, (str, int, float)):
            yield ("%s.%s=%s" % (mark.name, key, value))[:TAG_CHARS]


# Options that make sense for one process with all tests, and none for a host: they stop early, pick by what failed
# last, write reports that several hosts would write over each other, or start processes of their own.
NEUTRAL = {
    "maxfail": 0,
    "usepdb": False,
    "trace": False,
    "collectonly": False,
    "lf": False,
    "failedfirst": False,
    "newfirst": False,
    "stepwise": False,
    "stepwise_skip": False,
    "stepwise_reset": False,
    "cacheclear": False,
    "cacheshow": None,
    "xmlpath": None,
    "pastebin": None,
    "htmlpath": None,
    "report_log": None,
    "json_report": False,
    "json_report_file": "none",
    "numprocesses": None,
    "maxprocesses": None,
    "dist": "no",
    "distload": False,
    "looponfail": False,
    "tx": [],
}


# Where pytest looks for its options, in each folder above its arguments.
CONFIGURATION = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")


class Host:
    """The plugin: pytest's hooks on one side, the worker's messages on the other."""

    def __init__(self, link, prepared=None):
        self.link = link
        self.prepared = prepared
        self.setup = None
        self.session = None
        self.catalog = None
        self.files = {}
        self.queue = deque()
        self.verdict = Verdict()
        self.task = None
        self.last = None
        self.attempt = None
        self.shard = Shard()
        self.captures = []
        self.noted = set()
        # What pytest could not deal with itself, in its words.
        self.internal = None
        # Bound here, where freezegun and its like do not find them.
        self.clock = time.perf_counter
        self.epoch = time.time() - time.perf_counter()

    # Start-up.

    def prepare(self, setup):
        """Parses pytest's configuration, and takes out of it what does not go with a host."""
        from _pytest.config import _prepareconfig

        self.setup = setup
        args = setup["args"]
        sys.argv = ["pytest", *args]
        if self.prepared is not None:
            self.prepared.hand_over()
        config = _prepareconfig(list(args), plugins=[self])
        for name, value in NEUTRAL.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        seed = setup["seed"]
        if getattr(config.option, "randomly_seed", None) in ("default", "last"):
            config.option.randomly_seed = seed % 2**32
        if str(getattr(config.option, "random_order_seed", "")).startswith("default:"):
            config.option.random_order_seed = "default:%d" % seed
        if config.option.basetemp:
            config.option.basetemp = os.path.join(str(config.option.basetemp), self.worker_id())
        return config

    def worker_id(self):
        return "gw%d" % self.setup["slot"]

    def pytest_internalerror(self, excrepr):
        self.internal = str(excrepr)

    def pytest_configure(self, config):
        config.addinivalue_line("markers", "regatta(level): the database dependency of a test, for Regatta.")

    def pytest_sessionstart(self, session):
        self.session = session
        manager = session.config.pluginmanager
        reporter = manager.unregister(name="terminalreporter") if manager.hasplugin("terminalreporter") else None
        if reporter is not None:
            quiet(reporter)
            manager.register(Silent(reporter), "terminalreporter")
        for name in ("lfplugin", "nfplugin", "stepwiseplugin"):
            if manager.hasplugin(name):
                manager.unregister(name=name)
        self.captures = captures(manager.getplugin("capturemanager"))
        # `pytest_collection` goes through all plugins (warning filters, assertion rewriting) and ends here.
        session.perform_collect = self.perform

    # Collection.

    def perform(self):
        if self.task is not None:
            self.task()

    def collecting(self, place, task):
        """Runs `task` as pytest runs its collection; what is raised is an error like any other."""
        self.task = task
        collects_garbage = gc.isenabled()
        # Nearly all that is made here stays: looking through it for garbage, time and again, is a quarter of the work.
        gc.disable()
        try:
            self.session.config.hook.pytest_collection(session=self.session)
        except BaseException as error:  # A module may raise SystemExit or KeyboardInterrupt when it is imported.
            self.catalog.errors.append((place, described(error)))
        finally:
            self.task = None
            if collects_garbage:
                gc.enable()
                gc.collect(0)
        self.unstop()

    def pytest_collectreport(self, report):
        if self.catalog is not None and report.outcome != "passed":
            self.catalog.reported(report)

    def discover(self):
        found = {}
        self.collecting(self.catalog.base, lambda: found.update(self.catalog.discover()))
        self.tell_errors(None)
        paths = list(found)
        for chunk, more in chunks(paths):
            self.link.tell("files", files=chunk, more=more)

    def collect(self, message):
        number = message["n"]
        file = self.files[number] = File(message["file"])
        found = []
        self.collecting(file.path, lambda: found.extend(self.catalog.collect(file.path)))
        if self.catalog.errors:
            file.error = True
            self.tell_errors(number)
            return
        twice = []
        for item in found:
            name = item.nodeid.partition("::")[2]
            if name in file.items:
                if isinstance(item, Skipped):
                    name = "%s (%s)" % (name, len(file.items))
                else:
                    twice.append(name)
            file.items[name] = item
        if twice:
            names = ", ".join(repr(name) for name in twice[:5])
            what = "1 id stands" if len(twice) == 1 else "%d ids stand" % len(twice)
            text = "%s for more than one test: %s. Give the tests ids of their own." % (what, names)
            file.error = True
            self.link.tell("error", n=number, kind="collection", place=file.path, message=bounded(text))
        elif message.get("names"):
            for chunk, more in chunks(list(file.items)):
                self.link.tell("collected", n=number, names=chunk, more=more)
        else:
            self.list(number)

    def list(self, number):
        listing = Listing()
        rows = [listing.row(name, item) for name, item in self.files[number].items.items()]
        for chunk, more in chunks(rows):
            self.link.tell("collected", n=number, tests=chunk, more=more)

    def tell_errors(self, number):
        for place, text in self.catalog.take_errors():
            self.link.tell(
                "error", n=number, kind="collection", place=place, message=bounded(text, ERROR_CHARS // 4, ERROR_CHARS // 2)
            )

    # The loop.

    def pytest_runtestloop(self, session):
        config = session.config
        self.catalog = Catalog(session)
        # From here on plugins and fixtures see a worker of xdist, and key databases and ports on its name. Before, and
        # in the session's finish, they do not: there is no controller that would do once what is done once.
        config.workerinput = {
            "workerid": self.worker_id(),
            "workercount": self.setup["slots"],
            "testrunuid": self.setup["run"],
            "mainargv": list(sys.argv),
        }
        config.workeroutput = {}
        self.collecting(self.catalog.base, self.catalog.begin)
        if self.catalog.errors:
            place, text = self.catalog.take_errors()[0]
            self.link.tell("error", n=None, kind="runner", place=place, message=bounded(text, ERROR_CHARS // 2, 0))
            return True
        import pytest

        self.link.tell(
            "hello",
            protocol=PROTOCOL,
            framework="pytest",
            version=pytest.__version__,
            python="%d.%d.%d" % sys.version_info[:3],
            rootdir=str(config.rootpath),
            pid=os.getpid(),
        )
        while True:
            message = self.link.hear()
            do = "shutdown" if message is None else message["do"]
            if do == "run":
                self.enqueue(message)
                self.run()
            elif do == "collect":
                self.collect(message)
            elif do == "list":
                self.list(message["n"])
            elif do == "discover":
                self.discover()
            elif do == "shard":
                self.shard.begin(message["shard"])
            elif do == "halt":
                # Everything that was asked for before has been run.
                self.link.tell("halted")
            elif do == "shutdown":
                self.settle(None)
                return True

    def enqueue(self, message):
        """Takes tests into the queue; those that are not there are told at once."""
        for number, ix, attempt, name, *own in message["tests"]:
            file = self.files.get(number)
            item = file.items.get(name) if file is not None else None
            if item is None:
                self.link.tell("result", ix=ix, outcome="missing", us=0)
            elif isinstance(item, Skipped):
                self.link.say(self.started(ix))
                self.link.tell("result", ix=ix, outcome="skipped", us=0, reason=item.reason)
            else:
                self.queue.append((ix, item, attempt, own))

    def started(self, ix):
        return '{"say":"started","ix":%d,"at":%d}\n' % (ix, (self.epoch + self.clock()) * 1e6)

    def run(self):
        """Runs what is queued. A result and the start of the next test are one write."""
        queue, link, clock = self.queue, self.link, self.clock
        protocol = self.session.config.hook.pytest_runtest_protocol
        verdict, shard = self.verdict, self.shard
        if queue:
            self.settle(queue[0][1])
            link.say(self.started(queue[0][0]))
        while queue:
            ix, item, attempt, own = queue.popleft()
            if attempt != self.attempt:
                self.attempt = attempt
                os.environ["REGATTA_ATTEMPT"] = str(attempt)
            shard.attempt(ix)
            if own:
                own = dress(own[0])
            if not queue:
                self.more()
            if queue:
                next_item = queue[0][1]
            else:
                next_item = Hold(item)
            self.last = item
            verdict.seen = False
            begun = clock()
            try:
                protocol(item=item, nextitem=next_item)
            except BaseException as error:
                self.interrupted(item, next_item, error)
            us = (clock() - begun) * 1e6
            if self.capture_is_broken():
                self.mend_capture(next_item)
            if own:
                undress(own)
            if verdict.seen and verdict.outcome == "passed" and verdict.nuance is None:
                line = '{"say":"result","ix":%d,"outcome":"passed","us":%d}\n' % (ix, us)
            else:
                line = self.result(ix, item, us)
            if item._report_sections:
                # What it printed was told where it matters; pytest would keep it for as long as the item lives.
                item._report_sections.clear()
            if queue and us > LONG_US:
                link.look()
                line += self.halt()
            if queue:
                line += self.started(queue[0][0])
            link.say(line)
            if self.session.shouldstop or self.session.shouldfail:
                self.unstop()

    def halt(self):
        """Forgets what is queued, where that was asked for; what is to be said of it."""
        inbox = self.link.inbox
        if not any(message["do"] == "halt" for message in inbox):
            return ""
        self.queue.clear()
        kept = [message for message in inbox if message["do"] not in ("run", "halt")]
        inbox.clear()
        inbox.extend(kept)
        return '{"say":"halted"}\n'

    def more(self):
        """Looks whether the next tests have come, so that the test that runs now knows what follows it."""
        inbox = self.link.inbox
        if not inbox:
            self.link.look()
        while inbox and inbox[0]["do"] == "run":
            self.enqueue(inbox.popleft())

    def pytest_runtest_logreport(self, report):
        verdict = self.verdict
        verdict.seen = True
        if report.outcome != "passed" or hasattr(report, "wasxfail"):
            verdict.add(report)

    def result(self, ix, item, us):
        verdict = self.verdict
        if not verdict.seen:
            verdict.interrupted("no report of the test was made: a plugin took it over")
        fields = {"say": "result", "ix": ix, "outcome": verdict.outcome, "us": int(us)}
        if verdict.nuance:
            fields["nuance"] = verdict.nuance
        if verdict.reason:
            fields["reason"] = verdict.reason
        if verdict.texts:
            fields["output"] = self.output(item)
        verdict.clear()
        return json.dumps(fields, separators=(",", ":")) + "\n"

    def output(self, item):
        """The failure as pytest words it, and what the test printed."""
        parts = list(self.verdict.texts)
        wanted = getattr(self.session.config.option, "showcapture", "all")
        for when, key, content in item._report_sections:
            if wanted == "all" or (wanted != "no" and wanted in key):
                parts.append("%s\n%s" % ((" Captured %s %s " % (key, when)).center(79, "-"), content.rstrip("\n")))
        return bounded("\n".join(parts) + "\n")

    def interrupted(self, item, next_item, error):
        """Something came out of pytest's protocol that would have ended the session: the test's fault, and only its."""
        name = type(error).__name__
        stops = {"Exit": "pytest.exit() was called", "KeyboardInterrupt": "KeyboardInterrupt was raised"}
        says = getattr(error, "msg", None) or str(error)
        if name in stops:
            reason = stops[name] + (": %s" % says if says else "")
        else:
            reason = described(error)
        self.verdict.seen = True
        self.verdict.interrupted(reason)
        self.torn_down(next_item)
        os.environ.pop("PYTEST_CURRENT_TEST", None)

    def torn_down(self, next_item):
        """Does what pytest's teardown would have done had it come that far."""
        try:
            self.session._setupstate.teardown_exact(next_item)
        except BaseException as error:
            self.verdict.texts.append(described(error))

    def settle(self, next_item):
        """Tears down what the tests before `next_item` shared, and it does not: the other half of `Hold`."""
        item, state = self.last, self.session._setupstate
        if item is None or not state.stack:
            return
        capture = self.session.config.pluginmanager.getplugin("capturemanager")
        try:
            if capture is None:
                state.teardown_exact(next_item)
            else:
                with capture.item_capture("teardown", item):
                    state.teardown_exact(next_item)
        except BaseException as error:
            self.verdict.texts = [failure(item, error)]
            text, place = self.output(item), item.nodeid
            self.verdict.clear()
            self.link.tell(
                "error", n=None, kind="teardown", place=place, message=bounded(text, ERROR_CHARS // 4, ERROR_CHARS // 2)
            )
        item._report_sections.clear()

    def capture_is_broken(self):
        """Whether a test has closed `sys.stdout` or `sys.stderr`, which are pytest's own files."""
        return any(file.closed for file in self.captures)

    def mend_capture(self, next_item):
        """Starts pytest's capture anew; left alone, every test from now on would fail in its set-up."""
        manager = self.session.config.pluginmanager.getplugin("capturemanager")
        capture, manager._global_capturing = manager._global_capturing, None
        for part in (capture.in_, capture.out, capture.err):
            try:
                part.done()
            except (AttributeError, OSError, ValueError):
                pass
        manager.start_global_capturing()
        self.captures = captures(manager)
        # The test that did it was not torn down either.
        self.torn_down(next_item)

    def unstop(self):
        """A plugin asked for the session to stop. What runs is the coordinator's to say: it is noted, and goes on."""
        session = self.session
        for name in ("shouldstop", "shouldfail"):
            why = getattr(session, name)
            if why and why not in self.noted:
                self.noted.add(why)
                self.link.tell("note", text=one_line("pytest was asked to stop (%s), and goes on" % (why,)))
            # pytest 8 guards the attribute against this.
            field = "_" + name if hasattr(session, "_" + name) else name
            session.__dict__[field] = False

    # The end.

    def pytest_sessionfinish(self, session):
        # What is left goes with the process: pytest looks five times through all of it when it is unconfigured.
        gc.freeze()
        for name in ("workerinput", "workeroutput"):
            if hasattr(session.config, name):
                delattr(session.config, name)


def hook(function, **options):
    """Marks a hook as pytest's decorator would; pytest itself is imported later."""
    function.pytest_impl = {
        "wrapper": False,
        "hookwrapper": False,
        "optionalhook": False,
        "tryfirst": False,
        "trylast": False,
        "specname": None,
        **options,
    }


hook(Host.pytest_configure, tryfirst=True)
hook(Host.pytest_sessionstart, tryfirst=True)
hook(Host.pytest_runtestloop, tryfirst=True)
hook(Host.pytest_sessionfinish, tryfirst=True)


def quiet(reporter):
    """Sends what plugins write to the terminal reporter nowhere."""
    nowhere = open(os.devnull, "w", encoding="utf-8")
    writer = getattr(reporter, "_tw", None)
    if writer is not None:
        writer._file = nowhere


def captures(manager):
    """The files that pytest captures output in."""
    capture = getattr(manager, "_global_capturing", None)
    parts = [getattr(capture, "out", None), getattr(capture, "err", None)]
    return [part.tmpfile for part in parts if hasattr(getattr(part, "tmpfile", None), "closed")]


def chunks(rows):
    """`rows` in portions, each with whether more follow; at least one."""
    for at in range(0, max(len(rows), 1), CHUNK):
        yield rows[at : at + CHUNK], at + CHUNK < len(rows)


def described(error):
    import traceback

    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return text.rstrip("\n")


def failure(item, error):
    """A failed teardown as pytest words it."""
    from _pytest._code import ExceptionInfo

    try:
        info = ExceptionInfo.from_exc_info((type(error), error, error.__traceback__))
        return str(item.repr_failure(info))
    except Exception:
        return described(error)


def connected(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    import fcntl

    try:
        high = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, SOCKET_FD)
    except OSError:
        return sock
    sock.close()
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=high)


def refuse(link, message, place="pytest"):
    link.tell("error", n=None, kind="runner", place=place, message=bounded(message, ERROR_CHARS // 2, 0))
    os._exit(EXIT_REFUSED)


def require(link):
    """Says what is missing, where one has to look for it, and what to do."""
    python = "%d.%d" % sys.version_info[:2]
    if sys.version_info < OLDEST_PYTHON:
        refuse(link, "%s is Python %s; pytest suites need 3.8 or newer" % (sys.executable, python), sys.executable)
    try:
        import pytest
    except ImportError as error:
        text = "pytest cannot be imported by %s (Python %s): %s. Install it there (`%s -m pip install pytest`), or name "
        text += "another interpreter in the suite's settings (`python = …`)."
        refuse(link, text % (sys.executable, python, error, sys.executable), sys.executable)
    version = tuple(int(part) for part in pytest.__version__.split(".")[:2] if part.isdigit())
    if version < OLDEST_PYTEST:
        text = "pytest %s in %s is too old: Regatta needs 7.4 or newer (`%s -m pip install -U pytest`)"
        refuse(link, text % (pytest.__version__, os.path.dirname(pytest.__file__), sys.executable), sys.executable)
    os.environ["PYTEST_VERSION"] = pytest.__version__


class Prepared:
    """What the start of every host has in common, done once before they are forked: pytest's own plugins registered, and
    the modules of installed plugins imported. Nothing of the suite's is run, no hook but of pytest's own plugins is
    called, and what cannot be done here is left to the hosts, which tell of it.
    """

    def __init__(self, args):
        from _pytest.config import get_config

        self.args = args
        self.config = get_config(list(args))
        try:
            self.import_plugins()
        except BaseException:
            # Internals of another pytest, or a plugin that cannot be imported.
            pass

    def import_plugins(self):
        """Imports the modules of the plugins that pytest is going to load by itself, with their assertions rewritten."""
        if "PYTEST_DISABLE_PLUGIN_AUTOLOAD" in os.environ:
            return
        from importlib.metadata import distributions

        from _pytest.assertion import install_importhook
        from _pytest.config import _iter_rewritable_modules

        options = self.options()
        if "disable-plugin-autoload" in options or "--assert" in options:
            return
        hook = install_importhook(self.config)
        modules = []
        try:
            for dist in distributions():
                points = [point for point in dist.entry_points if point.group == "pytest11"]
                # One that the suite may block is not imported, because that may do anything.
                points = [point for point in points if "no:" + point.name not in options]
                if points:
                    hook.mark_rewrite(*_iter_rewritable_modules(str(file) for file in dist.files or []))
                    modules += [point.value.partition(":")[0].strip() for point in points]
            for module in modules:
                __import__(module)
        finally:
            # A host installs its own, which knows the suite's configuration.
            sys.meta_path.remove(hook)

    def options(self):
        """All text that options of pytest may come from, as it stands there: arguments, environment, and every file that
        pytest may choose for its configuration."""
        texts = [*self.args, os.environ.get("PYTEST_ADDOPTS", "")]
        folders, files = [os.getcwd()], []
        for arg in self.args:
            path = os.path.abspath(arg.rpartition("=")[2].split("::")[0])
            if os.path.isfile(path):
                files.append(path)
            folders.append(path)
        for folder in {above for folder in folders for above in ancestors(folder)}:
            files += [os.path.join(folder, name) for name in CONFIGURATION]
        for path in set(files):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    texts.append(file.read())
            except OSError:
                pass
        return "\n".join(texts)

    def hand_over(self):
        """Has pytest's next call of `get_config` take this configuration instead of making one."""
        import _pytest.config as config

        make = config.get_config

        def prepared(args=None, plugins=None, **more):
            config.get_config = make
            if list(args or ()) != list(self.args) or more.get("prog") is not None:
                return make(args, plugins, **more)
            params = self.config.invocation_params
            self.config.invocation_params = type(params)(args=args, plugins=plugins, dir=params.dir)
            return self.config

        config.get_config = prepared


def ancestors(path):
    """A path, and the folders that it is in."""
    while True:
        yield path
        above = os.path.dirname(path)
        if above == path:
            return
        path = above


def is_threaded():
    """Whether this process has threads, of which a fork would have a copy of the locks and nothing else."""
    return len(os.listdir("/proc/self/task")) > 1


class Zygote:
    """A process that has imported pytest, and nothing of the suite's, and forks a host for each slot that asks.

    Importing pytest takes ten times as long as forking a process that has. Whatever a host leaves behind falls to this
    process when the host ends, and is killed before the end is told: hosts are sub-reapers, so what falls here while
    others live belonged to one that is gone.
    """

    # How long what a host leaves behind may go on, and how long its end is waited for, as the spawner grants it.
    LEAK = 0.1
    KILL = 10.0

    def __init__(self, link):
        import ctypes
        import select
        import signal

        self.link = link
        self.signal = signal
        self.select = select.select
        self.prctl = ctypes.CDLL(None, use_errno=True).prctl
        self.hosts = {}
        # Ends that are told once nothing is left: [(id, status, rss)].
        self.ended = []
        self.leaked = 0
        self.hunt_at = None
        self.give_up_at = None
        self.adopt()
        self.wake, wake = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def adopt(self):
        """Makes this process the one that orphans below it fall to."""
        child_subreaper = 36
        if self.prctl(child_subreaper, 1, 0, 0, 0) != 0:
            raise OSError("this system has no sub-reapers")

    def serve(self):
        """Serves until the worker is gone; in a host, says what the host is to connect to."""
        self.link.tell("ready")
        while True:
            timeout = None if self.hunt_at is None else max(0.0, self.hunt_at - time.monotonic())
            heard, _, _ = self.select([self.link.sock, self.wake], [], [], timeout)
            if self.wake in heard:
                os.read(self.wake, 4096)
            self.bury()
            if self.link.sock in heard and not self.link._receive(0):
                for pid in self.hosts:
                    self.kill(pid, self.signal.SIGKILL)
                os._exit(0)
            while self.link.inbox:
                path = self.answer(self.link.inbox.popleft())
                if path is not None:
                    return path

    def answer(self, message):
        if message["do"] == "fork":
            pid = os.fork()
            if pid == 0:
                self.become_host(message)
                return message["sock"]
            self.hosts[pid] = message["id"]
            self.link.tell("forked", id=message["id"], pid=pid)
        elif message["do"] == "kill":
            for pid in [pid for pid, ident in self.hosts.items() if ident == message["id"]]:
                self.kill(pid, message["signal"], message["group"])
        return None

    def kill(self, pid, number, group=True):
        try:
            (os.killpg if group else os.kill)(pid, number)
        except ProcessLookupError:
            pass

    def become_host(self, message):
        os.setsid()
        self.adopt()
        self.signal.set_wakeup_fd(-1)
        self.signal.signal(self.signal.SIGCHLD, self.signal.SIG_DFL)
        self.link.sock.close()
        os.close(self.wake)
        # Without waiting: where nobody reads it any more, nobody wants this host.
        printed = os.open(message["stdout"], os.O_WRONLY | os.O_NONBLOCK)
        os.set_blocking(printed, True)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        os.close(printed)

    def bury(self):
        """Takes note of hosts that ended, kills what they left, and tells their ends when nothing of them is left."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self.hosts:
                self.kill(pid, self.signal.SIGKILL)
                self.ended.append((self.hosts.pop(pid), status, usage.ru_maxrss))
                self.hunt_at = self.hunt_at or time.monotonic() + self.LEAK
                self.give_up_at = time.monotonic() + self.KILL
        if not self.ended:
            return
        left = [pid for pid in children() if pid not in self.hosts]
        if left and time.monotonic() >= self.give_up_at:
            left = []
        if left and time.monotonic() >= self.hunt_at:
            for pid in left:
                self.kill(pid, self.signal.SIGKILL, group=False)
            self.leaked += len(left)
            self.hunt_at = time.monotonic() + 0.01
        if not left:
            for ident, status, rss in self.ended:
                self.link.tell("ended", id=ident, status=status, rss=rss, leaked=self.leaked)
            self.ended, self.leaked, self.hunt_at = [], 0, None


def children():
    """The children of this process, which has one thread."""
    pid = os.getpid()
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def main():
    # The directory of this file is none of the suite's.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]
    # Taken out at once: what tests start must not find it.
    path = os.environ.pop("REGATTA_SOCK")
    args, prepared = os.environ.pop("REGATTA_ZYGOTE", None), None
    if args is not None:
        link = Link(connected(path))
        require(link)
        prepared = Prepared(json.loads(args))
        if is_threaded():
            refuse(link, "a plugin starts threads when it is imported")
        gc.collect()
        # What is there now is shared by all hosts, and looked through by none.
        gc.freeze()
        path = Zygote(link).serve()
    host(Link(connected(path)), prepared)


def host(link, prepared=None):
    """The life of a host, from its first message."""
    import faulthandler
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setup = link.hear()
    if setup is None:
        return
    for name, value in setup["env"]:
        os.environ[name] = value
    # The worker asks for it when a test runs too long, and reads the file.
    traces = open(setup["traces"], "w", encoding="utf-8")
    faulthandler.register(signal.SIGUSR1, file=traces, all_threads=True)
    require(link)
    from _pytest.config.exceptions import UsageError

    host, status = Host(link, prepared), None
    # Before anything of the suite's is imported.
    host.shard.begin(setup["shard"])
    try:
        config = host.prepare(setup)
        status = config.hook.pytest_cmdline_main(config=config)
        config._ensure_unconfigure()
    except UsageError as error:
        refuse(link, "\n".join(map(str, error.args)))
    except BaseException as error:
        refuse(link, startup_failure(error))
    if host.session is None:
        why = "\n" + host.internal if host.internal else " look at `addopts`"
        refuse(link, "pytest ended without a session (exit status %s):%s" % (status, why))
    link.tell("bye")
    leave()


def leave():
    """Ends the process as Python does, except that it does not take its objects apart one by one."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    os._exit(0)


def startup_failure(error):
    """Why pytest did not come up: usually a conftest.py that cannot be imported."""
    cause = getattr(error, "cause", None)
    if type(error).__name__ == "ConftestImportFailure" and cause is not None:
        return "%s cannot be imported:\n%s" % (getattr(error, "path", "conftest.py"), described(cause))
    return described(error)


if __name__ == "__main__":
    main()
