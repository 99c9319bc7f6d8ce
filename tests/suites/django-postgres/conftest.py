"""Hands Django the database of each test, and keeps it from making one itself."""

import os

import pytest
from django.conf import settings
from django.db import connections


@pytest.fixture(scope="session")
def django_db_setup():
    """The database is there, and migrated."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    settings.DATABASES["default"].update({key: os.environ.get(f"PG{name}", "") for key, name in NAMES.items()})


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown():
    # The process runs many tests, each with a database of its own: a connection that stays open is of no use to the next.
    connections.close_all()


NAMES = {"NAME": "DATABASE", "USER": "USER", "PASSWORD": "PASSWORD", "HOST": "HOST", "PORT": "PORT"}
