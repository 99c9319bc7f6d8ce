//! SQLite alone: files of other versions, and memory.

use super::history::{Store, scope};
use super::*;
use regatta_domain::history::{Queried, Queries};
use rusqlite::Connection;

#[test]
fn what_is_in_memory_is_read_as_it_was_written() {
    let (mut writer, reader) = open(None, Keep::LOCAL).unwrap();
    writer.write(&whole_run(5), 12).unwrap();
    assert_eq!(reader.events(run(5), 1, 10).unwrap(), [vec![2]]);
    assert_eq!(known(&reader)[0].history.failures, 1);
}

#[test]
fn a_projection_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("projection.db");
    drop(open(Some(&file), Keep::LOCAL).unwrap());
    Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 6").unwrap();
    let Err(error) = open(Some(&file), Keep::LOCAL) else { panic!("a newer projection is refused") };
    assert!(matches!(error, Error::Newer { found: 6, known: 5, .. }), "{error:?}");
}

#[test]
fn a_file_of_the_first_version_keeps_its_history() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("projection.db");
    let old = Connection::open(&file).unwrap();
    old.execute_batch(include_str!("version_1.sql")).unwrap();
    drop(old);
    let (mut writer, reader) = open(Some(&file), Keep::LOCAL).unwrap();
    assert_eq!(writer.cursor(), 12);
    let known = reader.histories("shop", "api", &scope("", ""), ["a.py"].into_iter()).unwrap().remove("a.py").unwrap();
    let TestHistory { runs, failures, last, .. } = known[0].history;
    assert_eq!((&*known[0].name, runs, failures, last), ("test_a", 3, 1, Some(Verdict::Passed)));
    writer.write(&whole_run(7), 13).unwrap();
    drop((writer, reader));

    let tables = |file: &Path| {
        let connection = Connection::open(file).unwrap();
        let mut find = connection.prepare("SELECT name FROM pragma_table_list ORDER BY name").unwrap();
        let mut tables: Vec<String> = find.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        for table in &mut tables {
            let mut find = connection.prepare("SELECT name FROM pragma_table_info(?) ORDER BY cid").unwrap();
            let columns = find.query_map([&*table], |row| row.get::<_, String>(0)).unwrap();
            table.push_str(&columns.map(|column| format!(" {}", column.unwrap())).collect::<String>());
        }
        tables
    };
    let fresh = directory.path().join("fresh.db");
    drop(open(Some(&fresh), Keep::LOCAL).unwrap());
    assert_eq!(tables(&file), tables(&fresh));
}

#[test]
fn a_file_of_the_third_version_learns_what_tests_ask() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("projection.db");
    drop(open(Some(&file), Keep::LOCAL).unwrap());
    let old = Connection::open(&file).unwrap();
    let back = "ALTER TABLE history DROP COLUMN queries; ALTER TABLE verdicts DROP COLUMN cause;
        ALTER TABLE attempts DROP COLUMN cause; ALTER TABLE attempts DROP COLUMN status;
        ALTER TABLE attempts DROP COLUMN signal; DROP TABLE refused; PRAGMA user_version = 3";
    old.execute_batch(back).unwrap();
    drop(old);
    let mut store = Store::of(open(Some(&file), Keep::LOCAL).unwrap());
    store.run(&scope("", ""), &[("a", 100)]);
    assert_eq!(store.known(&scope("", ""))[0].history.queries, Queries::default());
    let asked = Queried { calls: 7, time: Micros(70) };
    store.ask(&scope("", ""), "a", asked);
    assert_eq!(store.known(&scope("", ""))[0].history.queries, [asked].into_iter().collect());
}

#[test]
fn a_file_of_the_fourth_version_learns_why_attempts_did_not_pass() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("projection.db");
    let (mut writer, reader) = open(Some(&file), Keep::LOCAL).unwrap();
    writer.write(&[vec![begun(1)], with_causes(1, &ENDS[..1])].concat(), 1).unwrap();
    drop((writer, reader));
    let back = "ALTER TABLE verdicts DROP COLUMN cause; ALTER TABLE attempts DROP COLUMN cause;
        ALTER TABLE attempts DROP COLUMN status; ALTER TABLE attempts DROP COLUMN signal; DROP TABLE refused;
        PRAGMA user_version = 4";
    Connection::open(&file).unwrap().execute_batch(back).unwrap();
    let (mut writer, reader) = open(Some(&file), Keep::LOCAL).unwrap();
    writer.write(&[vec![begun(2), late(2, 7, 1)], with_causes(2, &ENDS)].concat(), 2).unwrap();
    drop((writer, reader));
    let tables = Connection::open(&file).unwrap();
    let mut find = tables.prepare("SELECT cause, status, signal FROM attempts ORDER BY run, attempt").unwrap();
    let found = find.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let found: Vec<(i64, Option<i64>, Option<i64>)> = found.collect::<Result<_, _>>().unwrap();
    assert_eq!(found, [&[(0, None, None)], &ENDS_AS_COLUMNS[..]].concat(), "what was there before says nothing");
    let causes = tables.query_row("SELECT group_concat(cause) FROM verdicts", [], |row| row.get::<_, String>(0));
    assert_eq!(causes.unwrap(), "0,3");
}

#[test]
fn late_results_stand_in_columns_once_each_until_their_run_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("projection.db");
    let (mut writer, _reader) = open(Some(&file), Keep { runs: 1, ..Keep::LOCAL }).unwrap();
    writer.write(&[whole_run(1), vec![late(1, 7, 1), late(1, 7, 2), late(1, 8, 1)]].concat(), 1).unwrap();
    let tables = Connection::open(&file).unwrap();
    let find = "SELECT test, token, attempt, outcome, at, started, duration, hex(worker) FROM refused ORDER BY token";
    let found = |row: &rusqlite::Row<'_>| {
        let worker: String = row.get(7)?;
        assert_eq!(worker, format!("{:032X}", 0xAA));
        (0..7).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<i64>>>()
    };
    let found: Vec<Vec<i64>> =
        tables.prepare(find).unwrap().query_map([], found).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, LATE_AS_COLUMNS);
    writer.write(&whole_run(2), 2).unwrap();
    writer.prune(Time(9)).unwrap();
    assert_eq!(tables.query_row("SELECT count(*) FROM refused", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}
