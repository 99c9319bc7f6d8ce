"""Tests that share fixtures with those of the next file, or do not."""


def test_one(session_thing, module_thing):
    pass


def test_two(session_thing, module_thing):
    pass
