#!/usr/bin/env python3
"""Makes the suites that benchmarks run: the same seed gives the same bytes, wherever it is called.

    tests/suites/generate.py trivial-pytest DIR [--files 100] [--tests 100]
    tests/suites/generate.py trivial-rust   DIR [--files 1]   [--tests 2000]
    tests/suites/generate.py sleep-pytest   DIR [--seed 1] [--order shuffled|longest-first|longest-last]
    tests/suites/generate.py sleep-rust     DIR [--seed 1] [--order …]

`--tests` counts the tests of each file (of each binary, in Rust). A file that already holds what it should is left alone, so
that a suite made again does not look changed to anything that caches by modification time.
"""

import argparse
import math
import random
from pathlib import Path

SLEEP_TESTS = 400
SLEEP_LONGEST_S = 3.0
SLEEP_TOTAL_S = 40.0
SLEEP_FILES = 40


def trivial_pytest(folder, files=100, tests=100):
    """`files` × `tests` tests that only assert a truth."""
    _write(folder / "pytest.ini", "[pytest]\ntestpaths = tests\n")
    for f in range(files):
        body = "".join(f"def test_{t:03}():\n    assert {t} == {t}\n\n\n" for t in range(tests)).rstrip() + "\n"
        _write(folder / "tests" / f"test_{f:03}.py", body)


def trivial_rust(folder, files=1, tests=2000):
    """A crate without dependencies: `files` integration test binaries of `tests` tests each."""
    _crate(folder, "trivial")
    for f in range(files):
        body = "".join(f"#[test]\nfn t{t:04}() {{\n    assert_eq!({t}, {t});\n}}\n" for t in range(tests))
        _write(folder / "tests" / f"b{f:02}.rs", body)


def sleeps(seed, order="shuffled"):
    """The seconds each test sleeps: log-normal, the longest and the total as the constants say.

    Scaling fixes one of the two; the other is met by bisecting the spread, for the same normal deviates.
    """
    deviates = [random.Random(f"{seed}/{n}").gauss(0.0, 1.0) for n in range(SLEEP_TESTS)]
    top = max(deviates)

    def scaled(spread):
        return [SLEEP_LONGEST_S * math.exp(spread * (d - top)) for d in deviates]

    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(scaled(middle)) > SLEEP_TOTAL_S else (low, middle)
    seconds = [round(s, 4) for s in scaled(low)]
    if order == "shuffled":
        return seconds
    return sorted(seconds, reverse=order == "longest-first")


def sleep_pytest(folder, seed=1, order="shuffled"):
    """The sleep suite as `SLEEP_FILES` files, in the order of the list."""
    _write(folder / "pytest.ini", "[pytest]\ntestpaths = tests\n")
    seconds = sleeps(seed, order)
    size = len(seconds) // SLEEP_FILES
    for f in range(SLEEP_FILES):
        body = "import time\n"
        for t, s in enumerate(seconds[f * size : (f + 1) * size]):
            body += f"\n\ndef test_{t:03}():\n    time.sleep({s})\n"
        _write(folder / "tests" / f"test_{f:03}.py", body)


def sleep_rust(folder, seed=1, order="shuffled"):
    """The sleep suite as one binary; libtest sorts by name, so the names carry the order."""
    _crate(folder, "sleeper")
    body = "use std::{thread::sleep, time::Duration};\n"
    for t, s in enumerate(sleeps(seed, order)):
        body += f"\n#[test]\nfn t{t:03}() {{\n    sleep(Duration::from_micros({round(s * 1e6)}));\n}}\n"
    _write(folder / "tests" / "b00.rs", body)


def _crate(folder, name):
    # The empty [workspace] keeps cargo from looking for one above; the library has nothing to test.
    _write(
        folder / "Cargo.toml",
        f'[package]\nname = "{name}"\nversion = "0.0.0"\nedition = "2021"\npublish = false\n\n'
        "[lib]\ntest = false\ndoctest = false\n\n[workspace]\n",
    )
    _write(folder / "src" / "lib.rs", "//! Nothing: the tests are the point.\n")


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


KINDS = {
    "trivial-pytest": (trivial_pytest, ("files", "tests")),
    "trivial-rust": (trivial_rust, ("files", "tests")),
    "sleep-pytest": (sleep_pytest, ("seed", "order")),
    "sleep-rust": (sleep_rust, ("seed", "order")),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int)
    parser.add_argument("--tests", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--order", choices=("shuffled", "longest-first", "longest-last"))
    given = vars(parser.parse_args())
    make, takes = KINDS[given["kind"]]
    refused = [k for k in ("files", "tests", "seed", "order") if given[k] is not None and k not in takes]
    if refused:
        parser.error(f"{given['kind']} does not take --{refused[0]}; it takes --{' and --'.join(takes)}")
    make(given["folder"], **{k: given[k] for k in takes if given[k] is not None})


if __name__ == "__main__":
    main()
