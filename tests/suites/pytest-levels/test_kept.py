"""Tests that leave something in their database, or meet others in it."""

import threading

import psycopg
import pytest
from conftest import connect


def test_an_insert_is_committed(db, other, one):
    db.execute("INSERT INTO account (email) VALUES ('kept@example.org')")
    assert one(other, "SELECT count(*) FROM account") == 51


def test_a_transaction_is_committed(tx, one):
    tx.execute("UPDATE account SET balance = 5 WHERE id = 5")
    tx.commit()
    assert one(tx, "SELECT balance FROM account WHERE id = 5") == 5


def test_what_is_committed_is_deleted_again(db, one):
    db.execute("INSERT INTO account (email) VALUES ('gone@example.org')")
    db.execute("DELETE FROM account WHERE email = 'gone@example.org'")
    assert one(db, "SELECT count(*) FROM account") == 50


def test_a_savepoint_is_kept(tx, one):
    with tx.transaction():
        tx.execute("INSERT INTO entry (account, amount) VALUES (1, 1)")
        with pytest.raises(ZeroDivisionError), tx.transaction():
            tx.execute("INSERT INTO entry (account, amount) VALUES (1, 2)")
            raise ZeroDivisionError
    tx.commit()
    assert one(tx, "SELECT count(*) FROM entry") == 501


def test_a_function_writes(db, one):
    db.execute("SELECT transfer(1, 2, 100)")
    assert one(db, "SELECT balance FROM account WHERE id = 1") == 900


def test_a_block_writes(db, one):
    db.execute("DO $$ BEGIN UPDATE entry SET amount = 0; END $$")
    assert one(db, "SELECT sum(amount) FROM entry") == 0


def test_a_block_commits_by_itself(db, one):
    db.execute("DO $$ BEGIN INSERT INTO entry (account, amount) VALUES (1, 1); COMMIT; END $$")
    assert one(db, "SELECT count(*) FROM entry") == 501


def test_a_prepared_change(db, one):
    db.execute("PREPARE add (bigint) AS INSERT INTO entry (account, amount) VALUES ($1, 1)")
    db.execute("EXECUTE add (5)")
    assert one(db, "SELECT count(*) FROM entry") == 501


def test_a_change_is_explained_by_doing_it_for_good(db, one):
    db.execute("EXPLAIN (ANALYZE) DELETE FROM entry WHERE account = 1")
    assert one(db, "SELECT count(*) FROM entry") == 490


def test_copy_from_the_client(db, one):
    with db.cursor().copy("COPY entry (account, amount) FROM STDIN") as copy:
        copy.write_row((1, 5))
    assert one(db, "SELECT count(*) FROM entry") == 501


def test_a_sequence_moves(db, one):
    assert one(db, "SELECT nextval('ticket')") == 1


def test_a_sequence_is_set(db, one):
    assert one(db, "SELECT setval('ticket', 100)") == 100


def test_a_table_is_made(db, one):
    db.execute("CREATE TABLE audit (what text)")
    assert one(db, "SELECT count(*) FROM audit") == 0


def test_an_index_is_built_beside_writers(db):
    db.execute("CREATE INDEX CONCURRENTLY by_amount ON entry (amount)")


def test_a_type_and_a_schema_are_made(db):
    db.execute("CREATE SCHEMA billing")
    db.execute("CREATE TYPE billing.colour AS ENUM ('red', 'green')")


def test_a_truncate(db, one):
    db.execute("TRUNCATE entry")
    assert one(db, "SELECT count(*) FROM entry") == 0


def test_an_unlogged_table_is_made(db):
    db.execute("CREATE UNLOGGED TABLE hot (n int)")
    db.execute("INSERT INTO hot SELECT generate_series(1, 100)")


def test_the_matview_is_refreshed(db, one):
    db.execute("REFRESH MATERIALIZED VIEW total")
    assert one(db, "SELECT sum(amount) FROM total") == 5_000


def test_a_large_object(db, one):
    oid = one(db, "SELECT lo_from_bytea(0, 'large'::bytea)")
    assert one(db, "SELECT lo_get(%s::oid)", oid) == b"large"


def test_a_table_is_locked(tx, one):
    tx.execute("LOCK TABLE account IN ACCESS EXCLUSIVE MODE")
    assert one(tx, "SELECT count(*) FROM account") == 50


def test_a_lock_of_a_session(db, other, one):
    assert one(db, "SELECT pg_try_advisory_lock(42)")
    assert not one(other, "SELECT pg_try_advisory_lock(42)")
    assert one(db, "SELECT pg_advisory_unlock(42)")


def test_a_lock_of_a_transaction(tx):
    tx.execute("SELECT pg_advisory_xact_lock(7)")


def test_a_lock_inside_a_block(db):
    db.execute("DO $$ BEGIN PERFORM pg_advisory_xact_lock(8); END $$")


def test_it_listens(db):
    db.execute("LISTEN words")
    db.execute("UNLISTEN words")


def test_it_notifies(db, other):
    db.execute("LISTEN words")
    other.execute("NOTIFY words, 'hello'")
    assert [notify.payload for notify in db.notifies(timeout=5, stop_after=1)] == ["hello"]


def test_a_function_notifies(db):
    db.execute("SELECT pg_notify('words', 'hello')")


def test_vacuum(db):
    db.execute("VACUUM account")


def test_analyze(db):
    db.execute("ANALYZE account")


def test_reindex(db):
    db.execute("REINDEX TABLE account")


def test_a_transaction_is_prepared_and_committed(tx, other):
    tx.execute("INSERT INTO entry (account, amount) VALUES (1, 1)")
    tx.execute("PREPARE TRANSACTION 'levels_kept'")
    other.execute("COMMIT PREPARED 'levels_kept'")


def test_a_transaction_is_prepared_and_rolled_back(tx, other):
    tx.execute("INSERT INTO entry (account, amount) VALUES (1, 1)")
    tx.execute("PREPARE TRANSACTION 'levels_undone'")
    other.execute("ROLLBACK PREPARED 'levels_undone'")


def test_one_of_two_connections_commits(tx, db):
    tx.execute("INSERT INTO account (email) VALUES ('undone@example.org')")
    db.execute("INSERT INTO account (email) VALUES ('kept@example.org')")


def test_a_thread_commits():
    def write():
        with connect() as connection:
            connection.execute("INSERT INTO entry (account, amount) VALUES (1, 1)")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()


def test_it_commits_and_hides_an_error(db):
    db.execute("INSERT INTO entry (account, amount) VALUES (1, 1)")
    with pytest.raises(psycopg.errors.UndefinedTable):
        db.execute("SELECT * FROM nowhere")


def test_many_subtransactions_are_kept(tx, one):
    for n in range(100):
        with tx.transaction():
            tx.execute("INSERT INTO entry (account, amount) VALUES (%s, 1)", [1 + n % 50])
    tx.commit()
    assert one(tx, "SELECT count(*) FROM entry") == 600


def test_settings_of_its_own_database(db, one):
    name = one(db, "SELECT current_database()")
    db.execute(f'ALTER DATABASE "{name}" SET work_mem = \'6MB\'')


def test_a_trigger_is_switched_off_and_on(db):
    db.execute("ALTER TABLE account DISABLE TRIGGER audited")
    db.execute("ALTER TABLE account ENABLE TRIGGER audited")


def test_comments_and_grants(db):
    db.execute("COMMENT ON TABLE account IS 'who pays'")
    db.execute("GRANT SELECT ON account TO PUBLIC")
