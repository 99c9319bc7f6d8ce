"""Tests that change the server, or look at it as a whole."""

import os

import psycopg
import pytest
from conftest import connect


def test_a_role_is_made_and_dropped(db):
    db.execute("CREATE ROLE auditor")
    db.execute("DROP ROLE auditor")


def test_a_role_is_made_and_rolled_back(tx):
    tx.execute("CREATE ROLE auditor")


def test_another_role_is_put_on(db, one):
    db.execute("CREATE ROLE auditor")
    db.execute("GRANT SELECT ON account TO auditor")
    db.execute("SET ROLE auditor")
    assert one(db, "SELECT count(*) FROM account") == 50
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("DELETE FROM account")
    db.execute("RESET ROLE")


def test_a_setting_of_the_server(db):
    db.execute("ALTER SYSTEM SET work_mem = '7MB'")
    db.execute("ALTER SYSTEM RESET work_mem")


def test_the_settings_are_read_anew(db, one):
    assert one(db, "SELECT pg_reload_conf()")


def test_a_database_is_made_and_dropped(db):
    db.execute("CREATE DATABASE tenant")
    db.execute("DROP DATABASE tenant")


def test_another_database_is_used(db):
    db.execute("CREATE DATABASE tenant")
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="tenant", autocommit=True) as tenant:
        tenant.execute("CREATE TABLE t (n int)")
    db.execute("DROP DATABASE tenant")


def test_a_backend_is_ended(db, one):
    victim = connect(autocommit=True)
    assert one(db, "SELECT pg_terminate_backend(%s)", victim.info.backend_pid)
    with pytest.raises(psycopg.OperationalError):
        victim.execute("SELECT 1")


def test_a_query_is_cancelled(db, other, one):
    assert one(db, "SELECT pg_cancel_backend(%s)", other.info.backend_pid)


def test_a_replication_slot(db):
    db.execute("SELECT pg_create_physical_replication_slot('levels')")
    db.execute("SELECT pg_drop_replication_slot('levels')")


def test_who_is_connected(db, one):
    assert one(db, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'") >= 1


def test_which_databases_there_are(db, one):
    assert one(db, "SELECT count(*) FROM pg_database") >= 3


def test_which_locks_are_held(db, one):
    assert one(db, "SELECT count(*) FROM pg_locks") >= 1


def test_copy_to_a_file_of_the_server(db, tmp_path):
    db.execute("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")


def test_a_role_has_a_password_changed(db):
    db.execute("CREATE ROLE clerk LOGIN")
    db.execute("ALTER ROLE clerk PASSWORD 'new'")
    db.execute("DROP ROLE clerk")


def test_the_log_is_switched(db):
    db.execute("SELECT pg_switch_wal()")


def test_a_checkpoint(db):
    db.execute("CHECKPOINT")
