"""Tests that never touch the database."""

import pytest

pytestmark = pytest.mark.regatta(level="none")


def split(amount, ways):
    share, rest = divmod(amount, ways)
    return [share + (at < rest) for at in range(ways)]


@pytest.mark.parametrize("ways", range(1, 61))
def test_nothing_is_lost_in_a_split(ways):
    shares = split(1000, ways)
    assert sum(shares) == 1000 and max(shares) - min(shares) <= 1
