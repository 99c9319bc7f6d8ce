//! Scripted tests, each with its true level, judged by what it really does and not by what is seen of it.

use regatta_domain::Level::{self, Exclusive, Isolated, None, Read, Transaction};

/// What every database of these tests begins with.
pub(crate) const TEMPLATE: &str = r"
    CREATE TABLE accounts (id serial PRIMARY KEY, email text UNIQUE, balance int NOT NULL DEFAULT 0);
    CREATE TABLE ledger (id bigserial PRIMARY KEY, account int REFERENCES accounts, amount int, note text);
    CREATE TABLE lock_events (id int PRIMARY KEY, kind text);
    CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value text);
    CREATE TABLE parts (day int, what text) PARTITION BY RANGE (day);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
    CREATE SEQUENCE tickets;
    CREATE MATERIALIZED VIEW totals AS SELECT count(*) AS n FROM accounts;
    INSERT INTO accounts (email, balance) SELECT 'u' || i || '@example.org', i FROM generate_series(1, 20) i;
    INSERT INTO ledger (account, amount, note) SELECT 1 + i % 20, i, repeat('x', 20) FROM generate_series(1, 100) i;
    INSERT INTO lock_events VALUES (1, 'vacuum'), (2, 'listen');
    CREATE FUNCTION deposit(who int, much int) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN UPDATE accounts SET balance = balance + much WHERE id = who; INSERT INTO ledger (account, amount) VALUES (who, much); END $$;
    CREATE FUNCTION guarded(k int) RETURNS int LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(k); SELECT k $$;
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('shouts', new.id::text); RETURN new; END $$;
    CREATE TABLE events (id int);
    CREATE TRIGGER shouts AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION shout();
    CREATE FUNCTION sum_up() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT sum(balance) FROM accounts); END $$;
    CREATE PROCEDURE settle() LANGUAGE plpgsql AS $$ BEGIN UPDATE accounts SET balance = 0 WHERE id = 3; COMMIT; UPDATE accounts SET balance = 1 WHERE id = 3; ROLLBACK; END $$;
    SELECT lo_from_bytea(4711, 'large');
    SELECT setval('accounts_id_seq', 20), setval('ledger_id_seq', 100), setval('tickets', 1, false);
";

/// One scripted test: its name, its true level, and its steps, each in a session. A step that begins with `!` has to fail;
/// a session whose name has an `@` is connected to the database after it; what is given to `psql`, psql runs. `{own}` is the name of the database, `{dir}` a
/// directory that the server may write to.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) steps: &'static [(&'static str, &'static str)],
}

const fn script(name: &'static str, level: Level, steps: &'static [(&'static str, &'static str)]) -> Script {
    Script { name, level, steps }
}

/// All of them. Those that are exclusive need a superuser.
pub(crate) const SCRIPTS: &[Script] = &[
    script("nothing", None, &[]),
    script("connect only", Read, &[("a", "")]),
    script("select", Read, &[("a", "SELECT * FROM accounts JOIN ledger ON account = accounts.id")]),
    script(
        "words that are not what they seem",
        Read,
        &[(
            "a",
            "SELECT kind AS notify, 'pg_terminate_backend(1)', $$lock table accounts$$ FROM lock_events WHERE kind = 'vacuum' -- listen",
        )],
    ),
    script("function that only reads", Read, &[("a", "SELECT sum_up()")]),
    script("explain of a write", Read, &[("a", "EXPLAIN INSERT INTO accounts (email) VALUES ('x')")]),
    script("commit of a transaction that only read", Read, &[("a", "BEGIN; SELECT count(*) FROM accounts; COMMIT")]),
    script("read only transaction", Read, &[("a", "BEGIN READ ONLY; SELECT 1; COMMIT")]),
    script(
        "set session",
        Read,
        &[("a", "SET work_mem = '8MB'; SET SESSION timezone = 'UTC'; SHOW work_mem; RESET ALL")],
    ),
    script(
        "cursor with hold",
        Read,
        &[("a", "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM accounts; COMMIT; FETCH 3 FROM c; CLOSE c")],
    ),
    script(
        "prepared select",
        Read,
        &[("a", "PREPARE p (int) AS SELECT * FROM accounts WHERE id = $1; EXECUTE p(1); DEALLOCATE p")],
    ),
    script("copy to the client", Read, &[("psql", "COPY accounts TO STDOUT;")]),
    script("a transaction id and nothing else", Read, &[("a", "BEGIN; SELECT txid_current(); COMMIT")]),
    script("an error while reading", Read, &[("a", "!SELECT 1/0"), ("a", "SELECT 1")]),
    script(
        "what a pool does when it takes a session back",
        Read,
        &[("a", "SELECT pg_advisory_unlock_all()"), ("a", "CLOSE ALL"), ("a", "UNLISTEN *"), ("a", "RESET ALL")],
    ),
    script("large objects read", Read, &[("a", "SELECT lo_get(4711)")]),
    script(
        "two readers",
        Read,
        &[("a", "BEGIN; SELECT * FROM accounts"), ("b", "SELECT * FROM ledger"), ("a", "COMMIT")],
    ),
    script("insert rolled back", Transaction, &[("a", "BEGIN; INSERT INTO accounts (email) VALUES ('x'); ROLLBACK")]),
    script("update rolled back", Transaction, &[("a", "BEGIN; UPDATE accounts SET balance = 5; ROLLBACK")]),
    script(
        "insert in a session that just ends",
        Transaction,
        &[("a", "BEGIN"), ("a", "INSERT INTO lock_events VALUES (9, 'x')")],
    ),
    script(
        "savepoint rolled back, then all",
        Transaction,
        &[(
            "a",
            "BEGIN; SAVEPOINT s; INSERT INTO accounts (email) VALUES ('x'); ROLLBACK TO s; UPDATE accounts SET balance = 1; ROLLBACK",
        )],
    ),
    script(
        "savepoint rolled back, then an empty commit",
        Transaction,
        &[("a", "BEGIN; SAVEPOINT s; INSERT INTO lock_events VALUES (9, 'x'); ROLLBACK TO s; COMMIT")],
    ),
    script(
        "savepoint released, then rolled back",
        Transaction,
        &[("a", "BEGIN; SAVEPOINT s; INSERT INTO lock_events VALUES (9, 'x'); RELEASE s; ROLLBACK")],
    ),
    script("update of no row", Transaction, &[("a", "UPDATE accounts SET balance = 5 WHERE id = -1")]),
    script(
        "delete of no row by a cte",
        Transaction,
        &[("a", "WITH d AS (DELETE FROM ledger WHERE id = -1 RETURNING *) SELECT * FROM d")],
    ),
    script("select for update", Transaction, &[("a", "BEGIN; SELECT * FROM accounts WHERE id = 1 FOR UPDATE; COMMIT")]),
    script("select for share of no row", Transaction, &[("a", "SELECT * FROM accounts WHERE id = -1 FOR KEY SHARE")]),
    script("nextval rolled back", Transaction, &[("a", "BEGIN; SELECT nextval('tickets'); ROLLBACK")]),
    script(
        "ddl rolled back",
        Transaction,
        &[(
            "a",
            "BEGIN; CREATE TABLE t (a int); INSERT INTO t VALUES (1); ALTER TABLE accounts ADD COLUMN extra int; DROP TABLE ledger; ROLLBACK",
        )],
    ),
    script("index built and rolled back", Transaction, &[("a", "BEGIN; CREATE INDEX ON ledger (note); ROLLBACK")]),
    script("truncate rolled back", Transaction, &[("a", "BEGIN; TRUNCATE accounts CASCADE; ROLLBACK")]),
    script(
        "temporary table rolled back",
        Transaction,
        &[("a", "BEGIN; CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); ROLLBACK")],
    ),
    script(
        "temporary table",
        Transaction,
        &[("a", "CREATE TEMP TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10); SELECT * FROM t")],
    ),
    script(
        "error inside a transaction",
        Transaction,
        &[
            ("a", "BEGIN; INSERT INTO lock_events VALUES (9, 'x')"),
            ("a", "!INSERT INTO lock_events VALUES (1, 'again')"),
            ("a", "COMMIT"),
        ],
    ),
    script("insert that a constraint refuses", Transaction, &[("a", "!INSERT INTO lock_events VALUES (NULL, 'x')")]),
    script("unknown table", Read, &[("a", "BEGIN"), ("a", "!SELECT * FROM nowhere"), ("a", "ROLLBACK")]),
    script("select rolled back", Read, &[("a", "BEGIN; SELECT 1; ROLLBACK")]),
    script("discard all", Read, &[("a", "DISCARD ALL")]),
    script("own statistics", Read, &[("a", "SELECT * FROM pg_stat_user_tables")]),
    script("psql describes a table", Read, &[("psql", "\\d accounts\n")]),
    script("information schema", Read, &[("a", "SELECT * FROM information_schema.columns")]),
    script(
        "sequence restarted and rolled back",
        Transaction,
        &[("a", "BEGIN; ALTER SEQUENCE tickets RESTART; TRUNCATE accounts RESTART IDENTITY CASCADE; ROLLBACK")],
    ),
    script(
        "deferred constraint fails at commit",
        Transaction,
        &[
            (
                "a",
                "BEGIN; ALTER TABLE ledger ALTER CONSTRAINT ledger_account_fkey DEFERRABLE INITIALLY DEFERRED; INSERT INTO ledger (account) VALUES (-5)",
            ),
            ("a", "!COMMIT"),
        ],
    ),
    script(
        "serialization failure",
        Isolated,
        &[
            ("a", "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(balance) FROM accounts"),
            ("b", "UPDATE accounts SET balance = 9 WHERE id = 1"),
            ("a", "!UPDATE accounts SET balance = 8 WHERE id = 1"),
            ("a", "ROLLBACK"),
        ],
    ),
    script("comment on a table", Isolated, &[("a", "COMMENT ON TABLE accounts IS 'x'")]),
    script("view made and dropped", Isolated, &[("a", "BEGIN; CREATE VIEW v AS SELECT 1; DROP VIEW v; COMMIT")]),
    script("unlogged table truncated", Isolated, &[("a", "TRUNCATE cache")]),
    script("sequence restarted", Isolated, &[("a", "ALTER SEQUENCE tickets RESTART")]),
    script("select into", Isolated, &[("a", "SELECT * INTO copied FROM accounts")]),
    script(
        "merge",
        Isolated,
        &[(
            "a",
            "MERGE INTO accounts a USING (VALUES (1)) v(i) ON a.id = v.i WHEN MATCHED THEN UPDATE SET balance = 3",
        )],
    ),
    script("large object written", Isolated, &[("a", "SELECT lo_put(4711, 0, 'other')")]),
    script("statistics object", Isolated, &[("a", "CREATE STATISTICS st ON account, amount FROM ledger")]),
    script(
        "rows deleted by a foreign key",
        Isolated,
        &[("a", "ALTER TABLE ledger DROP CONSTRAINT ledger_account_fkey; DELETE FROM accounts WHERE id = 20")],
    ),
    script("session left in a transaction that only read", Read, &[("a", "BEGIN; SELECT 1")]),
    script("lists the roles", Exclusive, &[("a", "SELECT rolname FROM pg_roles ORDER BY 1")]),
    script("looks at itself", Read, &[("a", "SELECT state FROM pg_stat_activity WHERE pid = pg_backend_pid()")]),
    script("session that ends itself", Read, &[("a", "!SELECT pg_terminate_backend(pg_backend_pid())")]),
    script("file read", Exclusive, &[("a", "SELECT pg_read_file('PG_VERSION')")]),
    script(
        "owner of a role changed",
        Exclusive,
        &[("a", "ALTER ROLE lessee SET work_mem = '8MB'; ALTER ROLE lessee RESET ALL")],
    ),
    script("tablespace refused", Exclusive, &[("a", "!CREATE TABLESPACE ts LOCATION '{dir}/nowhere'")]),
    script("unique violation", Transaction, &[("a", "!INSERT INTO lock_events VALUES (1, 'again')")]),
    script("function that writes, rolled back", Transaction, &[("a", "BEGIN; SELECT deposit(1, 5); ROLLBACK")]),
    script(
        "explain analyze of an insert, rolled back",
        Transaction,
        &[("a", "BEGIN; EXPLAIN ANALYZE INSERT INTO lock_events VALUES (9, 'x'); ROLLBACK")],
    ),
    script(
        "copy in, rolled back",
        Transaction,
        &[("psql", "BEGIN;\nCOPY ledger (id, note) FROM STDIN;\n900\tx\n901\ty\n\\.\nROLLBACK;\n")],
    ),
    script(
        "upsert that does nothing",
        Transaction,
        &[("a", "INSERT INTO lock_events VALUES (1, 'x') ON CONFLICT DO NOTHING")],
    ),
    script("large object rolled back", Transaction, &[("a", "BEGIN; SELECT lo_create(0); ROLLBACK")]),
    script(
        "more than 64 subtransactions, rolled back",
        Transaction,
        &[(
            "a",
            "BEGIN; DO $$ BEGIN FOR i IN 100..250 LOOP BEGIN INSERT INTO cache VALUES (i, ''); INSERT INTO ledger (amount) VALUES (i); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$; ROLLBACK",
        )],
    ),
    script("unlogged rows rolled back", Transaction, &[("a", "BEGIN; INSERT INTO cache VALUES ('k', 'v'); ROLLBACK")]),
    script("notify rolled back", Transaction, &[("a", "BEGIN; NOTIFY news, 'x'; ROLLBACK")]),
    script("insert committed", Isolated, &[("a", "INSERT INTO accounts (email) VALUES ('x')")]),
    script(
        "savepoint rolled back, then commit of the rest",
        Isolated,
        &[(
            "a",
            "BEGIN; INSERT INTO lock_events VALUES (8, 'x'); SAVEPOINT s; INSERT INTO lock_events VALUES (9, 'x'); ROLLBACK TO s; COMMIT",
        )],
    ),
    script(
        "only a subtransaction wrote",
        Isolated,
        &[("a", "BEGIN; SAVEPOINT s; UPDATE accounts SET balance = 0; RELEASE s; COMMIT")],
    ),
    script(
        "one writes and commits, one rolls back",
        Isolated,
        &[
            ("a", "BEGIN; UPDATE accounts SET balance = 1 WHERE id = 1"),
            ("b", "BEGIN; UPDATE accounts SET balance = 1 WHERE id = 2; ROLLBACK"),
            ("a", "COMMIT"),
        ],
    ),
    script(
        "insert and delete again",
        Isolated,
        &[("a", "INSERT INTO lock_events VALUES (9, 'x'); DELETE FROM lock_events WHERE id = 9")],
    ),
    script("nextval alone", Isolated, &[("a", "SELECT nextval('tickets')")]),
    script("setval", Isolated, &[("a", "SELECT setval('tickets', 50)")]),
    script(
        "nextval in a savepoint",
        Isolated,
        &[("a", "BEGIN; SAVEPOINT s; SELECT nextval('tickets'); RELEASE s; COMMIT")],
    ),
    script("ddl committed", Isolated, &[("a", "CREATE TABLE t (a int)")]),
    script("schema made and dropped", Isolated, &[("a", "CREATE SCHEMA s"), ("a", "DROP SCHEMA s")]),
    script(
        "function replaced",
        Isolated,
        &[("a", "CREATE OR REPLACE FUNCTION guarded(k int) RETURNS int LANGUAGE sql AS $$ SELECT k $$")],
    ),
    script("grant on a table", Isolated, &[("a", "GRANT SELECT ON accounts TO public")]),
    script("truncate of an empty table", Isolated, &[("a", "TRUNCATE parts")]),
    script("insert into a partition", Isolated, &[("a", "INSERT INTO parts VALUES (7, 'x')")]),
    script(
        "advisory lock of a session",
        Isolated,
        &[("a", "SELECT pg_advisory_lock(7); SELECT pg_advisory_unlock(7)")],
    ),
    script("advisory lock of a transaction, by a function", Isolated, &[("a", "BEGIN; SELECT guarded(7); ROLLBACK")]),
    script(
        "advisory lock in a block",
        Isolated,
        &[("a", "DO $$ BEGIN IF pg_try_advisory_lock(7) THEN NULL; END IF; END $$")],
    ),
    script("listen", Isolated, &[("a", "LISTEN news")]),
    script("notify committed", Isolated, &[("a", "NOTIFY news, 'x'")]),
    script("notify by a trigger, rolled back", Transaction, &[("a", "BEGIN; INSERT INTO events VALUES (9); ROLLBACK")]),
    script("notify by a trigger", Isolated, &[("a", "INSERT INTO events VALUES (9)")]),
    script(
        "listen and notify in two sessions",
        Isolated,
        &[("a", "LISTEN news"), ("b", "SELECT pg_notify('news', 'x')"), ("a", "SELECT 1")],
    ),
    script("lock table", Isolated, &[("a", "BEGIN; LOCK TABLE accounts IN SHARE MODE; ROLLBACK")]),
    script("lock table exclusively", Isolated, &[("a", "BEGIN; LOCK accounts; COMMIT")]),
    script("copy in", Isolated, &[("psql", "COPY ledger (id, note) FROM STDIN;\n900\tx\n901\ty\n\\.\n")]),
    script("large object", Isolated, &[("a", "SELECT lo_create(0)")]),
    script("large object unlinked", Isolated, &[("a", "SELECT lo_unlink(4711)")]),
    script(
        "unlogged rows beside a row lock",
        Isolated,
        &[("a", "BEGIN; SELECT * FROM accounts FOR SHARE; INSERT INTO cache VALUES ('k', 'v'); COMMIT")],
    ),
    script("unlogged rows", Isolated, &[("a", "INSERT INTO cache VALUES ('k', 'v')")]),
    script(
        "unlogged rows beside a rollback",
        Isolated,
        &[
            ("a", "BEGIN; INSERT INTO lock_events VALUES (9, 'x'); ROLLBACK"),
            ("a", "INSERT INTO cache VALUES ('k', 'v')"),
        ],
    ),
    script("materialized view refreshed", Isolated, &[("a", "REFRESH MATERIALIZED VIEW totals")]),
    script("function that writes", Isolated, &[("a", "SELECT deposit(1, 5)")]),
    script("procedure that commits", Isolated, &[("a", "CALL settle()")]),
    script("block that writes", Isolated, &[("a", "DO $$ BEGIN UPDATE accounts SET balance = 1 WHERE id = 1; END $$")]),
    script(
        "prepared transaction, rolled back",
        Isolated,
        &[
            ("a", "BEGIN; INSERT INTO lock_events VALUES (9, 'x'); PREPARE TRANSACTION '{own}'"),
            ("b", "ROLLBACK PREPARED '{own}'"),
        ],
    ),
    script(
        "prepared transaction, committed",
        Isolated,
        &[
            ("a", "BEGIN; UPDATE accounts SET balance = 0; PREPARE TRANSACTION '{own}'"),
            ("b", "COMMIT PREPARED '{own}'"),
        ],
    ),
    script("vacuum", Isolated, &[("a", "VACUUM accounts")]),
    script("vacuum full", Isolated, &[("a", "VACUUM FULL lock_events")]),
    script("analyze, rolled back", Isolated, &[("a", "BEGIN; ANALYZE accounts; ROLLBACK")]),
    script("reindex", Isolated, &[("a", "REINDEX TABLE accounts")]),
    script("settings of its own database", Isolated, &[("a", "ALTER DATABASE \"{own}\" SET work_mem = '8MB'")]),
    script(
        "execute of a prepared insert",
        Isolated,
        &[("a", "PREPARE p (int) AS INSERT INTO lock_events VALUES ($1, 'x'); EXECUTE p(9)")],
    ),
    script(
        "explain analyze of an insert",
        Isolated,
        &[("a", "EXPLAIN ANALYZE INSERT INTO lock_events VALUES (9, 'x')")],
    ),
    script(
        "more than 64 subtransactions",
        Isolated,
        &[(
            "a",
            "DO $$ BEGIN FOR i IN 100..250 LOOP BEGIN INSERT INTO ledger (amount) VALUES (i); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $$",
        )],
    ),
    script(
        "asynchronous commit",
        Isolated,
        &[("a", "SET synchronous_commit = off; UPDATE accounts SET balance = 1 WHERE id = 1")],
    ),
    script("create role", Exclusive, &[("a", "CREATE ROLE visitor_one; DROP ROLE visitor_one")]),
    script("create role, rolled back", Exclusive, &[("a", "BEGIN; CREATE ROLE visitor_two; ROLLBACK")]),
    script(
        "role of a block",
        Exclusive,
        &[("a", "DO $$ BEGIN EXECUTE 'CREATE ROLE visitor_three'; EXECUTE 'DROP ROLE visitor_three'; END $$")],
    ),
    script("grant of a role", Exclusive, &[("a", "GRANT pg_monitor TO lessee; REVOKE pg_monitor FROM lessee")]),
    script(
        "alter system and back",
        Exclusive,
        &[("a", "ALTER SYSTEM SET work_mem = '8MB'"), ("a", "ALTER SYSTEM RESET work_mem")],
    ),
    script("create and drop database", Exclusive, &[("a", "CREATE DATABASE guest"), ("a", "DROP DATABASE guest")]),
    script(
        "settings of another database",
        Exclusive,
        &[("a", "ALTER DATABASE template1 SET work_mem = '8MB'"), ("a", "ALTER DATABASE template1 RESET work_mem")],
    ),
    script("terminate a backend", Exclusive, &[("a", "SELECT 1"), ("b", "SELECT pg_terminate_backend(0)")]),
    script("reload", Exclusive, &[("a", "SELECT pg_reload_conf()")]),
    script(
        "replication slot",
        Exclusive,
        &[("a", "SELECT pg_create_physical_replication_slot('s')"), ("a", "SELECT pg_drop_replication_slot('s')")],
    ),
    script("reads who is connected", Exclusive, &[("a", "SELECT count(*) FROM \"pg_stat_activity\"")]),
    script("reads the databases", Exclusive, &[("a", "SELECT datname FROM pg_catalog.pg_database")]),
    script("reads the settings", Exclusive, &[("a", "SELECT name FROM pg_settings LIMIT 1")]),
    script("copy to a file", Exclusive, &[("a", "COPY accounts TO '{dir}/out'")]),
    script("copy to a program", Exclusive, &[("a", "COPY (SELECT 1) TO PROGRAM 'cat >/dev/null'")]),
    script("switch of the log", Exclusive, &[("a", "SELECT pg_switch_wal()")]),
    script("checkpoint", Exclusive, &[("a", "CHECKPOINT")]),
    script("another database", Exclusive, &[("a", "SELECT 1"), ("x@template1", "SELECT 1")]),
    script(
        "comment on a role",
        Exclusive,
        &[("a", "COMMENT ON ROLE lessee IS 'x'"), ("a", "COMMENT ON ROLE lessee IS NULL")],
    ),
];
