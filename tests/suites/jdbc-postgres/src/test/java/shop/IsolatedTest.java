package shop;

import static org.junit.jupiter.api.Assertions.*;

import org.junit.jupiter.api.Test;
import org.postgresql.PGConnection;

/** Tests that commit: each expects to be the first to do so. */
class IsolatedTest {
    @Test void aBatchIsThereToStay() throws Exception {
        batch();
    }

    @Test void anotherBatchIsTheFirst() throws Exception {
        batch();
    }

    @Test void whatOneConnectionCommitsTheOtherSees() throws Exception {
        try (var db = Database.connect(); var other = Database.connect()) {
            Database.run(db, "SELECT transfer(1, 2, 250)");
            assertEquals(750, Database.number(other, "SELECT balance FROM account WHERE id = 1"));
            assertEquals(502, Database.number(other, "SELECT count(*) FROM entry"));
        }
    }

    @Test void aListenerHearsExactlyOneWord() throws Exception {
        try (var db = Database.connect(); var other = Database.connect()) {
            Database.run(db, "LISTEN words");
            Database.run(other, "NOTIFY words, 'hello'");
            var heard = db.unwrap(PGConnection.class).getNotifications(5_000);
            assertEquals(1, heard.length);
            assertEquals("hello", heard[0].getParameter());
        }
    }

    private static void batch() throws Exception {
        try (var db = Database.connect(); var insert = db.prepareStatement("INSERT INTO entry (account, amount) VALUES (?, ?)")) {
            for (long amount = 1; amount <= 100; amount++) {
                insert.setLong(1, 7);
                insert.setLong(2, amount);
                insert.addBatch();
            }
            insert.executeBatch();
            try (var other = Database.connect()) {
                assertEquals(600, Database.number(other, "SELECT max(id) FROM entry"));
                assertEquals(600, Database.number(other, "SELECT count(*) FROM entry"));
            }
        }
    }
}
