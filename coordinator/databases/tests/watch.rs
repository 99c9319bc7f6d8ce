//! What tests did to a real database, told from outside: a hundred scripted tests, each with its true level.

#[path = "watch/scripts.rs"]
mod scripts;
#[path = "watch/server.rs"]
mod server;

use regatta_databases::audit::Picture;
use regatta_databases::watch::{Kind, Seen, Watch, names};
use regatta_domain::{Confidence, Fact, Level};
use scripts::{SCRIPTS, Script, TEMPLATE};
use server::{Server, Session, left, oid, until};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Client;

const LEVELS: [Level; 5] = [Level::None, Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive];

/// A server with a template, somebody who owns databases (`lessee`), somebody who may do everything (`chief`), and a
/// session that administers.
async fn prepared(more: &[&str]) -> (Server, Session) {
    let server = Server::start(more).await;
    let admin = server.connect("postgres").await;
    run(&admin.client, "CREATE ROLE lessee LOGIN").await;
    run(&admin.client, "CREATE ROLE chief LOGIN SUPERUSER").await;
    run(&admin.client, "CREATE DATABASE seeded OWNER lessee").await;
    let template = server.connect_as("lessee", "seeded").await;
    run(&template.client, TEMPLATE).await;
    template.close().await;
    let template = server.connect("seeded").await;
    run(&template.client, "VACUUM (FREEZE, ANALYZE)").await;
    template.close().await;
    left(&admin.client, "seeded").await;
    (server, admin)
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// Makes a clone of the template, and says its oid.
async fn cloned(admin: &Client, name: &str) -> u32 {
    run(admin, &format!("CREATE DATABASE {name} TEMPLATE seeded OWNER lessee STRATEGY FILE_COPY")).await;
    oid(admin, name).await
}

/// Runs the steps of a script in a database, one after the other, and closes all of its sessions.
async fn play(server: &Server, role: &str, script: &Script, own: &str) {
    let mut sessions: BTreeMap<&str, Session> = BTreeMap::new();
    for (session, sql) in script.steps {
        let sql = sql.replace("{own}", own).replace("{dir}", &server.path(""));
        if *session == "psql" {
            server.psql(role, own, &sql).await;
            continue;
        }
        if !sessions.contains_key(session) {
            let database = session.split_once('@').map_or(own, |(_, database)| database);
            sessions.insert(session, server.connect_as(role, database).await);
        }
        let fails = sql.starts_with('!');
        let outcome = sessions[session].client.batch_execute(sql.trim_start_matches('!')).await;
        assert_eq!(outcome.is_err(), fails, "{}: {sql}: {outcome:?}", script.name);
    }
    for session in sessions.into_values() {
        session.close().await;
    }
}

/// What is seen of a script that runs on a clone of its own.
async fn observed(server: &Server, admin: &Client, watch: &Watch, role: &str, script: &Script, own: &str) -> Seen {
    let database = cloned(admin, own).await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    play(server, role, script, own).await;
    left(admin, own).await;
    let seen = watch.since(&mark).await.expect("a database can be judged");
    watch.forget(database);
    run(admin, &format!("DROP DATABASE {own}")).await;
    seen
}

/// True and seen levels of scripts, counted.
#[derive(Default)]
struct Confusion {
    counts: BTreeMap<(Level, Level), usize>,
    weaker: Vec<String>,
    stronger: Vec<String>,
}

impl Confusion {
    fn add(&mut self, script: &Script, seen: &Seen) {
        let level = seen.evidence.level();
        *self.counts.entry((script.level, level)).or_default() += 1;
        let line = format!("{}: {:?}, seen as {level:?}: {}", script.name, script.level, seen.evidence);
        match level.cmp(&script.level) {
            std::cmp::Ordering::Less => self.weaker.push(line),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.stronger.push(line),
        }
    }

    fn print(&self, title: &str) {
        println!(
            "{title}\n{:>12} {}",
            "truth, seen",
            LEVELS.map(|level| format!("{:>12}", format!("{level:?}"))).concat()
        );
        for truth in LEVELS {
            let row = LEVELS.map(|level| format!("{:>12}", self.counts.get(&(truth, level)).copied().unwrap_or(0)));
            println!("{:>12} {}", format!("{truth:?}"), row.concat());
        }
        for line in self.weaker.iter().chain(&self.stronger) {
            println!("  {line}");
        }
    }
}

#[tokio::test]
async fn no_test_is_judged_weaker_than_it_is_on_a_server_of_its_own() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), true).await.expect("the server can be watched");
    assert_eq!(watch.abilities().missing(), [""; 0]);
    let mut confusion = Confusion::default();
    for (number, script) in SCRIPTS.iter().enumerate() {
        let seen = observed(&server, &admin.client, &watch, "chief", script, &format!("own_{number}")).await;
        assert_eq!(seen.evidence.confidence(), Confidence::Full, "{}", script.name);
        confusion.add(script, &seen);
    }
    confusion.print("alone on a server");
    assert!(SCRIPTS.len() >= 45);
    assert_eq!(confusion.weaker, [""; 0]);
    assert!(confusion.stronger.len() <= 2, "{:#?}", confusion.stronger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_databases_at_once_are_each_judged_right_from_one_stream() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let scripts: Vec<(usize, &Script)> =
        SCRIPTS.iter().enumerate().filter(|(_, script)| script.level < Level::Exclusive).collect();
    let lane = async |lane: usize| {
        let mut seen = Vec::new();
        for (number, script) in scripts.iter().skip(lane).step_by(4) {
            let own = format!("lane_{number}");
            seen.push((*script, observed(&server, &admin.client, &watch, "lessee", script, &own).await));
        }
        seen
    };
    let (a, b, c, d) = tokio::join!(lane(0), lane(1), lane(2), lane(3));
    let mut confusion = Confusion::default();
    for (script, seen) in [a, b, c, d].iter().flatten() {
        confusion.add(script, seen);
    }
    confusion.print("four at once, as owners of databases on a shared server");
    assert_eq!(confusion.weaker, [""; 0]);
    // A commit that names no database may be anybody's: it can raise a rollback of unlogged rows or of a notification.
    assert!(confusion.stronger.len() <= 5, "{:#?}", confusion.stronger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_neighbours_do_not_change_a_verdict() {
    const KINDS: [(&str, Level); 4] = [
        ("SELECT count(*) FROM accounts", Level::Read),
        ("BEGIN; UPDATE accounts SET balance = balance + 1; ROLLBACK", Level::Transaction),
        ("BEGIN; SELECT * FROM accounts FOR UPDATE; COMMIT", Level::Transaction),
        ("UPDATE accounts SET balance = balance + 1 WHERE id = 1", Level::Isolated),
    ];
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let busy = async |number: usize| {
        let (sql, level) = KINDS[number];
        let own = format!("busy_{number}");
        let database = cloned(&admin.client, &own).await;
        for round in 0..5 {
            let mark = watch.mark(database).await.expect("a database can be marked");
            let session = server.connect_as("lessee", &own).await;
            for _ in 0..40 {
                run(&session.client, sql).await;
            }
            session.close().await;
            left(&admin.client, &own).await;
            let seen = watch.since(&mark).await.expect("a database can be judged");
            assert_eq!(seen.evidence.level(), level, "{sql}, round {round}: {}", seen.evidence);
            assert_eq!(seen.evidence.sessions, 1, "{sql}");
            assert_eq!(seen.evidence.committed, if level == Level::Isolated { 40 } else { 0 }, "{sql}");
        }
    };
    tokio::join!(busy(0), busy(1), busy(2), busy(3));
}

#[tokio::test]
async fn a_commit_that_is_not_yet_on_disk_is_seen() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    for round in 0..20 {
        let mark = watch.mark(database).await.expect("a database can be marked");
        let session = server.connect_as("lessee", "own").await;
        run(&session.client, "SET synchronous_commit = off; UPDATE accounts SET balance = 1 WHERE id = 1").await;
        // Asked at once, while the session is still there.
        let seen = watch.since(&mark).await.expect("a database can be judged");
        assert!(seen.evidence.facts.has(Fact::Committed), "round {round}: {}", seen.evidence);
        session.close().await;
        left(&admin.client, "own").await;
    }
}

#[tokio::test]
async fn the_evidence_tells_what_was_changed_by_name() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    let session = server.connect_as("lessee", "own").await;
    run(&session.client, "BEGIN; INSERT INTO accounts (email) VALUES ('x'); COMMIT").await;
    run(&session.client, "BEGIN; UPDATE ledger SET amount = 0 WHERE id = 1; COMMIT").await;
    run(&session.client, "BEGIN; DELETE FROM lock_events; ROLLBACK; LOCK TABLE accounts").await;
    session.close().await;
    left(&admin.client, "own").await;
    let mut seen = watch.since(&mark).await.expect("a database can be judged");
    let own = server.connect("own").await;
    let files: Vec<u32> = seen.changed.iter().map(|changed| changed.file).collect();
    seen.name(&names(&own.client, &files).await.expect("names can be asked"));
    own.close().await;
    let named: BTreeSet<&str> = seen.evidence.relations.iter().map(String::as_str).collect();
    assert_eq!(named, BTreeSet::from(["accounts", "accounts_id_seq", "ledger"]));
    assert!(seen.evidence.because().starts_with("committed 2 transactions that changed "), "{}", seen.evidence);
    assert!(seen.sequences_moved);
    assert_eq!((seen.evidence.committed, seen.evidence.aborted, seen.evidence.rows), (2, 1, 4));
    assert!(seen.statements.iter().any(|text| text.contains("LOCK TABLE")), "{:?}", seen.statements);
}

#[tokio::test]
async fn readers_of_one_database_are_told_apart_by_their_marks() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let first = watch.mark(database).await.expect("a database can be marked");
    let session = server.connect_as("lessee", "own").await;
    run(&session.client, "SELECT pg_advisory_lock(1)").await;
    session.close().await;
    left(&admin.client, "own").await;
    let second = watch.mark(database).await.expect("a database can be marked");
    let session = server.connect_as("lessee", "own").await;
    run(&session.client, "SELECT 1").await;
    session.close().await;
    left(&admin.client, "own").await;
    let seen = watch.since(&second).await.expect("a database can be judged");
    assert_eq!(seen.evidence.level(), Level::Read, "{}", seen.evidence);
    let seen = watch.since(&first).await.expect("a database can be judged");
    assert_eq!(seen.evidence.level(), Level::Isolated, "{}", seen.evidence);
    let again = watch.since(&first).await.expect("it may be asked again");
    assert_eq!(again.evidence, seen.evidence);
}

#[tokio::test]
async fn sessions_that_stay_are_a_leak_and_what_they_hold_open_is_not_trusted() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    let session = server.connect_as("lessee", "own").await;
    run(&session.client, "BEGIN; UPDATE accounts SET balance = 1").await;
    let seen = watch.since(&mark).await.expect("a database can be judged");
    assert!(seen.evidence.facts.has(Fact::Leaked) && seen.evidence.facts.has(Fact::Open), "{}", seen.evidence);
    assert_eq!(seen.evidence.level(), Level::Isolated);
    assert_eq!(seen.evidence.confidence(), Confidence::Low);
    session.close().await;
}

#[tokio::test]
async fn a_cut_connection_costs_no_evidence_and_a_forgotten_database_is_unknown() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    let session = server.connect_as("lessee", "own").await;
    run(&session.client, "UPDATE accounts SET balance = 1 WHERE id = 1").await;
    session.close().await;
    left(&admin.client, "own").await;
    run(&admin.client, CUT).await;
    let seen = watch.since(&mark).await.expect("it connects again");
    assert_eq!((seen.evidence.level(), seen.evidence.committed), (Level::Isolated, 1), "{}", seen.evidence);
    assert_eq!(seen.evidence.confidence(), Confidence::Full);
    watch.forget(database);
    let seen = watch.since(&mark).await.expect("an answer is given");
    assert!(seen.evidence.facts.has(Fact::Unknown));
    assert_eq!(seen.evidence.confidence(), Confidence::Low);
}

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'regatta watch'";

#[tokio::test]
async fn a_gap_in_the_log_is_told_as_unknown() {
    let (server, admin) = prepared(&["wal_keep_size=0", "min_wal_size=2MB", "max_wal_size=2MB"]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    // While the reader is held, the log runs away from it.
    const READER: &str = "SELECT pid FROM pg_stat_activity WHERE application_name = 'regatta watch' AND state = 'idle'";
    let mut held = None;
    until("the reader is idle", async || {
        held = admin.client.query_opt(READER, &[]).await.expect("the server answers").map(|row| row.get::<_, i32>(0));
        held.is_some()
    })
    .await;
    let reader = nix::unistd::Pid::from_raw(held.expect("it was found"));
    nix::sys::signal::kill(reader, nix::sys::signal::Signal::SIGSTOP).expect("the server is ours");
    for _ in 0..6 {
        run(&admin.client, "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 700000))").await;
        run(&admin.client, "SELECT pg_switch_wal()").await;
        run(&admin.client, "CHECKPOINT").await;
    }
    nix::sys::signal::kill(reader, nix::sys::signal::Signal::SIGCONT).expect("the server is ours");
    let seen = watch.since(&mark).await.expect("an answer is given");
    assert!(seen.evidence.facts.has(Fact::Unknown), "{}", seen.evidence);
    assert_eq!((seen.evidence.level(), seen.evidence.confidence()), (Level::Isolated, Confidence::Low));
    // What comes after the gap is certain again.
    let mark = watch.mark(database).await.expect("a database can be marked");
    let seen = watch.since(&mark).await.expect("a database can be judged");
    assert_eq!((seen.evidence.level(), seen.evidence.confidence()), (Level::None, Confidence::Full));
}

#[tokio::test]
async fn a_server_that_crashed_leaves_nothing_certain() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    let session = server.connect_as("lessee", "own").await;
    let pid: i32 = session.client.query_one("SELECT pg_backend_pid()", &[]).await.expect("it answers").get(0);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .expect("the server is ours");
    session.close().await;
    until("the server has noticed", async || admin.client.is_closed()).await;
    let mut seen = None;
    until("the server is back", async || {
        seen = watch.since(&mark).await.ok();
        seen.is_some()
    })
    .await;
    let evidence = seen.expect("it was told").evidence;
    assert!(evidence.facts.has(Fact::Unknown), "{evidence}");
    assert_eq!((evidence.level(), evidence.confidence()), (Level::Isolated, Confidence::Low));
    let mark = watch.mark(database).await.expect("a database can be marked");
    let seen = watch.since(&mark).await.expect("a database can be judged");
    assert_eq!((seen.evidence.level(), seen.evidence.confidence()), (Level::None, Confidence::Full));
}

#[tokio::test]
async fn a_log_that_is_long_is_read_in_pieces() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    let session = server.connect_as("lessee", "own").await;
    // One record that is larger than what is read at once, and many small ones behind it.
    run(&session.client, "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 9000000))").await;
    run(
        &session.client,
        "BEGIN; INSERT INTO ledger (note) SELECT repeat('y', 500) FROM generate_series(1, 30000); ROLLBACK",
    )
    .await;
    run(&session.client, "UPDATE accounts SET balance = 7 WHERE id = 1").await;
    session.close().await;
    left(&admin.client, "own").await;
    let seen = watch.since(&mark).await.expect("a database can be judged");
    assert_eq!((seen.evidence.committed, seen.evidence.aborted, seen.evidence.rows), (1, 1, 30_001));
    assert!(!seen.evidence.facts.has(Fact::Unknown));
}

#[tokio::test]
async fn a_server_that_shows_little_is_judged_carefully() {
    let (server, admin) = prepared(&[]).await;
    run(&admin.client, "CREATE ROLE tenant LOGIN; GRANT pg_monitor TO tenant; CREATE EXTENSION pg_stat_statements")
        .await;
    let mut config = server.config("postgres");
    let watch = Watch::start(config.user("tenant").clone(), true).await.expect("the server can be watched");
    assert_eq!(watch.abilities().missing().len(), 1, "{:?}", watch.abilities());
    assert!(watch.abilities().missing()[0].starts_with("the WAL cannot be seen: "), "{:?}", watch.abilities());
    let mut confusion = Confusion::default();
    for (number, script) in SCRIPTS.iter().enumerate() {
        let seen = observed(&server, &admin.client, &watch, "chief", script, &format!("own_{number}")).await;
        assert_eq!(seen.evidence.confidence(), Confidence::Fair, "{}", script.name);
        confusion.add(script, &seen);
    }
    confusion.print("without the log");
    assert_eq!(confusion.weaker, [""; 0]);
    let database = cloned(&admin.client, "own").await;
    let session = server.connect_as("lessee", "own").await;
    let leaks = watch.leaks(database, "lessee").await.expect("leaks can be asked");
    assert!(leaks.iter().any(|leak| leak.kind == Kind::Session), "{leaks:?}");
    session.close().await;
}

#[tokio::test]
async fn a_watch_that_is_dropped_leaves_the_server() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let mark = watch.mark(database).await.expect("a database can be marked");
    drop((watch, mark));
    until("the watch has left", async || {
        const WATCHING: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'regatta watch'";
        admin.client.query_one(WATCHING, &[]).await.expect("the server answers").get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn everything_a_lease_leaves_behind_is_found() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), true).await.expect("the server can be watched");
    let database = cloned(&admin.client, "own").await;
    let leaks = async || watch.leaks(database, "chief").await.expect("leaks can be asked");
    assert_eq!(leaks().await, []);
    let session = server.connect_as("chief", "own").await;
    let other = server.connect_as("chief", "own").await;
    run(&session.client, "CREATE ROLE chief_guest; CREATE PUBLICATION p FOR TABLE accounts").await;
    run(&session.client, "CREATE DATABASE chiefs_own").await;
    run(&session.client, "SELECT pg_create_physical_replication_slot('chief_slot')").await;
    run(&session.client, "CREATE SUBSCRIPTION sub CONNECTION 'dbname=own' PUBLICATION p WITH (connect = false)").await;
    run(&session.client, "BEGIN; DELETE FROM lock_events; PREPARE TRANSACTION 'chief_gid'").await;
    run(&session.client, "SELECT pg_advisory_lock(1)").await;
    run(
        &session.client,
        "SET work_mem = '64kB'; BEGIN; DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 100000) ORDER BY random()",
    )
    .await;
    run(&session.client, "FETCH 1 FROM c; LOCK TABLE accounts").await;
    let found = leaks().await;
    let kinds: BTreeSet<Kind> = found.iter().map(|leak| leak.kind).collect();
    let all = [
        Kind::Session,
        Kind::InTransaction,
        Kind::Lock,
        Kind::Advisory,
        Kind::Prepared,
        Kind::Slot,
        Kind::Role,
        Kind::Database,
        Kind::Subscription,
        Kind::TemporaryFile,
    ];
    assert_eq!(kinds, BTreeSet::from(all), "{found:#?}");
    let words: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(words.contains(&"the prepared transaction chief_gid".to_owned()), "{words:?}");
    session.close().await;
    other.close().await;
}

/// The audit of a database, by name.
async fn audited(server: &Server, database: &str) -> Picture {
    let session = server.connect(database).await;
    let picture = Picture::of(&session.client).await.expect("a picture can be taken");
    session.close().await;
    picture
}

#[tokio::test]
async fn what_is_judged_clean_is_clean_to_the_last_row() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let template = audited(&server, "seeded").await;
    for (number, script) in SCRIPTS.iter().filter(|script| script.level < Level::Exclusive).enumerate() {
        let own = format!("own_{number}");
        let database = cloned(&admin.client, &own).await;
        let mark = watch.mark(database).await.expect("a database can be marked");
        play(&server, "lessee", script, &own).await;
        left(&admin.client, &own).await;
        let seen = watch.since(&mark).await.expect("a database can be judged");
        if seen.evidence.level() < Level::Isolated {
            if seen.sequences_moved {
                let session = server.connect(&own).await;
                run(&session.client, SET_BACK).await;
                session.close().await;
            }
            let differences = template.differences(&audited(&server, &own).await);
            assert_eq!(differences, [], "{}, which {}", script.name, seen.evidence);
        }
        left(&admin.client, &own).await;
        run(&admin.client, &format!("DROP DATABASE {own}")).await;
        watch.forget(database);
    }
}

#[tokio::test]
async fn a_database_that_is_handed_on_again_and_again_stays_equal_to_its_template() {
    let (server, admin) = prepared(&[]).await;
    let watch = Watch::start(server.config("postgres"), false).await.expect("the server can be watched");
    let template = audited(&server, "seeded").await;
    let (mut own, mut database) = (String::new(), 0);
    let (mut generation, mut handed_on, mut audits) = (0, 0, 0);
    let scripts: Vec<&Script> = SCRIPTS.iter().filter(|script| script.level < Level::Exclusive).collect();
    // Dirty ones come between clean ones, so that a verdict that spills over into the next lease is seen.
    for (number, script) in (0..200).map(|lease| scripts[lease * 37 % scripts.len()]).enumerate() {
        if own.is_empty() {
            generation += 1;
            own = format!("pooled_{generation}");
            database = cloned(&admin.client, &own).await;
        } else if script.level >= Level::Isolated {
            // What was handed on so far is about to be lost: now or never.
            audits += 1;
            assert_eq!(template.differences(&audited(&server, &own).await), [], "before lease {number}");
            left(&admin.client, &own).await;
        }
        let mark = watch.mark(database).await.expect("a database can be marked");
        play(&server, "lessee", script, &own).await;
        left(&admin.client, &own).await;
        let seen = watch.since(&mark).await.expect("a database can be judged");
        let level = seen.evidence.level();
        assert!(level >= script.level, "{}, lease {number}, {:?}: {}", script.name, script.level, seen.evidence);
        if level < Level::Isolated {
            handed_on += 1;
            if seen.sequences_moved {
                let session = server.connect(&own).await;
                run(&session.client, SET_BACK).await;
                session.close().await;
                left(&admin.client, &own).await;
            }
            continue;
        }
        watch.forget(database);
        run(&admin.client, &format!("DROP DATABASE {own}")).await;
        own.clear();
    }
    assert!(handed_on > 50 && audits > 5, "{handed_on} handed on, {audits} audits");
}

const SET_BACK: &str =
    "SELECT setval('accounts_id_seq', 20), setval('ledger_id_seq', 100), setval('tickets', 1, false)";

#[tokio::test]
async fn an_audit_finds_whatever_was_changed() {
    const CHANGES: [(&str, &str); 16] = [
        ("UPDATE accounts SET balance = 77 WHERE id = 7", "the content of public.accounts was 20 rows"),
        ("INSERT INTO cache VALUES ('k', 'v')", "the content of public.cache was 0 rows"),
        ("INSERT INTO parts VALUES (5, 'x')", "the content of public.parts_1 was 0 rows"),
        ("SELECT nextval('tickets')", "the position of sequence public.tickets was 1 (not called) and is 1"),
        ("ALTER SEQUENCE tickets INCREMENT 5", "sequence public.tickets was "),
        ("ALTER TABLE accounts ADD COLUMN extra int", "column public.accounts.extra was added"),
        ("DROP TABLE lock_events", "relation public.lock_events is gone"),
        ("CREATE INDEX extra ON ledger (note)", "index public.extra was added"),
        (
            "CREATE OR REPLACE FUNCTION guarded(k int) RETURNS int LANGUAGE sql AS 'SELECT k'",
            "function public.guarded(integer) was ",
        ),
        ("CREATE TYPE mood AS ENUM ('so')", "label so was added"),
        ("ALTER TABLE accounts DISABLE TRIGGER USER; CREATE SCHEMA s", "schema s was added"),
        ("CREATE POLICY p ON accounts USING (true)", "policy p on public.accounts was added"),
        ("COMMENT ON TABLE accounts IS 'x'", "comment on table public.accounts was added"),
        ("SELECT lo_put(4711, 0, 'other')", "the content of the large objects was "),
        ("ALTER DATABASE own SET work_mem = '8MB'", "settings of the database was added"),
        ("GRANT SELECT ON accounts TO public", "relation public.accounts was "),
    ];
    let (server, admin) = prepared(&[]).await;
    let template = audited(&server, "seeded").await;
    for (sql, words) in CHANGES {
        cloned(&admin.client, "own").await;
        assert_eq!(template.differences(&audited(&server, "own").await), [], "a clone is equal");
        let session = server.connect_as("lessee", "own").await;
        run(&session.client, sql).await;
        session.close().await;
        let differences = template.differences(&audited(&server, "own").await);
        let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.starts_with(words)), "{sql}: {told:#?}");
        left(&admin.client, "own").await;
        run(&admin.client, "DROP DATABASE own").await;
    }
}
