"""Tests that never touch the database."""

import pytest
from shop.models import Account


@pytest.mark.parametrize("n", range(4))
def test_a_model_needs_no_database(n):
    assert Account(email="a@example.org").balance == 0
