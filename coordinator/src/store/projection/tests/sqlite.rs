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
    Connection::open(&file).unwrap().execute_batch("PRAGMA user_version = 5").unwrap();
    let Err(error) = open(Some(&file), Keep::LOCAL) else { panic!("a newer projection is refused") };
    assert!(matches!(error, Error::Newer { found: 5, known: 4, .. }), "{error:?}");
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
    old.execute_batch("ALTER TABLE history DROP COLUMN queries; PRAGMA user_version = 3").unwrap();
    drop(old);
    let mut store = Store::of(open(Some(&file), Keep::LOCAL).unwrap());
    store.run(&scope("", ""), &[("a", 100)]);
    assert_eq!(store.known(&scope("", ""))[0].history.queries, Queries::default());
    let asked = Queried { calls: 7, time: Micros(70) };
    store.ask(&scope("", ""), "a", asked);
    assert_eq!(store.known(&scope("", ""))[0].history.queries, [asked].into_iter().collect());
}
