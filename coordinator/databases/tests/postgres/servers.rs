//! Servers for one test: whatever was done to one, the next test finds a server like a new one.

use crate::world::{TEMPLATE, World, connect, until};
use regatta_databases::audit::Picture;
use regatta_databases::{Fate, Leased, Released, Shelf};
use regatta_domain::Level;
use regatta_domain::evidence::Fact;
use std::collections::BTreeSet;
use tokio_postgres::{Client, Config, NoTls};

/// What changes nothing. The server goes on with its database.
const HARMLESS: [&str; 6] = [
    "SELECT * FROM accounts",
    "BEGIN; INSERT INTO accounts (name) VALUES ('a'); SELECT pay(1, 2); ROLLBACK",
    "BEGIN; ALTER TABLE accounts ADD note text; DROP TABLE ledger; ROLLBACK",
    "SET work_mem = '1MB'; SET ROLE NONE; CREATE TEMP TABLE t AS SELECT 1 WHERE false; DROP TABLE t; BEGIN; ROLLBACK",
    "SELECT * FROM nowhere",
    "BEGIN; SELECT nextval('accounts_id_seq'); ROLLBACK",
];

/// What changes the database and nothing else. The server may go on, with another one.
const KEPT: [&str; 13] = [
    "INSERT INTO accounts (name) VALUES ('kept')",
    "SELECT nextval('accounts_id_seq')",
    "SELECT setval('accounts_id_seq', 1000)",
    "CREATE TABLE left_behind (id int)",
    "CREATE UNLOGGED TABLE u AS SELECT 1",
    "CREATE EXTENSION pg_trgm",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; \
     CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION e()",
    "SELECT lo_from_bytea(0, 'kept')",
    "COMMENT ON TABLE accounts IS 'kept'",
    "SELECT pg_advisory_lock(1)",
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''1MB''', current_database()); END $$",
    "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS ''evil''', current_database()); END $$",
];

/// What touches the server, or may. It ends.
const TOUCHING: [&str; 39] = [
    "CREATE ROLE evil",
    "BEGIN; CREATE ROLE evil; ROLLBACK",
    "CREATE ROLE evil; DROP ROLE evil",
    "ALTER ROLE CURRENT_USER PASSWORD 'evil'",
    "ALTER ROLE CURRENT_USER SET work_mem = '1MB'",
    "ALTER ROLE ALL SET work_mem = '1MB'",
    "CREATE ROLE evil; CREATE ROLE worse ROLE evil",
    "DO $$ BEGIN EXECUTE format('GRANT %I TO CURRENT_USER', (SELECT min(rolname) FROM pg_roles WHERE rolname LIKE 'rg%')); END $$",
    "GRANT pg_monitor TO pg_signal_backend",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "ALTER SYSTEM SET work_mem = '1MB';; ALTER SYSTEM RESET work_mem",
    "ALTER SYSTEM SET work_mem = '1MB';; SELECT pg_reload_conf()",
    "ALTER DATABASE postgres SET work_mem = '1MB'",
    "ALTER DATABASE template1 CONNECTION LIMIT 7",
    "COMMENT ON ROLE pg_monitor IS 'evil'",
    "DO $$ BEGIN EXECUTE format('COMMENT ON ROLE %I IS ''evil''', current_user); END $$",
    "COMMENT ON DATABASE postgres IS 'evil'",
    "CREATE DATABASE evil",
    "CREATE DATABASE evil TEMPLATE template0",
    "SELECT pg_create_physical_replication_slot('evil')",
    "SELECT pg_create_physical_replication_slot('evil'), 1 / (random() * 0)::int",
    "SELECT pg_create_physical_replication_slot('evil'); SELECT pg_drop_replication_slot('evil')",
    "SELECT pg_replication_origin_create('evil')",
    "CREATE SUBSCRIPTION evil CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)",
    "SET allow_in_place_tablespaces = on;; CREATE TABLESPACE evil LOCATION ''",
    "DO $$ BEGIN EXECUTE format('COPY accounts TO %L', current_setting('data_directory') || '/evil'); END $$",
    "DO $$ BEGIN EXECUTE format('COPY (SELECT 1 / (3 - g) FROM generate_series(1, 9) g) TO %L', current_setting('data_directory') || '/evil'); END $$",
    "COPY accounts TO '/dev/null'",
    "COPY accounts TO PROGRAM 'cat > evil'",
    "SELECT lo_from_bytea(1, 'evil');; SELECT lo_export(1, current_setting('data_directory') || '/global/evil')",
    "DO $$ BEGIN PERFORM lo_from_bytea(1, 'evil'); PERFORM lo_export(1, current_setting('data_directory') || '/evil'); RAISE 'no'; END $$",
    "SELECT pg_stat_reset()",
    "SELECT pg_stat_reset_shared('bgwriter')",
    "SELECT pg_stat_reset_slru('Notify')",
    "SELECT pg_switch_wal()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
    "SELECT pg_rotate_logfile()",
    "BEGIN; INSERT INTO accounts (name) VALUES ('held'); PREPARE TRANSACTION 'evil'",
];

/// Where each server is, and what we ourselves connect without.
const OWN: [&str; 3] = ["setting port ", "setting unix_socket_directories ", "setting pg_stat_statements.track "];

/// How a server and its database are: all that an audit sees, and the files beside.
#[derive(Debug)]
struct Likeness {
    server: Picture,
    database: Picture,
    files: BTreeSet<String>,
}

impl Likeness {
    async fn of((config, database, role): &(Config, String, String)) -> Self {
        let client = enter(config, database).await;
        // A comparison of content does not belong to what the watch counts, but it may not disturb it either.
        let files = "SELECT d || '/' || f FROM unnest(ARRAY['.', 'global', 'pg_tblspc', 'pg_replslot', 'pg_twophase']) d, \
                     pg_ls_dir(d) f WHERE f !~ '^pg_internal.init'";
        let rows = client.query(files, &[]).await.unwrap();
        Self {
            server: Picture::of_server(&client, role, database).await.unwrap(),
            database: Picture::of(&client).await.unwrap(),
            files: rows.iter().map(|row| row.get(0)).collect(),
        }
    }

    /// In what another one differs, in words.
    fn differences(&self, other: &Self) -> Vec<String> {
        let server = self.server.differences(&other.server);
        let database = self.database.differences(&other.database);
        let files = self.files.symmetric_difference(&other.files).map(|file| format!("the file {file}"));
        let told = server.iter().chain(&database).map(ToString::to_string).chain(files);
        told.filter(|told| !OWN.iter().any(|own| told.starts_with(own))).collect()
    }
}

async fn enter(config: &Config, database: &str) -> Client {
    let (client, connection) = config.clone().dbname(database).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// What is ready, once something is.
async fn shelf(world: &World) -> Shelf {
    let ready = || async { world.postgres.shelf(TEMPLATE).is_some_and(|shelf| !shelf.private.is_empty()) };
    until("a private server is ready", ready).await;
    world.postgres.shelf(TEMPLATE).unwrap()
}

fn port(url: &str) -> u16 {
    url.parse::<Config>().unwrap().get_ports()[0]
}

fn ports(shelf: &Shelf) -> Vec<u16> {
    shelf.private.iter().map(|(config, ..)| config.get_ports()[0]).collect()
}

/// A new server, which nobody has had.
async fn new(world: &World) -> Likeness {
    let leased = world.lease(Level::Exclusive).await;
    let new = Likeness::of(&shelf(world).await.private[0]).await;
    world.release(&leased).await;
    new
}

/// Runs what is between `;;` one after the other: some of it may not be in a transaction with others.
async fn run(world: &World, sql: &str) -> (Leased, Released) {
    let mut told = None;
    // On a machine with much else to do a session may take longer to leave than a lease waits for it.
    for _ in 0..10 {
        let leased = world.lease(Level::Exclusive).await;
        let client = connect(&leased.url).await.unwrap();
        for statement in sql.split(";;") {
            let _ = client.batch_execute(statement).await;
        }
        drop(client);
        let released = world.release(&leased).await;
        let is_told = !released.evidence.facts.has(Fact::Leaked);
        told = Some((leased, released));
        if is_told {
            break;
        }
    }
    told.unwrap()
}

/// Runs each of `deeds` alone, and looks at what the next test would get.
async fn check(deeds: &[&str], fates: &[Fate]) {
    let world = World::own().await;
    let new = new(&world).await;
    let mut wrong = Vec::new();
    for sql in deeds {
        let (had, released) = run(&world, sql).await;
        if !fates.contains(&released.fate) {
            wrong.push(format!("{sql}: {:?}: {:?}", released.fate, released.evidence.facts.iter().collect::<Vec<_>>()));
        }
        if [Fate::HandedOn, Fate::Replaced].contains(&released.fate) {
            let is_back = || async { ports(&shelf(&world).await).contains(&port(&had.url)) };
            until("the server is ready again", is_back).await;
        }
        // What came back last is what the next one gets.
        let leased = world.lease(Level::Exclusive).await;
        let is_same = port(&leased.url) == port(&had.url);
        if is_same != [Fate::HandedOn, Fate::Replaced].contains(&released.fate) {
            wrong.push(format!("{sql}: {:?}, and the next test has the same server: {is_same}", released.fate));
        }
        let url = leased.url.clone();
        let role = connect(&url).await.unwrap().query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
        let config: Config = url.parse().unwrap();
        let told = new.differences(&Likeness::of(&(config, leased.database.clone(), role)).await);
        if !told.is_empty() {
            wrong.push(format!("{sql}: the next test finds {told:#?}"));
        }
        world.release(&leased).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    world.postgres.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_which_nothing_was_changed_goes_to_the_next_test() {
    check(&HARMLESS, &[Fate::HandedOn]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_database_was_changed_goes_on_with_another_one() {
    check(&KEPT, &[Fate::Replaced]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_touched_is_not_handed_on() {
    check(&TOUCHING, &[Fate::Destroyed, Fate::Lost]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_stays_does_not_reach_the_next_test() {
    let world = World::own().await;
    let leased = world.lease(Level::Exclusive).await;
    let client = connect(&leased.url).await.unwrap();
    client.batch_execute("SELECT pg_advisory_lock(7); BEGIN; SELECT * FROM accounts FOR UPDATE").await.unwrap();
    let released = world.release(&leased).await;
    assert!([Fate::Replaced, Fate::Destroyed].contains(&released.fate), "{released:?}");
    assert!(client.batch_execute("SELECT 1").await.is_err(), "it was ended");
    let next = world.lease(Level::Exclusive).await;
    let other = connect(&next.url).await.unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    assert_eq!(other.query_one(held, &[]).await.unwrap().get::<_, i64>(0), 0);
    world.postgres.shutdown().await;
}
