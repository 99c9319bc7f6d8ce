"""One test for every way in which a test can end."""

import pytest

FIRST = {}


@pytest.fixture
def broken_setup():
    raise ValueError("no set-up")


@pytest.fixture
def broken_teardown():
    yield
    raise ValueError("no teardown")


def test_passes():
    print("nobody reads this")


def test_fails():
    print("before the end")
    assert 1 + 1 == 3, "numbers"


def test_skips():
    pytest.skip("not today")


@pytest.mark.skip(reason="never")
def test_is_skipped():
    raise AssertionError


@pytest.mark.xfail(reason="known", strict=False)
def test_fails_as_expected():
    assert False


@pytest.mark.xfail(reason="fixed by now", strict=False)
def test_passes_unexpectedly():
    pass


@pytest.mark.xfail(reason="surely", strict=True)
def test_passes_and_must_not():
    pass


def test_has_no_setup(broken_setup):
    pass


def test_has_no_teardown(broken_teardown):
    pass


def test_fails_twice(broken_teardown):
    assert False, "the test itself"


def test_passes_when_rerun():
    FIRST["runs"] = FIRST.get("runs", 0) + 1
    assert FIRST["runs"] > 1


def test_exits():
    pytest.exit("enough")


def test_is_interrupted():
    raise KeyboardInterrupt


def test_leaves():
    raise SystemExit(3)


def test_with_subtests(subtests):
    for number in range(3):
        with subtests.test(msg="odd", number=number):
            assert number % 2 == 0, "not even"


def test_comes_last():
    pass
