"""Tests that write, and roll everything back."""

import psycopg
import pytest

pytestmark = pytest.mark.regatta(level="transaction")


@pytest.mark.parametrize("n", range(30))
def test_a_new_account_is_the_fifty_first(tx, one, n):
    tx.execute("INSERT INTO account (email) VALUES ('new@example.org')")
    assert one(tx, "SELECT count(*) FROM account") == 51


@pytest.mark.parametrize("n", range(20))
def test_an_email_is_unique(tx, n):
    tx.execute("INSERT INTO account (email) VALUES ('twice@example.org')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        tx.execute("INSERT INTO account (email) VALUES ('twice@example.org')")


@pytest.mark.parametrize("n", range(20))
def test_a_transfer_moves_money(tx, one, n):
    tx.execute("SELECT transfer(1, 2, 100)")
    assert one(tx, "SELECT balance FROM account WHERE id = 1") == 900
    assert one(tx, "SELECT balance FROM account WHERE id = 2") == 1100


@pytest.mark.parametrize("n", range(15))
def test_ids_go_on_after_the_seeded_ones(tx, one, n):
    assert one(tx, "INSERT INTO account (email) VALUES ('id@example.org') RETURNING id") == 51
    assert one(tx, "SELECT nextval('ticket')") == 1


@pytest.mark.parametrize("n", range(15))
def test_a_job_is_taken_once(tx, one, n):
    job = one(tx, "SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
    assert job == 1
    tx.execute("UPDATE job SET state = 'taken' WHERE id = %s", [job])
    assert one(tx, "SELECT count(*) FROM job WHERE state = 'new'") == 19


@pytest.mark.parametrize("n", range(10))
def test_a_column_can_be_added(tx, one, n):
    tx.execute("ALTER TABLE account ADD COLUMN nick text")
    assert one(tx, "SELECT count(*) FROM account WHERE nick IS NULL") == 50


@pytest.mark.parametrize("n", range(10))
def test_a_savepoint_takes_back_a_part(tx, one, n):
    with tx.transaction():
        tx.execute("DELETE FROM entry WHERE account = 3")
        with pytest.raises(ZeroDivisionError), tx.transaction():
            tx.execute("DELETE FROM account WHERE id = 3")
            raise ZeroDivisionError
        assert one(tx, "SELECT count(*) FROM account") == 50
        raise psycopg.Rollback
