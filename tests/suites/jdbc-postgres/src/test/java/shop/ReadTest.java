package shop;

import static org.junit.jupiter.api.Assertions.*;

import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.postgresql.PGConnection;

/** Tests that read what was seeded: whoever commits beside them is noticed. */
class ReadTest {
    @Test void theSeedIsAllThereIs() throws Exception {
        try (var db = Database.connect()) {
            assertEquals(50, Database.number(db, "SELECT count(*) FROM account"));
            assertEquals(500, Database.number(db, "SELECT count(*) FROM entry"));
            assertEquals(50_000, Database.number(db, "SELECT sum(balance) FROM account"));
        }
    }

    @Test void rowsAreFetchedInParts() throws Exception {
        try (var db = Database.connect()) {
            // The driver fetches by a portal only inside a transaction.
            db.setAutoCommit(false);
            try (var statement = db.createStatement()) {
                statement.setFetchSize(50);
                var rows = statement.executeQuery("SELECT id FROM entry ORDER BY id");
                for (long id = 1; rows.next(); id++) {
                    assertEquals(id, rows.getLong(1));
                }
            }
            db.commit();
        }
    }

    @Test void aStatementIsPreparedOnTheServerAfterAWhile() throws Exception {
        try (var db = Database.connect(); var statement = db.prepareStatement("SELECT count(*) FROM entry WHERE account = ?")) {
            for (long id = 1; id <= 20; id++) {
                statement.setLong(1, id);
                var rows = statement.executeQuery();
                rows.next();
                assertEquals(10, rows.getLong(1));
            }
            assertEquals(1, Database.number(db, "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%entry WHERE account%'"));
        }
    }

    @Test void accountsAreCopiedOut() throws Exception {
        try (var db = Database.connect()) {
            var out = new StringWriter();
            assertEquals(50, db.unwrap(PGConnection.class).getCopyAPI().copyOut("COPY account TO STDOUT", out));
            assertEquals(50, out.toString().lines().count());
        }
    }
}
