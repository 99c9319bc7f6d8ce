"""Tests that open no session."""

import os
import subprocess
import sys
import threading

import pytest


def test_it_never_heard_of_databases():
    assert sorted([3, 1, 2]) == [1, 2, 3]


def test_it_only_reads_the_variable():
    assert os.environ["DATABASE_URL"].startswith("postgres")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_it_counts(n):
    assert sum(range(n)) == n * (n - 1) // 2


def test_threads_without_a_database():
    seen = []
    threads = [threading.Thread(target=seen.append, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [0, 1, 2, 3]


def test_a_process_without_a_database():
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def test_a_statement_that_is_only_a_text():
    assert "DROP TABLE account".split()[0] == "DROP"
