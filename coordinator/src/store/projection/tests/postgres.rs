//! PostgreSQL alone: leaders and their fences, servers that go, parts that are dropped, databases that cannot be worked with.

use super::history::{Store, scope};
use super::world::{PATIENCE, RUNTIME, lead};
use super::*;
use crate::store::postgres::fixture::{SHARED, TestServer};
use crate::store::postgres::{Server, Trouble};
use crate::store::projection::postgres::{VERSIONS, half_a_write, migrate_to, write_unanswered};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::Client;

/// For servers that refuse: what does not pass is told at once.
const SHORT: Patience = Patience { write: Duration::from_millis(200), read: Duration::from_millis(200) };

fn database() -> Server {
    RUNTIME.block_on(SHARED.database())
}

fn connect(server: &Server) -> Client {
    RUNTIME.block_on(server.connect()).unwrap()
}

fn execute(server: &Server, sql: &str) {
    let client = connect(server);
    RUNTIME.block_on(client.batch_execute(sql)).unwrap();
}

fn count(server: &Server, sql: &str) -> i64 {
    let client = connect(server);
    RUNTIME.block_on(client.query_one(sql, &[])).unwrap().get(0)
}

/// The same server for another user, or another database.
fn elsewhere(user: &str, database: &str) -> Server {
    Server::parse(&SHARED.url(user, database)).unwrap()
}

fn name(server: &Server) -> String {
    server.config().get_dbname().unwrap().to_owned()
}

fn refused(server: &Server) -> Error {
    let Err(error) = lead(server, 1, Keep::LOCAL, SHORT) else { panic!("it is refused") };
    error
}

#[test]
fn a_leader_before_the_newest_writes_nothing_and_drops_nothing() {
    let server = database();
    let (mut old, _) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    old.write(&whole_run(1), 1).unwrap();
    let (mut new, reader) = lead(&server, 2, Keep::LOCAL, PATIENCE).unwrap();
    assert_eq!(new.cursor(), 1);

    let deposed = |error: Error| matches!(error, Error::Deposed { epoch: 1, .. });
    assert!(deposed(old.write(&whole_run(2), 2).unwrap_err()));
    assert!(deposed(old.prune(Time(9)).unwrap_err()));
    let Err(error) = lead(&server, 1, Keep::LOCAL, PATIENCE) else { panic!("it comes too late") };
    assert!(deposed(error));
    assert_eq!((reader.runs(9).unwrap().len(), reader.has_ended(run(2)).unwrap()), (1, None));

    new.write(&whole_run(2), 2).unwrap();
    assert_eq!((new.cursor(), known(&reader)[0].history.failures), (2, 2));
}

#[test]
fn of_two_that_hold_the_same_epoch_one_writes() {
    let server = database();
    let (mut first, _) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    let (mut second, reader) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    second.write(&whole_run(1), 1).unwrap();
    second.write(&whole_run(2), 2).unwrap();
    let error = first.write(&whole_run(3), 3).unwrap_err();
    assert!(matches!(error, Error::Deposed { .. }), "{error:?}");
    assert_eq!(reader.runs(9).unwrap().len(), 2);
}

#[test]
fn a_commit_that_was_not_answered_is_not_made_twice() {
    let server = database();
    drop(lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap());
    RUNTIME.block_on(write_unanswered(&server, &whole_run(1)));
    let (writer, reader) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    assert_eq!((writer.cursor(), known(&reader)[0].history.failures), (1, 1));
}

#[test]
fn one_that_vanished_in_the_middle_of_a_write_holds_nobody_up_for_long() {
    let server = database();
    let (old, reader) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    let half = RUNTIME.block_on(half_a_write(&server));
    let (mut new, _) = lead(&server, 2, Keep::LOCAL, PATIENCE).unwrap();
    new.write(&whole_run(1), 1).unwrap();
    assert_eq!(reader.runs(9).unwrap().len(), 1);
    drop((half, old));
}

#[test]
fn a_server_that_is_killed_again_and_again_loses_nothing_and_nobody_hears_of_it() {
    const RUNS: u64 = 150;
    let own = TestServer::start();
    let server = RUNTIME.block_on(own.database());
    let (mut writer, reader) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..4 {
                own.tell("kill");
                own.tell("start");
                // On with it: the next one meets a server that has just come back, or not yet.
                let _back = lead(&server, 0, Keep::LOCAL, PATIENCE);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        threads.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                assert!(reader.runs(1).is_ok());
            }
        });
        let mut n = 0;
        while n < RUNS || !is_over.load(Ordering::Relaxed) {
            n += 1;
            let (counts, ended) = (Counts::default(), Some((Time(n), RunOutcome::Red)));
            let progress = Row::Progress { run: run(n), counts, errors: 0, ended };
            writer.write(&[begun(n), verdict(n, "test_a", Verdict::Failed), progress], n).unwrap();
            if n.is_multiple_of(20) {
                writer.prune(Time(n)).unwrap();
            }
        }
        let failures = known(&reader)[0].history.failures;
        assert_eq!((u64::from(failures), writer.cursor()), (n, n), "each was written once");
    });
}

#[test]
fn patience_has_an_end_and_the_error_names_the_server() {
    let own = TestServer::start();
    let server = RUNTIME.block_on(own.database());
    let (mut writer, reader) = lead(&server, 1, Keep::LOCAL, SHORT).unwrap();
    writer.write(&whole_run(1), 1).unwrap();
    own.tell("stop");
    for error in [writer.write(&whole_run(2), 2).unwrap_err(), reader.runs(9).unwrap_err(), refused(&server)] {
        assert!(matches!(error, Error::Server { .. }), "{error:?}");
        assert!(error.to_string().contains(&server.to_string()), "{error}");
    }
    own.tell("start");
    let (mut writer, reader) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    assert_eq!(writer.cursor(), 1);
    writer.write(&whole_run(2), 2).unwrap();
    assert_eq!(reader.runs(9).unwrap().len(), 2);
}

#[test]
fn whoever_is_hurried_waits_for_no_server() {
    let own = TestServer::start();
    let server = RUNTIME.block_on(own.database());
    let long = Patience { write: Duration::from_secs(3_600), read: Duration::from_secs(3_600) };
    let (mut writer, reader) = lead(&server, 1, Keep::LOCAL, long).unwrap();
    own.tell("stop");
    std::thread::scope(|threads| {
        let waits = threads.spawn(|| writer.write(&whole_run(1), 1));
        reader.hurry();
        assert!(waits.join().unwrap().is_err());
    });
    assert!(reader.runs(1).is_err());
    own.tell("start");
}

/// Tables of runs that are there: parts of the record.
const PARTS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'regatta.events'::regclass";

#[test]
fn parts_are_dropped_with_their_last_run_and_their_number_is_bounded() {
    let server = database();
    // Three runs in a part.
    let (mut writer, reader) = lead(&server, 1, Keep { runs: 96, ..Keep::LOCAL }, PATIENCE).unwrap();
    for n in 1..=300 {
        writer.write(&whole_run(n), n).unwrap();
        if n % 10 == 0 {
            writer.prune(Time(n)).unwrap();
        }
    }
    let left = reader.runs(1_000).unwrap().len();
    assert!((96..=106).contains(&left), "{left}");
    let parts = count(&server, PARTS);
    assert!((32..=37).contains(&parts), "{parts}");
    let rows = count(&server, "SELECT count(*) FROM regatta.verdicts");
    assert!((96..=110).contains(&rows), "what is left behind by runs of a part that goes on: {rows}");
    assert_eq!(reader.events(run(300), 0, 9).unwrap().len(), 2);
}

#[test]
fn a_part_is_closed_by_its_tests_too() {
    let server = database();
    let (mut writer, _) = lead(&server, 1, Keep { runs: 1_000, tests: 32, ..Keep::LOCAL }, PATIENCE).unwrap();
    for n in 1..=6 {
        writer.write(&whole_run(n), n).unwrap();
    }
    assert_eq!(count(&server, PARTS), 3, "two tests are more than a thirty-second of 32");
}

#[test]
fn a_part_that_somebody_reads_is_dropped_the_next_time() {
    let server = database();
    let (mut writer, reader) = lead(&server, 1, Keep { runs: 1, ..Keep::LOCAL }, PATIENCE).unwrap();
    let mut client = connect(&server);
    (1..=4).for_each(|n| writer.write(&whole_run(n), n).unwrap());
    {
        let reading = RUNTIME.block_on(client.transaction()).unwrap();
        RUNTIME.block_on(reading.batch_execute("SELECT 1 FROM regatta.events LIMIT 1")).unwrap();
        writer.prune(Time(9)).unwrap();
        assert_eq!(reader.runs(9).unwrap().len(), 1, "nobody finds the runs any more");
        assert_eq!(count(&server, PARTS), 4);
    }
    writer.write(&whole_run(5), 5).unwrap();
    writer.prune(Time(10)).unwrap();
    assert_eq!(count(&server, PARTS), 1);
}

#[test]
fn a_projection_of_a_newer_version_is_refused_and_left_alone() {
    let server = database();
    drop(lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap());
    let set = "UPDATE regatta.migrations SET version = 9 WHERE kind = 'projection'";
    execute(&server, set);
    let error = refused(&server);
    assert!(matches!(error, Error::NewerTables { kind: "projection", found: 9, known: 2, .. }), "{error:?}");
    assert_eq!(count(&server, "SELECT epoch FROM regatta.cursor"), 1);
    execute(&server, &set.replace('9', "2"));
    assert!(lead(&server, 1, Keep::LOCAL, PATIENCE).is_ok());
}

/// Every column and index of the tables, apart from those of parts.
const SHAPE: &str = "SELECT string_agg(shape, '\n' ORDER BY shape) FROM (
    SELECT concat_ws(' ', table_name, column_name, data_type, collation_name, is_nullable) AS shape
    FROM information_schema.columns WHERE table_schema = 'regatta'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'regatta') shapes";

#[test]
fn tables_of_every_version_become_those_of_the_newest() {
    let shape = |server: &Server| -> String {
        let client = connect(server);
        RUNTIME.block_on(client.query_one(SHAPE, &[])).unwrap().get(0)
    };
    let newest = database();
    drop(lead(&newest, 1, Keep::LOCAL, PATIENCE).unwrap());
    for version in 1..=VERSIONS {
        let old = database();
        RUNTIME.block_on(migrate_to(&old, version));
        let (mut writer, reader) = lead(&old, 1, Keep::LOCAL, PATIENCE).unwrap();
        assert_eq!(shape(&old), shape(&newest), "from version {version}");
        writer.write(&whole_run(1), 1).unwrap();
        assert_eq!(known(&reader)[0].history.failures, 1);
    }
}

#[test]
fn why_attempts_did_not_pass_stands_in_columns() {
    let server = database();
    let (mut writer, _reader) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    writer.write(&[vec![begun(1)], with_causes(1, &ENDS)].concat(), 1).unwrap();
    // And over what is there.
    writer.write(&with_causes(1, &ENDS), 2).unwrap();
    let client = connect(&server);
    let find = "SELECT cause::bigint, status::bigint, signal::bigint FROM regatta.attempts ORDER BY attempt";
    let rows = RUNTIME.block_on(client.query(find, &[])).unwrap();
    let found: Vec<(i64, Option<i64>, Option<i64>)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(found, ENDS_AS_COLUMNS);
    assert_eq!(count(&server, "SELECT cause::bigint FROM regatta.verdicts"), 3);
}

#[test]
fn late_results_stand_in_columns_once_each_until_their_run_is_dropped() {
    let server = database();
    let (mut writer, _reader) = lead(&server, 1, Keep { runs: 1, ..Keep::LOCAL }, PATIENCE).unwrap();
    writer.write(&[whole_run(1), vec![late(1, 7, 1), late(1, 7, 2)]].concat(), 1).unwrap();
    writer.write(&[late(1, 7, 2), late(1, 8, 1)], 2).unwrap();
    let client = connect(&server);
    let columns =
        ["test", "token", "attempt", "outcome", "at", "started", "duration"].map(|name| format!("{name}::bigint"));
    let find = format!("SELECT {}, worker FROM regatta.refused ORDER BY token", columns.join(", "));
    let rows = RUNTIME.block_on(client.query(&find, &[])).unwrap();
    assert!(rows.iter().all(|row| row.get::<_, uuid::Uuid>(7) == uuid::Uuid::from_u128(0xAA)));
    let found: Vec<Vec<i64>> = rows.iter().map(|row| (0..7).map(|at| row.get(at)).collect()).collect();
    assert_eq!(found, LATE_AS_COLUMNS);
    writer.write(&whole_run(2), 3).unwrap();
    writer.prune(Time(9)).unwrap();
    assert_eq!(count(&server, "SELECT count(*) FROM regatta.refused"), 0);
}

#[test]
fn a_database_that_cannot_be_worked_with_is_refused_with_what_to_do() {
    let server = database();
    let (base, user) = (name(&server), format!("user_{}", name(&server)));
    let latin = format!("latin_{base}");
    let make = format!("CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    execute(&server, &make);
    let error = refused(&elsewhere("regatta", &latin)).to_string();
    assert!(error.contains("is in LATIN1") && error.contains("createdb --encoding UTF8"), "{error}");

    let trouble = |server: &Server| match refused(server) {
        Error::Server { trouble, .. } => trouble,
        other => panic!("{other:?}"),
    };
    assert_eq!(trouble(&elsewhere("regatta", "nowhere")), Trouble::NoDatabase);
    assert_eq!(trouble(&elsewhere("nobody_here", &base)), Trouble::Credentials);

    execute(&server, &format!("CREATE ROLE {user} LOGIN; REVOKE CREATE ON DATABASE {base} FROM PUBLIC"));
    assert_eq!(trouble(&elsewhere(&user, &base)), Trouble::NoRight);
    execute(&server, &format!("ALTER DATABASE {base} CONNECTION LIMIT 0"));
    assert_eq!(trouble(&elsewhere(&user, &base)), Trouble::NoConnections);
    execute(&server, &format!("ALTER DATABASE {base} SET default_transaction_read_only = on"));
    assert_eq!(trouble(&server), Trouble::ReadOnly);
    execute(&elsewhere("regatta", "postgres"), &format!("ALTER DATABASE {base} RESET default_transaction_read_only"));
    assert!(lead(&server, 1, Keep::LOCAL, PATIENCE).is_ok());
}

#[test]
fn connections_are_few_however_many_read() {
    let server = database();
    let (mut writer, reader) = lead(&server, 1, Keep::LOCAL, PATIENCE).unwrap();
    writer.write(&whole_run(1), 1).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..16 {
            threads.spawn(|| (0..20).for_each(|_| assert_eq!(reader.runs(9).unwrap().len(), 1)));
        }
    });
    let used = server.presence().connections;
    assert!(used.open <= used.most && used.waiting == 0 && used.idle == used.open, "{used:?}");
    let stand = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", name(&server));
    assert!(count(&server, &stand) <= i64::try_from(used.most).unwrap() + 1);
}

#[test]
fn what_waits_for_a_server_may_be_a_thread_of_the_runtime_that_talks_to_it() {
    let server = database();
    let handle = RUNTIME.handle().clone();
    let opened = RUNTIME.block_on(async {
        let opening =
            async move { open_postgres((&server, 1), Keep::LOCAL, PATIENCE, handle).map(|(writer, _)| writer) };
        tokio::spawn(opening).await.unwrap()
    });
    assert_eq!(opened.unwrap().cursor(), 0);
}

#[test]
fn whoever_drives_a_small_runtime_may_wait_inside_of_it() {
    let mut store = Store::of(lead(&database(), 1, Keep::LOCAL, PATIENCE).unwrap());
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    clock.block_on(async { store.run(&scope("", ""), &[("a", 100)]) });
    assert_eq!(store.known(&scope("", "")).len(), 1);
}
