"""Builds the database that the tests expect, in the one that DATABASE_URL names."""

import os
import pathlib

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
    connection.execute(pathlib.Path(__file__).with_name("schema.sql").read_text())
