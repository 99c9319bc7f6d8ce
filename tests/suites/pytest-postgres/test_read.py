"""Tests that read what was seeded: whoever commits beside them is noticed."""

import pytest

pytestmark = pytest.mark.regatta(level="read")


@pytest.mark.parametrize("n", range(1, 51))
def test_an_account_has_its_entries(db, one, n):
    assert one(db, "SELECT count(*) FROM entry WHERE account = %s", n) == 10
    assert one(db, "SELECT balance FROM account WHERE id = %s", n) == 1000


@pytest.mark.parametrize("n", range(30))
def test_what_was_seeded_is_all_there_is(db, one, n):
    assert one(db, "SELECT count(*) FROM account") == 50
    assert one(db, "SELECT count(*) FROM entry") == 500
    assert one(db, "SELECT sum(balance) FROM account") == 50_000


@pytest.mark.parametrize("n", range(20))
def test_jobs_are_new(db, one, n):
    assert one(db, "SELECT count(*) FROM job WHERE state = 'new'") == 20


@pytest.mark.parametrize("n", range(20))
def test_totals_are_as_refreshed(db, one, n):
    assert one(db, "SELECT sum(amount) FROM total") == 5_000
    assert one(db, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 3
