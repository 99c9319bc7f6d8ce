"""Ids that are hard to carry."""

import pytest


@pytest.mark.parametrize("value", ["a::b", "a]]", "@z", "", "ü\n\t", "a b/c", "[", "'\"\\", "-x", "x" * 300, "\0"])
def test_odd(value):
    assert isinstance(value, str)


@pytest.mark.parametrize("value", [object(), object(), 1.5, None])
def test_objects(value):
    pass
