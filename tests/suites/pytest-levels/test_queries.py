"""Tests that read, in every way that there is to read."""

import os
import subprocess
import sys
import threading

import psycopg
import pytest
from conftest import connect


def test_it_connects_and_does_nothing():
    connect().close()


def test_a_plain_select(db, one):
    assert one(db, "SELECT count(*) FROM account") == 50


def test_a_select_inside_a_transaction_that_commits(tx, one):
    assert one(tx, "SELECT sum(balance) FROM account") == 50_000
    tx.commit()


def test_a_select_that_is_rolled_back(tx, one):
    assert one(tx, "SELECT count(*) FROM entry") == 500


def test_a_transaction_that_may_only_read(tx, one):
    tx.read_only = True
    assert one(tx, "SELECT count(*) FROM account") == 50


def test_repeatable_reads(tx, one):
    tx.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    assert one(tx, "SELECT count(*) FROM account") == one(tx, "SELECT count(*) FROM account")


def test_a_cursor_on_the_server(tx):
    with tx.cursor(name="walk") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT id FROM entry ORDER BY id")
        assert len(cursor.fetchall()) == 500


def test_a_cursor_that_outlives_its_transaction(tx, one):
    tx.execute("DECLARE walk CURSOR WITH HOLD FOR SELECT id FROM account ORDER BY id")
    tx.commit()
    assert one(tx, "FETCH 1 FROM walk") == 1


def test_a_prepared_query(db, one):
    db.execute("PREPARE by_id (bigint) AS SELECT email FROM account WHERE id = $1")
    assert one(db, "EXECUTE by_id (7)") == "user7@example.org"
    db.execute("DEALLOCATE by_id")


def test_a_query_prepared_by_the_driver(db):
    for n in range(1, 9):
        assert db.execute("SELECT id FROM account WHERE id = %s", [n], prepare=True).fetchone() == (n,)


def test_the_plan_of_a_query_that_runs(db):
    assert db.execute("EXPLAIN (ANALYZE) SELECT * FROM account").fetchall()


def test_the_plan_of_a_change_that_does_not_run(db):
    assert db.execute("EXPLAIN DELETE FROM account").fetchall()


def test_copy_to_the_client(db):
    with db.cursor().copy("COPY account TO STDOUT") as copy:
        assert sum(1 for _ in copy.rows()) == 50


def test_session_settings(db, one):
    db.execute("SET work_mem = '8MB'")
    db.execute("SET search_path = pg_catalog, public")
    assert one(db, "SHOW work_mem") == "8MB"
    db.execute("RESET ALL")


def test_discard_all(db, one):
    db.execute("DISCARD ALL")
    assert one(db, "SELECT 1") == 1


def test_catalogs_of_its_own_database(db, one):
    assert one(db, "SELECT count(*) FROM pg_class WHERE relname = 'account'") == 1
    assert one(db, "SELECT count(*) FROM information_schema.columns WHERE table_name = 'account'") == 3


def test_a_function_that_reads_and_is_named_otherwise(db, one):
    assert one(db, "SELECT insert_estimate(3)") == 100


def test_words_of_other_statements_in_texts(db, one):
    assert one(db, "SELECT 'VACUUM; LOCK TABLE account; NOTIFY x' /* DROP TABLE account */") != ""


def test_a_block_that_reads(db):
    db.execute("DO $$ BEGIN PERFORM count(*) FROM account; END $$")


def test_two_connections_that_read(db, other, one):
    assert one(db, "SELECT count(*) FROM account") == one(other, "SELECT count(*) FROM entry") // 10


def test_threads_that_read():
    def count():
        with connect() as connection:
            seen.append(connection.execute("SELECT count(*) FROM account").fetchone()[0])

    seen = []
    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [50, 50, 50]


def test_a_process_that_reads():
    code = "import os, psycopg; psycopg.connect(os.environ['DATABASE_URL']).execute('SELECT count(*) FROM account')"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_the_matview(db, one):
    assert one(db, "SELECT count(*) FROM total") == 50


def test_a_sequence_that_is_only_looked_at(db, one):
    assert one(db, "SELECT last_value FROM ticket") == 1


@pytest.mark.parametrize("table", ["account", "entry", "total"])
def test_a_table_is_there(db, one, table):
    assert one(db, "SELECT to_regclass(%s) IS NOT NULL", table)
