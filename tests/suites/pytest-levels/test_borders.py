"""Tests at the borders, where what happened is less than it looks like: too strong is wasteful here, too weak never is."""


def test_an_id_is_asked_for(tx, one):
    """The weakest that is safe: an id is spent, and nothing else."""
    assert one(tx, "SELECT txid_current()") > 0


def test_a_temporary_table_for_a_session(db, one):
    """It goes with the session; the catalogs are written to and committed meanwhile."""
    db.execute("CREATE TEMP TABLE scratch (n int)")
    db.execute("INSERT INTO scratch SELECT generate_series(1, 10)")
    assert one(db, "SELECT count(*) FROM scratch") == 10


def test_a_savepoint_is_taken_back_and_the_rest_committed(tx, one):
    """Nothing but the savepoint wrote, and a commit follows."""
    tx.execute("SAVEPOINT part")
    tx.execute("INSERT INTO entry (account, amount) VALUES (1, 1)")
    tx.execute("ROLLBACK TO part")
    tx.commit()
    assert one(tx, "SELECT count(*) FROM entry") == 500


def test_a_channel_is_notified_and_that_rolled_back(tx):
    tx.execute("NOTIFY words, 'never sent'")
