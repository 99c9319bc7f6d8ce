//! A projector that is cut off anywhere changes nothing twice, and one that comes back from a snapshot knows what one knows
//! that has read everything.

use super::{RUN, World};
use crate::blobs::Blobs;
use crate::projector::{End, Projector};
use crate::store::projection;
use crate::store::{Base, Batch, Commit, Error, Journal, MemoryJournal};
use regatta_domain::Token;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What happened in a world, commit by commit.
fn story(seed: u64) -> Vec<Commit> {
    let mut world = World::new(seed);
    world.submit();
    (0..120).for_each(|_| world.act());
    world.journal.reader().unwrap().read(0, 10_000).unwrap()
}

/// Stories in which much happens.
fn stories() -> impl Iterator<Item = Vec<Commit>> {
    (0..400).map(story).filter(|commits| commits.len() > 30)
}

fn append(journal: &mut MemoryJournal, commits: &[Commit]) {
    for Commit { seq, at, events } in commits {
        let number = journal.append(Batch { at: *at, events: events.clone(), requests: Vec::new() });
        assert_eq!(number, *seq);
    }
}

fn start(journal: &MemoryJournal, tables: &Path) -> (Projector, End) {
    let (writer, _) = projection::open(Some(tables), crate::Keep::LOCAL).unwrap();
    let (reader, base) = (journal.reader().unwrap(), journal.base().seq);
    Projector::replay(reader, journal.snapshots(), base, writer, Blobs::in_memory()).unwrap()
}

/// Writes everything that the journal has.
fn write_all(projector: &mut Projector) -> Result<(), Error> {
    projector.read_on()?;
    projector.write()
}

/// Everything that is in the tables.
fn dump(file: &Path) -> String {
    let tables = rusqlite::Connection::open(file).unwrap();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let mut names = tables.prepare(names).unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let mut dump = String::new();
    for name in names {
        let mut all = tables.prepare(&format!("SELECT * FROM {name} ORDER BY 1, 2")).unwrap();
        let columns = all.column_count();
        let mut rows = all.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<rusqlite::types::Value> = (0..columns).map(|at| row.get(at).unwrap()).collect();
            writeln!(dump, "{name} {values:?}").unwrap();
        }
    }
    dump
}

/// Files for tables, one after another.
struct Files(tempfile::TempDir, u32);

impl Files {
    fn next(&mut self) -> PathBuf {
        self.1 += 1;
        self.0.path().join(format!("{}.db", self.1))
    }
}

#[test]
fn a_projector_that_is_cut_off_after_any_commit_changes_nothing_twice() {
    let mut files = Files(tempfile::tempdir().unwrap(), 0);
    let mut learnt = 0;
    for commits in stories().take(2) {
        let mut whole = MemoryJournal::default();
        append(&mut whole, &commits);
        let uncut = files.next();
        let (mut projector, truth) = start(&whole, &uncut);
        write_all(&mut projector).unwrap();
        let truth_of_tables = dump(&uncut);
        learnt += truth_of_tables.matches("history [").count();
        for cut in (0..=commits.len()).step_by(3) {
            let mut journal = MemoryJournal::default();
            append(&mut journal, &commits[..cut]);
            let tables = files.next();
            let (mut projector, _) = start(&journal, &tables);
            write_all(&mut projector).unwrap();
            // What it had read on in memory is gone with it.
            append(&mut journal, &commits[cut..]);
            projector.read_on().unwrap();
            drop(projector);

            let (mut projector, end) = start(&journal, &tables);
            assert_eq!((end.state, end.beginnings), (truth.state.clone(), truth.beginnings.clone()));
            write_all(&mut projector).unwrap();
            drop(projector);
            assert_eq!(dump(&tables), truth_of_tables, "cut after commit {cut}");
        }
    }
    assert!(learnt > 0, "what is learnt twice is not what it was: so something has to be learnt");
}

#[test]
fn a_snapshot_and_the_rest_are_as_good_as_everything() {
    let mut files = Files(tempfile::tempdir().unwrap(), 0);
    let commits = stories().nth(2).unwrap();
    let mut whole = MemoryJournal::default();
    append(&mut whole, &commits);
    let uncut = files.next();
    let (mut projector, truth) = start(&whole, &uncut);
    write_all(&mut projector).unwrap();
    let truth_of_tables = dump(&uncut);
    for cut in (1..=commits.len()).step_by(5) {
        let mut journal = MemoryJournal::default();
        append(&mut journal, &commits[..cut]);
        let tables = files.next();
        let (mut projector, _) = start(&journal, &tables);
        write_all(&mut projector).unwrap();
        projector.keep();
        assert_eq!(projector.snapshot, commits[cut - 1].seq);
        drop(projector);
        append(&mut journal, &commits[cut..]);
        // With all that came before, and with nothing of it.
        for trims in [false, true] {
            if trims {
                journal.trim(Base { seq: commits[cut - 1].seq, token: Token(0) }, vec![RUN]);
            }
            let again = files.next();
            std::fs::copy(&tables, &again).unwrap();
            let (mut projector, end) = start(&journal, &again);
            assert_eq!((end.seq, end.at), (truth.seq, truth.at));
            assert_eq!((end.state, end.beginnings), (truth.state.clone(), truth.beginnings.clone()), "cut after {cut}");
            write_all(&mut projector).unwrap();
            drop(projector);
            assert_eq!(dump(&again), truth_of_tables, "cut after commit {cut}, trimmed: {trims}");
        }
    }
}

#[test]
fn tables_that_are_lost_are_made_again_as_far_as_the_journal_goes() {
    let mut files = Files(tempfile::tempdir().unwrap(), 0);
    let commits = stories().nth(3).unwrap();
    let (early, late) = commits.split_at(commits.len() / 2);
    let mut journal = MemoryJournal::default();
    append(&mut journal, early);
    let tables = files.next();
    let (mut projector, _) = start(&journal, &tables);
    write_all(&mut projector).unwrap();
    projector.keep();
    drop(projector);
    append(&mut journal, late);
    let (mut projector, truth) = start(&journal, &tables);
    write_all(&mut projector).unwrap();
    drop(projector);

    // The journal has everything: so do the new tables, whatever the snapshot says.
    let fresh = files.next();
    let (mut projector, end) = start(&journal, &fresh);
    assert_eq!(end.state, truth.state);
    write_all(&mut projector).unwrap();
    drop(projector);
    assert_eq!(dump(&fresh), dump(&tables));

    // It has only what came after the snapshot: the run goes on, and what comes now is in the tables.
    let seq = early.last().unwrap().seq;
    journal.trim(Base { seq, token: Token(0) }, vec![RUN]);
    let fresh = files.next();
    let (mut projector, end) = start(&journal, &fresh);
    assert_eq!(end.state, truth.state);
    write_all(&mut projector).unwrap();
    assert_eq!(projector.writer.cursor(), truth.seq);
    drop(projector);
    let (_, reader) = projection::open(Some(&fresh), crate::Keep::LOCAL).unwrap();
    assert!(reader.has_ended(RUN).unwrap().is_some(), "the run is known");
}
