"""A connection for each test, and a second one where it asks for it."""

import os

import psycopg
import pytest


def connect(**more):
    return psycopg.connect(os.environ["DATABASE_URL"], **more)


@pytest.fixture
def db():
    with connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def other():
    with connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def tx():
    """A connection whose work is rolled back, as test frameworks do it."""
    connection = connect()
    yield connection
    connection.rollback()
    connection.close()


@pytest.fixture
def one():
    """The first column of the only row of a query."""

    def one(connection, query, *parameters):
        return connection.execute(query, parameters).fetchone()[0]

    return one
