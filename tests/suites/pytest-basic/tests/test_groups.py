"""Which tests share what."""

import unittest

import pytest


@pytest.fixture(scope="module", params=["red", "blue"])
def colour(request):
    return request.param


@pytest.fixture(scope="class")
def of_class():
    return 1


def test_alone():
    pass


def test_of_session(session_thing):
    pass


def test_of_module(module_thing):
    pass


def test_of_colour(colour):
    pass


class TestShares:
    def test_one(self, of_class):
        pass

    def test_two(self, of_class):
        pass

    def test_free(self):
        pass


class PlainCase(unittest.TestCase):
    def test_case(self):
        pass


class SharingCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.value = 1

    def test_case(self):
        assert self.value == 1


@pytest.mark.xdist_group("together")
def test_grouped():
    pass


@pytest.mark.regatta(level="transaction")
@pytest.mark.ticket(17)
@pytest.mark.slow
def test_marked():
    pass
