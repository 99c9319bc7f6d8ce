"""The checker finds what it is there to find."""

import sqlite3
import tempfile
import unittest
from pathlib import Path

from rig import checker, sidelog
from rig.stores import Attempt, Late, Record, Recorded, Sqlite


def ran(id_="a", attempt=1, token=1, worker="w", began=10.0, ended=11.0, outcome="passed"):
    return sidelog.Execution(id_, attempt, token, worker, "0", began, ended, outcome)


def cut_off(**more):
    return ran(**{"ended": None, "outcome": None, **more})


def verdict(id_="a", what="passed", attempts=((1, "passed", 10.0),)):
    return Recorded(id_, what, len(attempts), [Attempt(*one) for one in attempts])


class Checker(unittest.TestCase):
    def check(self, *wanted, tests=None, known=None, executions=None, killed=None, away=(), spooled=False, **more):
        record = Record(more.get("ended", True), [verdict()] if tests is None else tests, more.get("orphans", 0), more.get("late", []))
        executions = [ran()] if executions is None else executions
        found = checker.check(known or {"a": "passed"}, record, executions, more.get("nonsense", []), killed or {}, away, lambda at: at, more.get("given_up", ()), spooled, more.get("returned", ()))
        self.assertEqual(len(found.violations), len(wanted), found.violations)
        for line, words in zip(found.violations, wanted):
            self.assertIn(words, line)
        return found

    def test_what_is_sound_is_left_alone(self):
        self.check()

    def test_each_planned_test_has_one_verdict(self):
        self.check("b has no verdict", known={"a": "passed", "b": "passed"})
        self.check("a has 2 verdicts", tests=[verdict(), verdict()])
        self.check("b has a verdict, and was never planned", "never ran", tests=[verdict(), verdict("b")])
        self.check("b ran, and was never planned", executions=[ran(), ran("b")])
        self.check("a is failed, and its verdict is passed", known={"a": "failed"})
        self.check("the run has no end", ended=False)
        self.check("2 attempts are recorded of tests that have no verdict", orphans=2)

    def test_a_verdict_rests_on_an_attempt_that_ran_and_ended_so(self):
        self.check("attempt 1 is recorded as passed, and never ran", executions=[])
        self.check("no attempt is recorded", tests=[verdict(attempts=())])
        self.check("never ran to its end", executions=[cut_off()])
        self.check("ended as failed, and is recorded as passed", executions=[ran(outcome="failed")])
        # The second of two under the same number was meant, and it did not end.
        both = [ran(began=10.0), cut_off(began=90.0, token=2, worker="v")]
        found = self.check(
            "never ran to its end", tests=[verdict(attempts=((1, "passed", 90.0),))], executions=both, killed={"w": [12.0]}
        )
        self.assertEqual(sum(found.again.values()), 1)

    def test_a_test_runs_again_only_because_its_worker_was_killed(self):
        second = verdict(attempts=((2, "passed", 20.0),))
        again = ran(attempt=2, token=2, worker="v", began=20.0, ended=21.0)
        self.check(tests=[second], executions=[cut_off(), again], killed={"w": [10.5]})
        self.check("at a worker that was not killed", tests=[second], executions=[ran(), again])
        self.check("at a worker that was not killed", tests=[second], executions=[ran(), again], killed={"v": [15.0], "w": [9.0]})
        # It had said its result long before.
        self.check("4.0 s before its worker was killed", tests=[second], executions=[ran(), again], killed={"w": [15.0]})
        found = self.check(tests=[second], executions=[ran(), again], killed={"w": [15.0]}, away=[(10.9, 16.0)])
        # With a spool it did not need one.
        words = "which had a spool"
        self.check(words, tests=[second], executions=[ran(), again], killed={"w": [15.0]}, away=[(10.9, 16.0)], spooled=True)
        self.check(tests=[second], executions=[ran(), again], killed={"w": [11.2]}, spooled=True)
        self.assertEqual(list(found.again), ["its result was lost with a worker that had no coordinator to say it to"])

    def test_a_test_whose_result_was_accepted_is_not_begun_again(self):
        again = ran(attempt=2, token=2, worker="v", began=20.0, ended=21.0)
        self.check("begun again (token 2) after its result under 1 was accepted", executions=[ran(), again], killed={"w": [11.01]})

    def test_what_is_refused_ran_so_under_a_lease_that_was_given_up_and_is_no_verdict(self):
        second = verdict(attempts=((2, "passed", 20.0),))
        again = ran(attempt=2, token=2, worker="v", began=20.0, ended=21.0)
        late = Late("a", 1, 1, "passed", "w")
        both = {"tests": [second], "executions": [ran(), again], "given_up": {1}}
        found = self.check(late=[late], returned={1}, **both)
        self.assertEqual(found.refused, 1)
        self.check("its lease was not given up", **both | {"given_up": {2}, "killed": {"w": [11.1]}}, late=[late])
        self.check("never ran to its end there", late=[late], **both | {"executions": [cut_off(), again]})
        self.check("never ran to its end there", late=[Late("a", 1, 1, "passed", "v")], **both)
        self.check("and ended as passed", late=[Late("a", 1, 1, "failed", "w")], **both)
        self.check("and the verdict rests on it", late=[Late("a", 2, 2, "passed", "v")], **both | {"given_up": {1, 2}})

    def test_what_was_told_late_is_on_record_but_for_what_was_stopped_as_it_ended(self):
        known = {"a": "passed", "b": "passed"}
        tests = [verdict(), verdict("b", attempts=((1, "passed", 30.0),))]
        lost = [ran("b", worker="v", token=2, began=9.0, ended=9.5), cut_off(id_="a", token=2, worker="v", began=9.6)]
        executions = [*lost, ran(token=3), ran("b", token=3, began=30.0, ended=31.0)]
        whole = {"known": known, "tests": tests, "executions": executions, "given_up": {2}}
        self.check(**whole)
        self.check("b ended under token 2, whose worker came back", returned={2}, **whole)
        self.check(returned={2}, late=[Late("b", 2, 1, "passed", "v")], **whole)

    def test_side_logs_are_read_as_they_were_written_and_what_makes_no_sense_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            lines = ["begin a 1 7 w 0 10.00", "end a 1 7 w 0 11.00 passed", "begin b 1 7 w 0 11.00", "end c 1 7 w 0 12.00 passed", "begin"]
            Path(folder, "w-0.side").write_text("\n".join(lines) + "\n")
            executions, nonsense = sidelog.read(folder)
            self.assertEqual(executions, [ran(token=7), cut_off(id_="b", token=7, began=11.0)])
            self.assertEqual(len(nonsense), 2, nonsense)

    def test_a_store_is_read_past_its_owner(self):
        run = "409994be-2eb1-4688-b086-00955505ebf6"
        with tempfile.TemporaryDirectory() as folder:
            tables = sqlite3.connect(Path(folder, "projection.db"))
            tables.executescript("""
                CREATE TABLE runs (id INTEGER PRIMARY KEY, run BLOB, ended INTEGER);
                CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT);
                CREATE TABLE history (file INTEGER, key BLOB, name TEXT);
                CREATE TABLE verdicts (run INTEGER, test INTEGER, key BLOB, verdict INTEGER, attempts INTEGER);
                CREATE TABLE attempts (run INTEGER, test INTEGER, attempt INTEGER, outcome INTEGER, started INTEGER);
                CREATE TABLE refused (run INTEGER, test INTEGER, token INTEGER, attempt INTEGER, outcome INTEGER, worker BLOB);
                INSERT INTO refused VALUES (1, 0, 7, 1, 1, x'aa'), (2, 0, 8, 1, 1, x'aa');
                INSERT INTO files VALUES (1, 'test_a.py');
                INSERT INTO history VALUES (1, x'0a', 'test_one'), (1, x'0b', 'test_two');
                INSERT INTO verdicts VALUES (1, 0, x'0b', 4, 2), (2, 1, x'0a', 1, 1);
                INSERT INTO attempts VALUES (1, 0, 2, 2, 5000000), (1, 9, 1, 1, 5000000), (2, 1, 1, 1, 0);
            """)
            rows = [(1, bytes.fromhex(run.replace("-", "")), 7), (2, bytes(16), None)]
            tables.executemany("INSERT INTO runs VALUES (?, ?, ?)", rows)
            tables.commit()
            tables.close()
            found = Sqlite(Path(folder)).run(run)
            tests = [Recorded("test_a.py::test_two", "failed", 2, [Attempt(2, "failed", 5.0)])]
            self.assertEqual(found, Record(True, tests, 1, [Late("test_a.py::test_two", 7, 1, "passed", "aa")]))


if __name__ == "__main__":
    unittest.main()
