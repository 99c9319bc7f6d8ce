package shop;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

/** The database that the test was handed. The driver does not read DATABASE_URL. */
final class Database {
    private Database() {}

    static Connection connect() throws SQLException {
        return connect(env("PGDATABASE"));
    }

    static Connection connect(String name) throws SQLException {
        var properties = new Properties();
        properties.setProperty("user", env("PGUSER"));
        properties.setProperty("password", env("PGPASSWORD"));
        properties.setProperty("reWriteBatchedInserts", "true");
        return DriverManager.getConnection("jdbc:postgresql://" + env("PGHOST") + ":" + env("PGPORT") + "/" + name, properties);
    }

    static long number(Connection db, String query) throws SQLException {
        try (var statement = db.createStatement(); var rows = statement.executeQuery(query)) {
            rows.next();
            return rows.getLong(1);
        }
    }

    static void run(Connection db, String sql) throws SQLException {
        try (var statement = db.createStatement()) {
            statement.execute(sql);
        }
    }

    private static String env(String name) {
        return java.util.Objects.requireNonNull(System.getenv(name), name + " is set for tests that have a database");
    }
}
