import os

import pytest


@pytest.fixture(scope="module")
def leaky():
    yield
    raise RuntimeError("the module does not go")


def test_three(session_thing, module_thing, leaky):
    pass


def test_who(request):
    assert os.environ["PYTEST_XDIST_WORKER"] == "gw0"
    assert request.config.workerinput["workerid"] == "gw0"
    assert "REGATTA_SOCK" not in os.environ
    assert not os.path.exists("junit.xml")


def test_does_not_linger():
    pass
