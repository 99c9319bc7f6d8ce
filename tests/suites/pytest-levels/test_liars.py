"""Tests whose markers say less than they do. Each passes where it has the rights; each has to be named."""

import pytest
from conftest import connect

LIARS = pytest.mark.regatta


@LIARS(level="transaction")
def test_it_commits_under_transaction(db):
    db.execute("INSERT INTO account (email) VALUES ('liar@example.org')")


@LIARS(level="transaction")
def test_it_commits_and_deletes_under_transaction(db):
    db.execute("INSERT INTO entry (account, amount) VALUES (1, 1)")
    db.execute("DELETE FROM entry WHERE id > 500")


@LIARS(level="transaction")
def test_it_locks_a_table_under_transaction(tx):
    tx.execute("LOCK TABLE account")


@LIARS(level="transaction")
def test_it_takes_an_advisory_lock_under_transaction(db):
    db.execute("SELECT pg_advisory_lock(42)")


@LIARS(level="transaction")
def test_it_notifies_under_transaction(db):
    db.execute("NOTIFY words, 'lies'")


@LIARS(level="transaction")
def test_it_changes_the_schema_under_transaction(db):
    db.execute("CREATE TABLE lies (n int)")


@LIARS(level="transaction")
def test_a_function_commits_under_transaction(db):
    db.execute("SELECT transfer(1, 2, 100)")


@LIARS(level="transaction")
def test_it_makes_an_unlogged_table_under_transaction(db):
    db.execute("CREATE UNLOGGED TABLE lies (n int)")
    db.execute("INSERT INTO lies VALUES (1)")


@LIARS(level="isolated")
def test_it_looks_at_the_server_under_isolated(db):
    assert db.execute("SELECT count(*) FROM pg_stat_activity").fetchone()[0] >= 1


@LIARS(level="isolated")
def test_it_lists_databases_under_isolated(db):
    assert db.execute("SELECT count(*) FROM pg_database").fetchone()[0] >= 1


@LIARS(level="isolated")
def test_it_makes_a_role_under_isolated(db):
    db.execute("CREATE ROLE liar")


@LIARS(level="transaction")
def test_it_makes_a_database_under_transaction(db):
    db.execute("CREATE DATABASE lies")


@LIARS(level="read")
def test_it_inserts_under_read(db):
    db.execute("INSERT INTO account (email) VALUES ('reader@example.org')")


@LIARS(level="read")
def test_it_rolls_back_under_read():
    connection = connect()
    connection.execute("UPDATE account SET balance = 1")
    connection.rollback()
    connection.close()


@LIARS(level="read")
def test_it_takes_an_advisory_lock_under_read(db):
    db.execute("SELECT pg_advisory_lock(43)")


@LIARS(level="read")
def test_it_listens_under_read(db):
    db.execute("LISTEN words")
