"""Tests that change the server itself."""

import os

import psycopg
import pytest

pytestmark = pytest.mark.regatta(level="exclusive")


@pytest.mark.parametrize("n", range(7))
def test_a_role_is_made_and_used(db, one, n):
    db.execute("CREATE ROLE auditor LOGIN PASSWORD 'secret'")
    db.execute("GRANT SELECT ON account TO auditor")
    db.execute("SET ROLE auditor")
    assert one(db, "SELECT count(*) FROM account") == 50
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("DELETE FROM account")
    db.execute("RESET ROLE")


@pytest.mark.parametrize("n", range(7))
def test_a_database_is_made_and_dropped(db, one, n):
    assert one(db, "SELECT count(*) FROM pg_database WHERE datname = 'tenant'") == 0
    db.execute("CREATE DATABASE tenant")
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="tenant", autocommit=True) as tenant:
        tenant.execute("CREATE TABLE t (n int)")
    db.execute("DROP DATABASE tenant")


@pytest.mark.parametrize("n", range(6))
def test_a_setting_of_the_server_is_changed(db, one, n):
    db.execute("ALTER SYSTEM SET work_mem = '7MB'")
    db.execute("SELECT pg_reload_conf()")
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as fresh:
        for _ in range(200):
            if one(fresh, "SHOW work_mem") == "7MB":
                break
            fresh.execute("SELECT pg_sleep(0.01)")
        assert one(fresh, "SHOW work_mem") == "7MB"
