package shop;

import static org.junit.jupiter.api.Assertions.*;

import org.junit.jupiter.api.Test;

/** Tests that change the server itself. */
class ExclusiveTest {
    @Test void aDatabaseIsMadeAndDropped() throws Exception {
        try (var db = Database.connect()) {
            Database.run(db, "CREATE DATABASE tenant");
            try (var tenant = Database.connect("tenant")) {
                Database.run(tenant, "CREATE TABLE t (n int)");
            }
            Database.run(db, "DROP DATABASE tenant");
        }
    }

    @Test void aRoleIsMadeAndUsed() throws Exception {
        try (var db = Database.connect()) {
            Database.run(db, "CREATE ROLE auditor; GRANT SELECT ON account TO auditor; SET ROLE auditor");
            assertEquals(50, Database.number(db, "SELECT count(*) FROM account"));
        }
    }
}
