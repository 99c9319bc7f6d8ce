mod history;

use super::*;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::report::{Counts, RunOutcome};
use regatta_domain::{FileKey, Micros, RunId, TestIx, TestKey, Time, Verdict};
use rusqlite::Connection;

fn run(n: u64) -> RunId {
    RunId::from_bits(n.into())
}

fn verdict(n: u64, name: &str, verdict: Verdict) -> Row {
    Row::Verdict {
        run: run(n),
        project: "shop".into(),
        suite: "api".into(),
        path: "a.py".into(),
        name: name.into(),
        test: TestIx(0),
        key: TestKey([7; 16]),
        verdict,
        attempts: 1,
        duration: Some(Micros(1_000)),
        speed: 1.0,
        observed: None,
        queried: None,
        at: Time(n),
    }
}

fn whole_run(n: u64) -> Vec<Row> {
    let mut counts = Counts::default();
    counts.add(Verdict::Failed);
    vec![
        Row::Run { run: run(n), project: "shop".into(), submitted: Time(n), listing: false, scope: Scope::default() },
        Row::Event { run: run(n), seq: 1, body: vec![1] },
        Row::Event { run: run(n), seq: 2, body: vec![2] },
        verdict(n, "test_a", Verdict::Failed),
        Row::Progress { run: run(n), counts, errors: 3, ended: Some((Time(n + 1), RunOutcome::Red)) },
    ]
}

#[test]
fn what_is_written_is_read_and_the_cursor_moves_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("projection.db");
    let (mut writer, reader) = open(Some(&file), Keep::LOCAL).unwrap();
    assert_eq!(writer.cursor(), 0);
    writer.write(&whole_run(5), 12).unwrap();

    let summary = reader.runs(10).unwrap().swap_remove(0);
    assert_eq!((summary.tests, summary.failed, summary.errors, summary.ended), (1, 1, 3, Some(6)));
    assert_eq!(reader.has_ended(run(5)).unwrap(), Some(true));
    assert_eq!(reader.has_ended(run(6)).unwrap(), None);
    assert_eq!(reader.events(run(5), 0, 10).unwrap(), [vec![1], vec![2]]);
    assert_eq!(reader.events(run(5), 1, 10).unwrap(), [vec![2]]);
    assert_eq!(reader.verdicts(run(5)).unwrap().unwrap()[&TestKey([7; 16])], Verdict::Failed);
    let scope = Scope::default();
    let histories = reader.histories("shop", "api", &scope, ["a.py", "b.py"].into_iter()).unwrap();
    assert_eq!(histories.len(), 1);
    let Remembered { key, name, history } = &histories["a.py"][0];
    assert_eq!((key, &**name, history.failures), (&TestKey([7; 16]), "test_a", 1));

    drop((writer, reader));
    assert_eq!(open(Some(&file), Keep::LOCAL).unwrap().0.cursor(), 12);
}

#[test]
fn a_file_list_is_recalled_by_its_tree_else_the_newest() {
    let (mut writer, reader) = open(None, Keep::LOCAL).unwrap();
    let files = |path: &str| vec![ListedFile { path: path.into(), key: FileKey([1; 16]), locator: "".into() }];
    let list = |tree: &str, path, at| Row::FileList {
        project: "shop".into(),
        suite: "api".into(),
        tree_key: tree.into(),
        files: files(path),
        at: Time(at),
    };
    assert_eq!(reader.file_list("shop", "api", "t1").unwrap(), Recalled::default());
    writer.write(&[list("t1", "old.py", 1), list("t2", "new.py", 2)], 0).unwrap();
    let recall = |tree| reader.file_list("shop", "api", tree).unwrap();
    assert_eq!(recall("t1"), Recalled { exact: true, files: files("old.py") });
    assert_eq!(recall("t3"), Recalled { exact: false, files: files("new.py") });
    assert_eq!(reader.file_list("other", "api", "t1").unwrap(), Recalled::default());
}

#[test]
fn a_listing_is_remembered_by_content() {
    let (mut writer, reader) = open(None, Keep::LOCAL).unwrap();
    let tests: Vec<ListedTest> = vec![ListedTest { name: "test_a".into(), line: 3, ..Default::default() }];
    let key = FileKey([4; 16]);
    writer.write(&[Row::Listing { key, tests: tests.clone().into(), at: Time(9) }], 0).unwrap();
    let found = reader.listings([key, FileKey([5; 16])].into_iter()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[&key], (Time(9), tests));
}

#[test]
fn the_oldest_runs_are_dropped_and_the_newest_always_stays() {
    let (mut writer, reader) = open(None, Keep { runs: 10, tests: 1_000, ..Keep::LOCAL }).unwrap();
    for n in 1..=11 {
        writer.write(&whole_run(n), n).unwrap();
    }
    assert_eq!(writer.prune(Time(100)).unwrap(), None, "a bound may be passed by a tenth");
    writer.write(&whole_run(12), 12).unwrap();
    assert_eq!(writer.prune(Time(100)).unwrap(), Some(Time(3)));
    assert_eq!(reader.runs(100).unwrap().len(), 10);
    assert_eq!(reader.events(run(2), 0, 10).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(reader.events(run(3), 0, 10).unwrap().len(), 2);

    let (mut writer, reader) = open(None, Keep { runs: 10, tests: 0, ..Keep::LOCAL }).unwrap();
    writer.write(&whole_run(1), 1).unwrap();
    writer.write(&whole_run(2), 2).unwrap();
    assert_eq!(writer.prune(Time(100)).unwrap(), Some(Time(2)));
    assert_eq!(reader.runs(100).unwrap().len(), 1);
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
