package shop;

import static org.junit.jupiter.api.Assertions.*;

import org.junit.jupiter.api.Test;

/** Tests that never touch the database. */
class NoneTest {
    @Test void aBalanceIsWrittenWithItsCents() {
        assertEquals("12.05", "%d.%02d".formatted(1205 / 100, 1205 % 100));
    }

    @Test void noDatabaseIsNamed() {
        // In a run without levels there is one for everybody.
        assertTrue(System.getenv("REGATTA_LEVEL") == null || System.getenv("PGDATABASE") == null);
    }
}
