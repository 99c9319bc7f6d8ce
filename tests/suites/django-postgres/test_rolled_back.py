"""Tests that Django rolls back: many of them may have one database after another."""

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from shop.models import Account, Entry

pytestmark = [pytest.mark.django_db, pytest.mark.regatta(level="transaction")]


@pytest.mark.parametrize("n", range(6))
def test_an_account_is_added(n):
    Account.objects.create(email="new@example.org")
    assert Account.objects.count() == 51


@pytest.mark.parametrize("n", range(4))
def test_an_account_takes_its_entries_along(n):
    account = Account.objects.get(email="user3@example.org")
    Entry.objects.create(account=account, amount=7)
    account.delete()
    assert (Account.objects.count(), Entry.objects.count()) == (49, 0)


@pytest.mark.parametrize("n", range(4))
def test_an_email_is_unique(n):
    with pytest.raises(IntegrityError), transaction.atomic():
        Account.objects.create(email="user1@example.org")
    assert Account.objects.count() == 50


@pytest.mark.parametrize("n", range(4))
def test_a_user_logs_in(n):
    get_user_model().objects.create_user("alice", password="secret")
    assert get_user_model().objects.get().check_password("secret")


def test_callbacks_wait_for_a_commit_that_never_comes(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as called:
        transaction.on_commit(lambda: None)
    assert len(called) == 1


def test_all_migrations_have_run():
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []
