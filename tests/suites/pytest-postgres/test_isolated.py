"""Tests that commit: each expects to be the first to do so."""

import pytest

pytestmark = pytest.mark.regatta(level="isolated")


@pytest.mark.parametrize("n", range(15))
def test_what_one_connection_commits_the_other_sees(db, other, one, n):
    db.execute("INSERT INTO account (email) VALUES ('seen@example.org')")
    assert one(other, "SELECT count(*) FROM account") == 51
    assert one(other, "SELECT id FROM account WHERE email = 'seen@example.org'") == 51


@pytest.mark.parametrize("n", range(15))
def test_a_transfer_is_there_to_stay(db, other, one, n):
    db.execute("SELECT transfer(1, 2, 250)")
    assert one(other, "SELECT balance FROM account WHERE id = 1") == 750
    assert one(other, "SELECT count(*) FROM entry") == 502


@pytest.mark.parametrize("n", range(10))
def test_a_table_is_made_and_filled(db, other, one, n):
    db.execute("CREATE TABLE audit (at timestamptz DEFAULT now(), what text)")
    db.execute("INSERT INTO audit (what) VALUES ('made')")
    assert one(other, "SELECT count(*) FROM audit") == 1


@pytest.mark.parametrize("n", range(10))
def test_a_listener_hears_exactly_one_word(db, other, n):
    db.execute("LISTEN words")
    other.execute("NOTIFY words, 'hello'")
    heard = [notify.payload for notify in db.notifies(timeout=5, stop_after=1)]
    heard += [notify.payload for notify in db.notifies(timeout=0.02)]
    assert heard == ["hello"]


@pytest.mark.parametrize("n", range(10))
def test_a_lock_is_held_by_one_connection(db, other, one, n):
    assert one(db, "SELECT pg_try_advisory_lock(42)")
    assert not one(other, "SELECT pg_try_advisory_lock(42)")
    assert one(db, "SELECT pg_advisory_unlock(42)")
    assert one(other, "SELECT pg_try_advisory_lock(42)")


@pytest.mark.parametrize("n", range(10))
def test_jobs_are_done_by_two_workers(db, other, one, n):
    take = "UPDATE job SET state = 'done' WHERE id = (SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"
    taken = [one(connection, take) for _ in range(10) for connection in (db, other)]
    assert sorted(taken) == list(range(1, 21))
    assert one(db, "SELECT count(*) FROM job WHERE state = 'new'") == 0


@pytest.mark.parametrize("n", range(10))
def test_a_view_is_refreshed(db, other, one, n):
    db.execute("TRUNCATE entry RESTART IDENTITY")
    db.execute("INSERT INTO entry (account, amount) VALUES (1, 7)")
    db.execute("REFRESH MATERIALIZED VIEW total")
    assert one(other, "SELECT sum(amount) FROM total") == 7
    assert one(other, "SELECT max(id) FROM entry") == 1
