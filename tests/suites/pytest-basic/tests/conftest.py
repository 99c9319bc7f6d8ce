"""What the tests share. `FIXTURE_LOG` names a file that says when shared fixtures come and go."""

import os

import pytest

collect_ignore = ["test_ignored.py"]


def log(line):
    if "FIXTURE_LOG" in os.environ:
        with open(os.environ["FIXTURE_LOG"], "a") as file:
            file.write(line + "\n")


@pytest.fixture(scope="session")
def session_thing():
    log("session up")
    yield
    log("session down")


@pytest.fixture(scope="module")
def module_thing(request):
    name = request.module.__name__
    log("module up " + name)
    yield
    log("module down " + name)


def pytest_collection_modifyitems(items):
    for item in items:
        if "deep" in item.nodeid:
            item.add_marker(pytest.mark.slow)
