"""Tests that write, or lock, and leave nothing of it."""

import os
import threading

import psycopg
import pytest
from conftest import connect


def test_an_insert_is_rolled_back(tx, one):
    tx.execute("INSERT INTO account (email) VALUES ('new@example.org')")
    assert one(tx, "SELECT count(*) FROM account") == 51


def test_an_update_is_rolled_back(tx, one):
    tx.execute("UPDATE entry SET amount = 11 WHERE account = 1")
    assert one(tx, "SELECT sum(amount) FROM entry WHERE account = 1") == 110


def test_a_delete_is_rolled_back(tx, one):
    tx.execute("DELETE FROM account WHERE id = 1")
    assert one(tx, "SELECT count(*) FROM account") == 49


def test_a_trigger_writes_and_is_rolled_back(tx, one):
    tx.execute("UPDATE account SET balance = 0 WHERE id = 9")
    assert one(tx, "SELECT count(*) FROM entry") == 501


def test_a_function_writes_and_is_rolled_back(tx, one):
    tx.execute("SELECT transfer(1, 2, 100)")
    assert one(tx, "SELECT balance FROM account WHERE id = 2") == 1100


def test_a_connection_is_dropped_in_the_middle():
    connection = connect()
    connection.execute("INSERT INTO account (email) VALUES ('lost@example.org')")
    connection.close()


def test_savepoints_inside_what_is_rolled_back(tx, one):
    tx.execute("SAVEPOINT one")
    tx.execute("INSERT INTO account (email) VALUES ('a@example.org')")
    tx.execute("ROLLBACK TO one")
    tx.execute("INSERT INTO account (email) VALUES ('b@example.org')")
    assert one(tx, "SELECT count(*) FROM account") == 51


def test_many_subtransactions(tx, one):
    assert one(tx, "SELECT count(*) FROM entry") == 500, "the outermost of them would commit"
    for n in range(100):
        with tx.transaction():
            tx.execute("INSERT INTO entry (account, amount) VALUES (%s, 1)", [1 + n % 50])
    assert one(tx, "SELECT count(*) FROM entry") == 600


def test_rows_are_locked_for_update(tx, one):
    assert one(tx, "SELECT balance FROM account WHERE id = 1 FOR UPDATE") == 1000


def test_rows_are_shared_and_committed(tx, one):
    assert one(tx, "SELECT balance FROM account WHERE id = 1 FOR KEY SHARE") == 1000
    tx.commit()


def test_an_update_meets_no_row(db):
    assert db.execute("UPDATE account SET balance = 0 WHERE id = -1").rowcount == 0


def test_a_delete_meets_no_row(db):
    assert db.execute("DELETE FROM entry WHERE account = -1").rowcount == 0


def test_a_sequence_moves_and_is_rolled_back(tx, one):
    assert one(tx, "SELECT nextval('ticket')") == 1


def test_a_table_is_made_and_rolled_back(tx, one):
    tx.execute("CREATE TABLE audit (what text)")
    tx.execute("INSERT INTO audit VALUES ('made')")
    assert one(tx, "SELECT count(*) FROM audit") == 1


def test_a_column_is_added_and_rolled_back(tx, one):
    tx.execute("ALTER TABLE account ADD COLUMN nick text")
    assert one(tx, "SELECT count(*) FROM account WHERE nick IS NULL") == 50


def test_a_truncate_is_rolled_back(tx, one):
    tx.execute("TRUNCATE entry RESTART IDENTITY")
    assert one(tx, "SELECT count(*) FROM entry") == 0


def test_a_temporary_table_in_a_transaction(tx, one):
    tx.execute("CREATE TEMP TABLE scratch (n int) ON COMMIT DROP")
    tx.execute("INSERT INTO scratch SELECT generate_series(1, 10)")
    assert one(tx, "SELECT count(*) FROM scratch") == 10


def test_copy_from_the_client_is_rolled_back(tx, one):
    with tx.cursor().copy("COPY entry (account, amount) FROM STDIN") as copy:
        for n in range(1, 21):
            copy.write_row((n, 5))
    assert one(tx, "SELECT count(*) FROM entry") == 520


def test_a_large_object_is_rolled_back(tx, one):
    oid = one(tx, "SELECT lo_from_bytea(0, 'large'::bytea)")
    assert one(tx, "SELECT lo_get(%s::oid)", oid) == b"large"


def test_a_change_is_explained_by_doing_it(tx):
    assert tx.execute("EXPLAIN (ANALYZE) UPDATE entry SET amount = 1").fetchall()


def test_a_prepared_change_is_rolled_back(tx, one):
    tx.execute("PREPARE add (bigint) AS INSERT INTO entry (account, amount) VALUES ($1, 1)")
    tx.execute("EXECUTE add (5)")
    assert one(tx, "SELECT count(*) FROM entry") == 501


def test_a_block_writes_and_is_rolled_back(tx, one):
    tx.execute("DO $$ BEGIN DELETE FROM entry; END $$")
    assert one(tx, "SELECT count(*) FROM entry") == 0


def test_a_query_that_writes(tx, one):
    assert one(tx, "WITH gone AS (DELETE FROM entry WHERE account = 2 RETURNING 1) SELECT count(*) FROM gone") == 10


def test_a_constraint_refuses(db):
    with pytest.raises(psycopg.errors.UniqueViolation):
        db.execute("INSERT INTO account (email) VALUES ('user1@example.org')")


def test_a_check_refuses_inside_a_function(db):
    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute("SELECT transfer(1, 2, 5000)")


def test_an_unlogged_table_is_made_and_rolled_back(tx, one):
    tx.execute("CREATE UNLOGGED TABLE hot (n int)")
    tx.execute("INSERT INTO hot SELECT generate_series(1, 100)")
    assert one(tx, "SELECT count(*) FROM hot") == 100


def test_two_connections_both_roll_back(tx):
    second = connect()
    tx.execute("INSERT INTO account (email) VALUES ('first@example.org')")
    second.execute("INSERT INTO account (email) VALUES ('second@example.org')")
    second.rollback()
    second.close()


def test_threads_that_roll_back():
    def write(n):
        connection = connect()
        connection.execute("UPDATE account SET balance = 1 WHERE id = %s", [n])
        connection.rollback()
        connection.close()

    threads = [threading.Thread(target=write, args=[n]) for n in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("n", range(3))
def test_orders_are_taken_one_by_one(tx, one, n):
    assert one(tx, "SELECT id FROM entry ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED") == 1
    tx.execute("UPDATE entry SET amount = %s WHERE id = 1", [n])


class TestUnitOfWork:
    """As an ORM does it: many statements, one rollback at the end."""

    @pytest.fixture
    def unit(self):
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            yield connection
            connection.rollback()

    def test_objects_are_saved(self, unit, one):
        account = one(unit, "INSERT INTO account (email) VALUES ('unit@example.org') RETURNING id")
        unit.execute("INSERT INTO entry (account, amount) VALUES (%s, 3)", [account])
        assert one(unit, "SELECT sum(amount) FROM entry WHERE account = %s", account) == 3

    def test_objects_are_deleted(self, unit, one):
        unit.execute("DELETE FROM entry WHERE account = 4")
        unit.execute("DELETE FROM account WHERE id = 4")
        assert one(unit, "SELECT count(*) FROM account") == 49
