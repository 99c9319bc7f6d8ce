"""Tests that commit. Django empties all tables after each, the seeded rows, too: those that need them put them back."""

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from shop.models import Account


@pytest.fixture
def accounts(transactional_db):
    Account.objects.all().delete()
    Account.objects.bulk_create(Account(email=f"user{n}@example.org", balance=1000) for n in range(50))


@pytest.mark.parametrize("n", range(4))
def test_a_commit_calls_back(accounts, n):
    called = []
    with transaction.atomic():
        Account.objects.create(email="kept@example.org")
        transaction.on_commit(lambda: called.append(Account.objects.count()))
    assert called == [51]


@pytest.mark.parametrize("n", range(4))
def test_what_is_locked_is_skipped(accounts, n):
    with transaction.atomic():
        first = Account.objects.select_for_update(skip_locked=True).order_by("id").first()
        fresh = connection.copy()
        try:
            with fresh.cursor() as cursor:
                cursor.execute("SELECT id FROM shop_account ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
                assert cursor.fetchone()[0] != first.id
        finally:
            fresh.close()


class Sequences(TransactionTestCase):
    reset_sequences = True

    def setUp(self):
        Account.objects.all().delete()

    def test_ids_begin_at_one(self):
        self.assertEqual(Account.objects.create(email="first@example.org").id, 1)

    def test_ids_begin_at_one_again(self):
        self.assertEqual(Account.objects.create(email="first@example.org").id, 1)
