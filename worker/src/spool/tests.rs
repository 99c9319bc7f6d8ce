//! What is read back, after what may happen to files.

use super::*;
use regatta_wire::v1::{Entry, Released, entry};
use std::fs;

const A: WorkerId = WorkerId::from_bits(0xA);
const B: WorkerId = WorkerId::from_bits(0xB);
const MUCH: u64 = 1 << 30;

fn report(seq: u64) -> Report {
    Report { seq, entries: vec![Entry { entry: Some(entry::Entry::Released(Released { token: seq })) }] }
}

fn standing(acked: u64, holds: &[u64]) -> Standing {
    let holds = holds.iter().map(|&token| Hold { token, running: None }).collect();
    Standing { acked, holds }
}

fn open(directory: &Path, newcomer: WorkerId) -> (Spool, Left) {
    Spool::open(&SpoolPlace::At(directory.to_owned()), MUCH, newcomer).unwrap().unwrap()
}

fn seqs(left: &Left) -> Vec<u64> {
    left.reports.iter().map(|(_, record)| record.report.seq).collect()
}

#[test]
fn what_was_not_acknowledged_is_read_back_in_order_for_the_worker_that_said_it() {
    let place = tempfile::tempdir().unwrap();
    let (mut spool, left) = open(place.path(), A);
    assert_eq!((spool.worker(), left.reports.len()), (A, 0));
    let part = OutputPart { token: 2, test: 1, attempt: 1, data: b"out".to_vec() };
    for (seq, acked) in [(1, 0), (2, 0), (3, 1)] {
        spool.write(&standing(acked, &[seq]), &report(seq), std::slice::from_ref(&part)).unwrap();
    }
    drop(spool);
    let (spool, left) = open(place.path(), B);
    assert_eq!((spool.worker(), seqs(&left), left.last), (A, vec![2, 3], 3));
    assert_eq!(left.holds, standing(0, &[3]).holds, "as it stood at the end");
    assert_eq!(spool.read_at(left.reports[0].0).unwrap().parts, [part]);
}

#[test]
fn a_spool_with_nothing_to_say_belongs_to_whoever_comes() {
    let place = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(place.path(), A);
    spool.write(&standing(0, &[]), &report(1), &[]).unwrap();
    spool.write(&standing(2, &[]), &report(2), &[]).unwrap();
    drop(spool);
    let (spool, left) = open(place.path(), B);
    assert_eq!((spool.worker(), seqs(&left), left.last), (B, vec![], 0));
    spool.remove();
    let left: Vec<_> = Segment::list(place.path()).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_directory_that_was_made_for_it_goes_with_it_and_one_that_was_named_stays() {
    let temporary = tempfile::tempdir().unwrap();
    let base = base(temporary.path(), "http://a:1");
    let (first, second) = (Place::take_one_of(&base).unwrap(), Place::take_one_of(&base).unwrap());
    first.remove().unwrap();
    assert!(base.exists(), "another worker is in it");
    second.remove().unwrap();
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    Place::take(temporary.path()).unwrap().remove().unwrap();
    assert!(temporary.path().exists());
}

#[test]
fn a_torn_end_is_left_out_and_written_over() {
    let place = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(place.path(), A);
    for seq in 1..=2 {
        spool.write(&standing(0, &[]), &report(seq), &[]).unwrap();
    }
    drop(spool);
    let file = place.path().join("00000001.spool");
    let whole = fs::read(&file).unwrap();
    let record = (whole.len() - 24) / 2;
    for cut in 1..record {
        fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        let (mut spool, left) = open(place.path(), B);
        assert_eq!(seqs(&left), [1], "{cut} bytes are missing");
        let at = spool.write(&standing(0, &[]), &report(2), &[]).unwrap();
        assert_eq!(spool.read_at(at).unwrap().report, report(2));
        drop(spool);
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
}

#[test]
fn a_second_worker_does_not_get_it_and_takes_another_where_it_may() {
    let base = tempfile::tempdir().unwrap();
    let first = Place::take_one_of(base.path()).unwrap();
    let second = Place::take_one_of(base.path()).unwrap();
    assert_ne!(first.directory, second.directory);
    // What a worker started keeps its place for as long as it runs.
    let starter = hold(&first.starters()).unwrap();
    let _also = hold(&first.starters()).unwrap();
    let taken = first.directory.clone();
    drop(first);
    let next = std::thread::spawn({
        let base = base.path().to_owned();
        move || Place::take_one_of(&base).unwrap()
    });
    drop((starter, _also));
    assert_eq!(next.join().unwrap().directory, taken);
}

#[test]
fn files_of_which_all_was_acknowledged_are_given_back_and_the_limit_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let limit = 3 * SEGMENT;
    let at = SpoolPlace::At(place.path().to_owned());
    let (mut spool, _) = Spool::open(&at, limit, A).unwrap().unwrap();
    let big = OutputPart { data: vec![7; 1024 * 1024], ..OutputPart::default() };
    let mut seq = 0;
    let full = loop {
        seq += 1;
        if let Err(full) = spool.write(&standing(0, &[]), &report(seq), std::slice::from_ref(&big)) {
            break full;
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::QuotaExceeded);
    assert!(spool.bytes() <= limit && spool.segments.len() == 3, "{} in {}", spool.bytes(), spool.segments.len());
    spool.forget(seq - 1);
    assert_eq!(spool.segments.len(), 1);
    spool.write(&standing(seq - 1, &[]), &report(seq), &[]).unwrap();
}

#[test]
fn what_does_not_say_whose_it_is_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("00000001.spool"), "nonsense").unwrap();
    let refused = Spool::open(&SpoolPlace::At(place.path().to_owned()), MUCH, A).unwrap_err();
    assert!(refused.to_string().contains("00000001.spool is damaged"), "{refused}");
}
