"""The rig's own claims; run by tests/run (`python3 -m unittest discover tests/load`)."""

import sys
import tempfile
import unittest
from pathlib import Path

import cases  # makes the generator importable
import generate
from rig import counts, measure, regatta, table

SEVEN = dict(passed=1376, failed=1, skipped=8, xfailed=1, xpassed=0, errors=0)


class Counts(unittest.TestCase):
    def test_pytests_summary_is_read_in_its_own_words(self):
        line = "1 failed, 1376 passed, 8 skipped, 1 xfailed in 8.68s"
        self.assertEqual(counts.of_pytest(f"....\n{line}\n"), SEVEN)
        self.assertEqual(counts.of_pytest("== 2 passed, 1 error in 0.10s =="), dict.fromkeys(SEVEN, 0) | {"passed": 2, "errors": 1})

    def test_subtests_are_not_counted_as_tests(self):
        self.assertEqual(counts.of_pytest("765 passed, 21194 subtests passed in 23.53s")["passed"], 765)
        self.assertEqual(counts.of_pytest("21194 subtests passed, 765 passed in 23.53s (0:01:02)")["passed"], 765)

    def test_output_without_a_summary_has_no_counts(self):
        self.assertIsNone(counts.of_pytest("Segmentation fault\n3 passed the door\n"))

    def test_the_last_event_of_a_run_gives_its_counts(self):
        stream = '{"v":1,"event":"run_started"}\n{"v":1,"event":"run_finished","counts":{"passed":3,"not_run":1}}\n'
        self.assertEqual(counts.of_regatta(regatta.finished(stream))["passed"], 3)
        with self.assertRaises(measure.Failed):
            regatta.finished('{"v":1,"event":"run_started"}\n')


class Generator(unittest.TestCase):
    def test_the_sleep_suite_is_the_same_for_the_same_seed_and_as_long_as_it_says(self):
        for seed in (1, 2, 3):
            seconds = generate.sleeps(seed)
            self.assertEqual(seconds, generate.sleeps(seed))
            self.assertEqual(max(seconds), generate.SLEEP_LONGEST_S)
            self.assertAlmostEqual(sum(seconds), generate.SLEEP_TOTAL_S, delta=0.05)
        self.assertNotEqual(generate.sleeps(1), generate.sleeps(2))

    def test_an_order_changes_nothing_but_the_order(self):
        first, last = generate.sleeps(1, "longest-first"), generate.sleeps(1, "longest-last")
        self.assertEqual(first, last[::-1])
        self.assertEqual(sorted(generate.sleeps(1)), last)

    def test_what_is_generated_again_is_not_touched(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            generate.trivial_pytest(folder, files=2, tests=3)
            file = folder / "tests" / "test_001.py"
            before = file.stat().st_mtime_ns
            generate.trivial_pytest(folder, files=2, tests=3)
            self.assertEqual(file.stat().st_mtime_ns, before)
            self.assertEqual(file.read_text().count("def test_"), 3)


class Measuring(unittest.TestCase):
    def case(self, *columns):
        return measure.Case("c", "about", list(columns), [measure.Goal("a", 0.5, "b")], warm_up=False)

    def column(self, name, code):
        return measure.Column(name, name, [sys.executable, "-c", code], Path.cwd())

    def test_columns_are_measured_in_turn(self):
        order = []
        a, b = self.column("a", ""), self.column("b", "")
        a.before, b.before = lambda: order.append("a"), lambda: order.append("b")
        samples = measure.measure(self.case(a, b), 2)
        self.assertEqual(order, ["a", "b", "a", "b"])
        self.assertEqual(len(samples["a"]["seconds"]), 2)

    def test_a_column_that_did_not_do_its_work_is_not_measured(self):
        with self.assertRaisesRegex(measure.Failed, "exit code 3"):
            measure.measure(self.case(self.column("a", "raise SystemExit(3)")), 1)

    def test_a_goal_is_compared_with_the_best_of_its_group(self):
        case = self.case(self.column("a", ""), self.column("b", ""))
        samples = {"a": {"seconds": [1.0, 9.0, 2.0]}, "b": {"seconds": [5.0]}}
        self.assertEqual(measure.attained(case, samples, case.goals[0]), 0.4)
        self.assertIn("a: 0.40 × best b, goal ≤ 0.50: met", table.markdown(case, samples))

    def test_the_first_line_that_is_waited_for_is_timed(self):
        column = self.column("a", "print('x'); print('go'); print('y')")
        column.watch = lambda line: line == b"go\n"
        done = measure.run(column)
        self.assertEqual(done.out, "x\ngo\ny\n")
        self.assertLess(done.first_s, done.seconds)


if __name__ == "__main__":
    unittest.main()
