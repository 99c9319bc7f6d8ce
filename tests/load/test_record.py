"""The recorder's own test: what becomes of the events of a few runs. Nothing is run."""

import sys
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))


def load():
    """The program as a module."""
    loader = SourceFileLoader("record", str(Path(__file__).parent / "record"))
    module = module_from_spec(spec_from_loader("record", loader))
    loader.exec_module(module)
    return module


def run(*tests):
    """The events of a run: of each test its id, its verdict and its seconds."""
    planned = [{"event": "tests_planned", "tests": [{"id": test} for test, _, _ in tests]}]
    ended = [
        {"event": "test_finished", "id": test, "verdict": verdict, "duration_s": seconds}
        for test, verdict, seconds in reversed(tests)
    ]
    return planned + ended


class Record(unittest.TestCase):
    def setUp(self):
        self.record = load()

    def test_a_trace_has_the_tests_in_the_order_of_the_list_and_null_where_one_did_not_run(self):
        runs = [
            ("first", run(("a.py::t[/here/p/x]", "passed", 1.00004), ("a.py::C::t", "skipped", 0.1), ("b.py::never", "not_run", 0.0))),
            ("second", run(("c.py::new", "flaky", 3.0), ("a.py::C::t", "failed", 2.0))),
        ]
        found = self.record.trace(SimpleNamespace(name="p", version="1", folder=Path("/here/p")), runs)
        self.assertEqual(found["tests"], ["a.py::t[./x]", "a.py::C::t", "c.py::new"])
        self.assertEqual(found["groups"], [None, "C", None])
        self.assertEqual([version["date"] for version in found["versions"]], ["first", "second"])
        self.assertEqual([version["seconds"] for version in found["versions"]], [[1.0, None, None], [None, 2.0, 3.0]])

    def test_a_parameter_may_hold_anything(self):
        self.assertEqual(self.record.group("a.py::C::D::t[x::y]"), "C::D")
        self.assertIsNone(self.record.group("a.py::t[x::y]"))

    def test_every_project_has_its_requirements(self):
        for project in self.record.table().values():
            self.assertTrue(project.requirements.is_file(), project.requirements)


if __name__ == "__main__":
    unittest.main()
