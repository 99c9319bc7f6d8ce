package shop;

import static org.junit.jupiter.api.Assertions.*;

import java.io.StringReader;
import java.sql.SQLException;
import java.sql.Statement;
import org.junit.jupiter.api.Test;
import org.postgresql.PGConnection;

/** Tests that write, and roll everything back. */
class TransactionTest {
    @Test void aSavepointTakesBackAPart() throws Exception {
        try (var db = Database.connect()) {
            db.setAutoCommit(false);
            Database.run(db, "DELETE FROM entry WHERE account = 3");
            var before = db.setSavepoint();
            Database.run(db, "DELETE FROM account WHERE id = 3");
            db.rollback(before);
            assertEquals(50, Database.number(db, "SELECT count(*) FROM account"));
            assertEquals(490, Database.number(db, "SELECT count(*) FROM entry"));
            db.rollback();
        }
    }

    @Test void generatedKeysGoOnAfterTheSeededOnes() throws Exception {
        try (var db = Database.connect()) {
            db.setAutoCommit(false);
            var insert = db.prepareStatement("INSERT INTO account (email) VALUES (?)", Statement.RETURN_GENERATED_KEYS);
            insert.setString(1, "key@example.org");
            assertEquals(1, insert.executeUpdate());
            var keys = insert.getGeneratedKeys();
            keys.next();
            assertEquals(51, keys.getLong("id"));
            db.rollback();
        }
    }

    @Test void anEmailIsUnique() throws Exception {
        try (var db = Database.connect()) {
            db.setAutoCommit(false);
            Database.run(db, "INSERT INTO account (email) VALUES ('twice@example.org')");
            var again = assertThrows(SQLException.class, () -> Database.run(db, "INSERT INTO account (email) VALUES ('twice@example.org')"));
            assertEquals("23505", again.getSQLState());
            db.rollback();
        }
    }

    @Test void accountsAreCopiedIn() throws Exception {
        try (var db = Database.connect()) {
            db.setAutoCommit(false);
            var lines = new StringReader("one@example.org\t1\ntwo@example.org\t2\n");
            assertEquals(2, db.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY account (email, balance) FROM STDIN", lines));
            assertEquals(52, Database.number(db, "SELECT count(*) FROM account"));
            db.rollback();
        }
    }
}
