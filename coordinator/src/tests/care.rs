//! Care for a store: what is found in it, what is saved of a damaged one, and copies that are as good as it.

use super::harness::*;
use super::restart::kill;
use crate::Keep;
use crate::store::care::{self, Checked, Error, Store};
use regatta_wire::v1;
use regatta_wire::v1::run_event::Event;
use rusqlite::Connection;
use std::fs;
use std::path::Path;

const SECOND: &str = "01890000-0000-7000-8000-000000000002";

fn store(directory: &Path) -> Store {
    Store::Directory(directory.to_owned())
}

async fn check(directory: &Path) -> Checked {
    care::check(&store(directory), Some(None)).await.unwrap()
}

fn sql(file: &Path, text: &str) {
    Connection::open(file).unwrap().execute_batch(text).unwrap();
}

/// A store with a run that has ended, and one that has not: its journal has commits.
async fn half_done(directory: &Path) {
    let coordinator = start(Some(directory)).await;
    whole_run(&coordinator, RUN).await;
    client(&coordinator).await.submit(request(SECOND, &["b.py"])).await.unwrap();
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests = worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await;
    worker.report(vec![finished(grant.token, tests[0].test, v1::Outcome::Passed)]).await;
    coordinator.projected().await;
    drop(worker);
    kill(coordinator).await;
}

/// The runs that a coordinator on this directory lists, with their counts.
async fn runs(directory: &Path) -> Vec<v1::RunSummary> {
    let coordinator = start(Some(directory)).await;
    let runs = client(&coordinator).await.list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    coordinator.shutdown().await.unwrap();
    runs
}

#[tokio::test]
async fn a_sound_store_is_told_sound_and_outputs_that_are_gone_are_named() {
    let directory = tempfile::tempdir().unwrap();
    half_done(directory.path()).await;
    let checked = check(directory.path()).await;
    assert!(checked.is_sound(), "{checked:?}");
    let survey = checked.journal.unwrap();
    assert!(survey.commits() > 2, "{survey:?}");
    let tables = checked.tables.unwrap().unwrap();
    assert_eq!((tables.runs, tables.cursor, tables.version), (2, survey.last, tables.known));
    let outputs = checked.outputs.unwrap().unwrap();
    assert_eq!((outputs.referenced, outputs.missing.len()), (1, 0));

    let output = blake3::hash(b"Traceback").to_hex();
    fs::remove_file(directory.path().join("blobs").join(&output[..2]).join(&output[2..])).unwrap();
    let outputs = check(directory.path()).await.outputs.unwrap().unwrap();
    assert_eq!(outputs.missing[0].to_string(), *output);
}

#[tokio::test]
async fn a_store_is_looked_at_beside_its_coordinator_and_changed_by_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let coordinator = start(Some(directory.path())).await;
    whole_run(&coordinator, RUN).await;
    assert!(check(directory.path()).await.is_sound());
    let refused = care::migrate(&store(directory.path()), Keep::LOCAL).unwrap_err();
    assert!(matches!(refused, Error::Store(crate::store::Error::Held { .. })), "{refused}");
    coordinator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_commit_is_told_with_its_place_and_what_came_before_is_saved() {
    let directory = tempfile::tempdir().unwrap();
    let (data, saved) = (directory.path().join("data"), directory.path().join("saved"));
    half_done(&data).await;
    let last = check(&data).await.journal.unwrap().last;
    let damaged = last - 1;
    sql(
        &data.join("journal.db"),
        &format!(
            "UPDATE commits SET body = CAST(substr(body, 1, length(body) - 1) || x'ff' AS BLOB) WHERE seq = {damaged}"
        ),
    );
    let checked = check(&data).await;
    assert!(!checked.is_sound());
    let survey = checked.journal.unwrap();
    let damage = survey.damage.unwrap();
    assert_eq!((survey.last, damage.commit, damage.after), (damaged - 1, damaged, 1));
    assert_eq!(damage.why, format!("the checksum of commit {damaged} does not fit"));
    let refused = crate::Coordinator::start(config(Some(&data))).await.err().unwrap().to_string();
    assert!(refused.contains(&format!("commit {damaged}")), "{refused}");

    let salvaged = care::salvage(&store(&data), &saved).unwrap();
    assert_eq!((salvaged.journal.last, salvaged.tables, salvaged.told_again), (damaged - 1, true, 2));
    assert!(check(&saved).await.is_sound());
    // The run that had ended is as it was; the other one goes on, and its record has no event twice.
    let coordinator = start(Some(&saved)).await;
    let mut client = client(&coordinator).await;
    let first = record(watch(&mut client, RUN, 0).await);
    assert_eq!(verdicts(&first), [(0, v1::Verdict::Passed), (1, v1::Verdict::Failed)]);
    let mut worker = Worker::attach(&coordinator, Vec::new()).await;
    let grant = worker.granted().await;
    let tests: Vec<u32> = match grant.files[0].list {
        true => worker.list(grant.token, grant.files[0].file, &["test_a", "test_b"]).await,
        false => grant.files[0].tests.clone(),
    }
    .iter()
    .map(|test| test.test)
    .collect();
    let done = tests.iter().map(|test| finished(grant.token, *test, v1::Outcome::Passed));
    worker.report_unheard(done.chain([released(grant.token)]).collect()).await;
    worker.close(SECOND).await;
    let second = record(watch(&mut client, SECOND, 0).await);
    let seqs: Vec<u64> = second.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=second.len() as u64).collect::<Vec<_>>());
    assert!(matches!(second.last().unwrap().event, Some(Event::RunEnded(_))));
    coordinator.shutdown().await.unwrap();
    assert_eq!(runs(&saved).await.len(), 2);
    // The damaged store is as it was.
    assert_eq!(check(&data).await.journal.unwrap().damage.unwrap().commit, damaged);
    let again = care::salvage(&store(&data), &saved).unwrap_err();
    assert!(matches!(again, Error::NotEmpty(_)), "{again}");
}

#[tokio::test]
async fn a_commit_that_is_missing_and_one_of_another_format_are_told_apart_from_damage() {
    let directory = tempfile::tempdir().unwrap();
    half_done(directory.path()).await;
    let journal = directory.path().join("journal.db");
    let last = check(directory.path()).await.journal.unwrap().last;
    let body = {
        let connection = Connection::open(&journal).unwrap();
        let mut body: Vec<u8> = connection
            .query_row("SELECT body FROM commits WHERE seq = ?", [last.cast_signed()], |row| row.get(0))
            .unwrap();
        body[0] = 4;
        let sum = blake3::Hasher::new().update(&last.to_le_bytes()).update(&body).finalize();
        let (sum, seq) = (&sum.as_bytes()[..8], last.cast_signed());
        let change = "UPDATE commits SET body = ?, sum = ? WHERE seq = ?";
        connection.execute(change, rusqlite::params![body, sum, seq]).unwrap();
        body
    };
    let damage = check(directory.path()).await.journal.unwrap().damage.unwrap();
    assert_eq!((damage.commit, damage.format), (last, Some(body[0])));
    let refused = care::migrate(&store(directory.path()), Keep::LOCAL).unwrap_err().to_string();
    assert!(refused.contains(&format!("commit {last} in")) && refused.contains("written in format 4"), "{refused}");

    sql(&journal, &format!("DELETE FROM commits WHERE seq = {}", last - 1));
    let damage = check(directory.path()).await.journal.unwrap().damage.unwrap();
    assert_eq!((damage.commit, damage.after, damage.format), (last - 1, 1, None));
    assert_eq!(damage.why, format!("it is missing: {last} comes next"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told_and_nothing_is_saved_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    half_done(&data).await;
    for suffix in ["-wal", "-shm"] {
        // Not all of them are there.
        let _gone = fs::remove_file(data.join(format!("journal.db{suffix}")));
    }
    let whole = fs::read(data.join("journal.db")).unwrap();
    fs::write(data.join("journal.db"), "nonsense".repeat(1_000)).unwrap();
    let checked = check(&data).await;
    let told = checked.journal.unwrap_err().to_string();
    assert!(told.contains("journal.db is damaged") && told.contains("not a database"), "{told}");
    assert!(checked.tables.unwrap().is_ok(), "the other file is looked at all the same");
    care::salvage(&store(&data), &directory.path().join("saved")).unwrap_err();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing half done stays behind");

    // Cut short: whatever is left, it is looked at to its end.
    fs::write(data.join("journal.db"), &whole[..whole.len() / 2]).unwrap();
    assert!(!check(&data).await.is_sound());
}

#[tokio::test]
async fn a_torn_write_is_as_if_it_had_not_been() {
    let directory = tempfile::tempdir().unwrap();
    half_done(directory.path()).await;
    let log = directory.path().join("journal.db-wal");
    let before = check(directory.path()).await.journal.unwrap();
    let bytes = fs::read(&log).unwrap();
    if bytes.len() > 1_000 {
        fs::write(&log, &bytes[..bytes.len() - 1_000]).unwrap();
        let _gone = fs::remove_file(directory.path().join("journal.db-shm"));
    }
    let after = check(directory.path()).await.journal.unwrap();
    assert_eq!(after.damage, None);
    assert!(after.last <= before.last);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    half_done(directory.path()).await;
    sql(&directory.path().join("projection.db"), "PRAGMA user_version = 99");
    let told = check(directory.path()).await.tables.unwrap().unwrap_err().to_string();
    assert!(told.contains("newer Regatta (its version is 99"), "{told}");
    let refused = care::migrate(&store(directory.path()), Keep::LOCAL).unwrap_err();
    assert!(matches!(refused, Error::Store(crate::store::Error::Newer { found: 99, .. })), "{refused}");
    let refused = care::backup(&store(directory.path()), &directory.path().join("backup"), true).unwrap_err();
    assert!(matches!(refused, Error::Store(crate::store::Error::Newer { found: 99, .. })), "{refused}");
    assert!(!directory.path().join("backup").exists());
}

#[tokio::test]
async fn a_store_of_an_older_version_is_brought_to_this_one_and_starts() {
    let directory = tempfile::tempdir().unwrap();
    half_done(directory.path()).await;
    for suffix in ["", "-wal", "-shm"] {
        // Not all of them are there.
        let _gone = fs::remove_file(directory.path().join(format!("projection.db{suffix}")));
    }
    sql(&directory.path().join("projection.db"), include_str!("../store/projection/tests/version_1.sql"));
    let tables = check(directory.path()).await.tables.unwrap().unwrap();
    assert_eq!(tables.version, 1);
    let migrated = care::migrate(&store(directory.path()), Keep::LOCAL).unwrap();
    assert_eq!(migrated.projection, (1, tables.known));
    assert_eq!(migrated.journal.0, migrated.journal.1);
    let again = care::migrate(&store(directory.path()), Keep::LOCAL).unwrap();
    assert_eq!(again.projection, (tables.known, tables.known));
    start(Some(directory.path())).await.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_backup_that_is_taken_beside_a_coordinator_is_restored_to_the_same_runs() {
    let directory = tempfile::tempdir().unwrap();
    let [data, backup, back] = ["data", "backup", "back"].map(|name| directory.path().join(name));
    half_done(&data).await;
    let coordinator = start(Some(&data)).await;
    let taken = care::backup(&store(&data), &backup, true).unwrap();
    assert_eq!((taken.runs, taken.outputs, taken.copied), (2, 1, 1));
    let before = client(&coordinator).await.list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    // What comes later is not in it.
    let third = "01890000-0000-7000-8000-000000000003";
    client(&coordinator).await.submit(request(third, &["c.py"])).await.unwrap();
    coordinator.shutdown().await.unwrap();

    let restored = care::restore(&backup, &store(&back)).unwrap();
    assert_eq!((restored.last, restored.runs), (taken.last, 2));
    assert!(check(&back).await.is_sound());
    assert!(check(&back).await.outputs.unwrap().unwrap().missing.is_empty());
    let mut after = runs(&back).await;
    assert_eq!(after.len(), before.len());
    after.iter_mut().zip(&before).for_each(|(after, before)| {
        assert_eq!((&after.run, after.passed, after.failed), (&before.run, before.passed, before.failed));
    });
    for taken in [&back, &data] {
        let refused = care::restore(&backup, &store(taken)).unwrap_err();
        assert!(matches!(refused, Error::NotEmpty(_)), "{refused}");
    }
    let refused = care::backup(&store(&data), &backup, true).unwrap_err();
    assert!(matches!(refused, Error::NotEmpty(_)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_that_are_taken_while_runs_come_and_go_are_sound() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let coordinator = start(Some(&data)).await;
    let runs = async {
        for n in 1..=12 {
            whole_run(&coordinator, &format!("01890000-0000-7000-8000-{n:012}")).await;
        }
    };
    let backups = async {
        let mut cursors = std::collections::BTreeSet::new();
        for n in 0..12 {
            let (store, to) = (store(&data), directory.path().join(format!("backup-{n}")));
            let taken = tokio::task::spawn_blocking(move || (care::backup(&store, &to, false), to)).await.unwrap();
            let (taken, to) = (taken.0.unwrap(), taken.1);
            let checked = check(&to).await;
            assert!(checked.is_sound(), "{taken:?}: {checked:?}");
            cursors.insert(taken.cursor);
        }
        cursors
    };
    let ((), cursors) = tokio::join!(runs, backups);
    assert!(cursors.len() > 1, "they were taken of one moment only: {cursors:?}");
    coordinator.shutdown().await.unwrap();

    // A projection that lacks what has left the journal is no good.
    sql(&data.join("projection.db"), "UPDATE cursor SET seq = 0");
    assert!(!check(&data).await.is_sound());
}

#[tokio::test]
async fn a_backup_that_is_not_whole_or_was_altered_is_not_restored() {
    let directory = tempfile::tempdir().unwrap();
    let [data, backup, back] = ["data", "backup", "back"].map(|name| directory.path().join(name));
    half_done(&data).await;
    care::backup(&store(&data), &backup, false).unwrap();
    let outputs = fs::read_to_string(backup.join("outputs.txt")).unwrap();
    assert_eq!(outputs, format!("{}\n", blake3::hash(b"Traceback").to_hex()));
    assert!(!backup.join("blobs").exists());

    let journal = fs::read(backup.join("journal.db")).unwrap();
    let mut altered = journal.clone();
    altered[journal.len() / 2] ^= 1;
    fs::write(backup.join("journal.db"), &altered).unwrap();
    let told = care::restore(&backup, &store(&back)).unwrap_err().to_string();
    assert!(told.contains("journal.db is not the file that was backed up: its checksum"), "{told}");
    fs::write(backup.join("journal.db"), &journal[..100]).unwrap();
    let told = care::restore(&backup, &store(&back)).unwrap_err().to_string();
    assert!(told.contains("it has 100 bytes, and had"), "{told}");

    let manifest = fs::read_to_string(backup.join("backup.json")).unwrap();
    fs::write(backup.join("backup.json"), manifest.replace("\"version\": 1", "\"version\": 9")).unwrap();
    let told = care::restore(&backup, &store(&back)).unwrap_err().to_string();
    assert!(told.contains("its version is 9, and this Regatta knows up to 1"), "{told}");
    fs::write(backup.join("backup.json"), manifest.replace("outputs.txt", "../secret")).unwrap();
    let told = care::restore(&backup, &store(&back)).unwrap_err().to_string();
    assert!(told.contains("names the file `../secret`, which lies elsewhere"), "{told}");
    fs::remove_file(backup.join("backup.json")).unwrap();
    let told = care::restore(&backup, &store(&back)).unwrap_err().to_string();
    assert!(told.contains("it has no backup.json, which is written last"), "{told}");
    assert!(!back.exists());
    let told = care::restore(&directory.path().join("nowhere"), &store(&back)).unwrap_err();
    assert!(told.is_usage(), "{told}");
}

#[tokio::test]
async fn where_there_is_no_store_that_is_said_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = store(directory.path());
    for refused in [
        care::check(&nothing, None).await.map(drop),
        care::migrate(&nothing, Keep::LOCAL).map(drop),
        care::backup(&nothing, &directory.path().join("backup"), true).map(drop),
        care::salvage(&nothing, &directory.path().join("saved")).map(drop),
    ] {
        assert!(matches!(refused.unwrap_err(), Error::NoStore(_)));
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let server = Store::Postgres("postgres://localhost/regatta".to_owned());
    let told = care::check(&server, None).await.unwrap_err();
    assert!(told.is_usage() && told.to_string().contains("pg_dump"), "{told}");
}
