//! Blobs that go to a bucket: what waits, what arrives, and what is told when it cannot.

mod faulty;
mod s3;

use super::bucket::Bucket;
use super::{Blobs, Error, digest_of};
use faulty::{Fault, Faulty};
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _};
use regatta_domain::{Digest, Time};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// No condition of these tests takes longer, on any machine that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) {
    let poll = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("it never came to be that {what}"));
}

fn bucket(store: &Arc<impl ObjectStore>) -> Bucket {
    Bucket::new("s3://bucket/ci", "ci", Arc::clone(store) as Arc<dyn ObjectStore>)
}

async fn open(store: &Arc<impl ObjectStore>, waiting: &Path) -> Blobs {
    Blobs::in_bucket(bucket(store), waiting, 1_000).await.unwrap()
}

fn key(digest: Digest) -> Key {
    let name = digest.to_string();
    Key::from(format!("ci/{}/{}", &name[..2], &name[2..]))
}

async fn has(store: &impl ObjectStore, digest: Digest) -> bool {
    store.head(&key(digest)).await.is_ok()
}

/// Files that wait.
fn waiting(directory: &Path) -> usize {
    let shelves = fs::read_dir(directory).unwrap().map(Result::unwrap);
    shelves.map(|shelf| fs::read_dir(shelf.path()).unwrap().count()).sum()
}

#[tokio::test]
async fn both_stores_of_a_machine_keep_what_they_are_given() {
    let directory = tempfile::tempdir().unwrap();
    for blobs in [Blobs::in_memory(), Blobs::in_directory(directory.path()).unwrap()] {
        let first = blobs.put(b"some output").unwrap();
        assert_eq!(first.size, 11);
        assert_eq!(blobs.put(b"some output").unwrap(), first);
        assert_eq!(blobs.get(first.digest).await.unwrap().unwrap(), b"some output");
        assert_eq!(blobs.get(Digest([9; 32])).await.unwrap(), None);
        blobs.close().await;
    }
}

#[tokio::test]
async fn what_is_put_arrives_in_the_bucket_and_waits_no_longer() {
    let (store, directory) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let blobs = open(&store, directory.path()).await;
    let outputs: Vec<Vec<u8>> = (0..20).map(|n| format!("output {n}").into_bytes()).collect();
    for output in &outputs {
        let put = blobs.put(output).unwrap();
        // From the first moment on, wherever it is.
        assert_eq!(blobs.get(put.digest).await.unwrap().as_ref(), Some(output));
    }
    until("nothing waits", || async { waiting(directory.path()) == 0 }).await;
    for output in &outputs {
        assert_eq!(blobs.get(digest_of(output)).await.unwrap().as_ref(), Some(output));
    }
    assert_eq!(blobs.get(Digest([9; 32])).await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_that_is_away_delays_nobody_and_loses_nothing() {
    let (store, directory) = (Arc::new(Faulty::new(Fault::Away)), tempfile::tempdir().unwrap());
    let blobs = open(&store, directory.path()).await;
    let put = blobs.put(b"some output").unwrap();
    assert_eq!(blobs.get(put.digest).await.unwrap().unwrap(), b"some output");
    let told = blobs.get(Digest([9; 32])).await.unwrap_err();
    assert!(told.may_pass(), "{told}");
    assert_eq!(told.to_string(), "the outputs in s3://bucket/ci cannot be reached: connection refused");
    store.set(None);
    until("it has arrived", || has(&store.inner, put.digest)).await;
    until("nothing waits", || async { waiting(directory.path()) == 0 }).await;
    assert_eq!(blobs.get(put.digest).await.unwrap().unwrap(), b"some output");
}

#[tokio::test]
async fn what_waits_when_a_process_ends_is_carried_by_the_next() {
    let (store, directory) = (Arc::new(Faulty::new(Fault::Away)), tempfile::tempdir().unwrap());
    let blobs = open(&store, directory.path()).await;
    let put = blobs.put(b"some output").unwrap();
    until("it was tried", || async { store.tries() > 1 }).await;
    blobs.close().await;
    drop(blobs);
    assert_eq!(waiting(directory.path()), 1);
    store.set(None);
    let blobs = open(&store, directory.path()).await;
    until("it has arrived", || has(&store.inner, put.digest)).await;
    assert_eq!(blobs.get(put.digest).await.unwrap().unwrap(), b"some output");
}

#[tokio::test]
async fn what_waits_is_carried_before_a_process_ends_in_order() {
    let (store, directory) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let blobs = open(&store, directory.path()).await;
    let puts: Vec<_> = (0..50).map(|n: u32| blobs.put(&n.to_le_bytes()).unwrap().digest).collect();
    blobs.close().await;
    for put in puts {
        assert!(has(&store, put).await);
    }
}

#[tokio::test]
async fn no_more_waits_than_may_and_what_does_not_is_told_with_its_address() {
    let (store, directory) = (Arc::new(Faulty::new(Fault::Away)), tempfile::tempdir().unwrap());
    let blobs = open(&store, directory.path()).await;
    blobs.put(&[1; 400]).unwrap();
    blobs.put(&[2; 400]).unwrap();
    until("it was tried", || async { store.tries() > 1 }).await;
    let refused = blobs.put(&[3; 400]).unwrap_err();
    assert_eq!((refused.address.digest, refused.address.size), (digest_of(&[3; 400]), 400));
    let told = refused.why.to_string();
    assert!(told.contains("wait for s3://bucket/ci already, and no more may"), "{told}");
    assert!(told.contains("connection refused"), "{told}");
    // The same again waits already.
    blobs.put(&[2; 400]).unwrap();
    store.set(None);
    until("there is room again", || async { blobs.put(&[3; 400]).is_ok() }).await;
    until("it has arrived", || has(&store.inner, digest_of(&[3; 400]))).await;
}

#[tokio::test]
async fn a_damaged_object_is_refused_by_name() {
    let (store, directory) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let blobs = open(&store, directory.path()).await;
    let digest = digest_of(b"some output");
    store.put(&key(digest), (&b"some 0utput"[..]).into()).await.unwrap();
    let told = blobs.get(digest).await.unwrap_err().to_string();
    assert!(told.contains(&digest.to_string()) && told.contains("damaged"), "{told}");
}

#[tokio::test]
async fn a_file_that_was_cut_short_while_it_waited_is_not_stored() {
    let (store, directory) = (Arc::new(Faulty::new(Fault::Away)), tempfile::tempdir().unwrap());
    let blobs = open(&store, directory.path()).await;
    let (cut, whole) = (blobs.put(b"some output").unwrap().digest, blobs.put(b"another").unwrap().digest);
    let name = cut.to_string();
    fs::write(directory.path().join(&name[..2]).join(&name[2..]), b"some").unwrap();
    store.set(None);
    until("the other has arrived", || has(&store.inner, whole)).await;
    until("nothing waits", || async { waiting(directory.path()) == 0 }).await;
    assert!(!has(&store.inner, cut).await);
    assert_eq!(blobs.get(cut).await.unwrap(), None);
    // It may come again.
    blobs.put(b"some output").unwrap();
    until("it has arrived", || has(&store.inner, cut)).await;
}

#[tokio::test]
async fn what_is_old_is_dropped_unless_it_was_put_again() {
    let (store, directory) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let (old, again) = (digest_of(b"old"), digest_of(b"again"));
    store.put(&key(old), (&b"old"[..]).into()).await.unwrap();
    store.put(&key(again), (&b"again"[..]).into()).await.unwrap();
    let theirs = [Key::from("ci/readme"), Key::from("ci/ab/readme"), Key::from(format!("{old}"))];
    for theirs in &theirs {
        store.put(theirs, (&b"theirs"[..]).into()).await.unwrap();
    }
    let blobs = open(&store, directory.path()).await;
    blobs.put(b"again").unwrap();
    until("nothing waits", || async { waiting(directory.path()) == 0 }).await;
    // All of them are older than that, as the store tells.
    blobs.drop_before(Time(regatta_runtime::clock::now_us() + 2 * 3_600_000_000));
    until("the old one is gone", || async { !has(&store, old).await }).await;
    assert!(has(&store, again).await);
    for theirs in &theirs {
        assert!(store.head(theirs).await.is_ok(), "{theirs}");
    }
}

#[tokio::test]
async fn what_is_younger_than_the_slack_is_not_dropped() {
    let (store, directory) = (Arc::new(Faulty::new(Fault::Away)), tempfile::tempdir().unwrap());
    store.set(None);
    let young = digest_of(b"young");
    store.inner.put(&key(young), (&b"young"[..]).into()).await.unwrap();
    let blobs = open(&store, directory.path()).await;
    // Half an hour from now: a store whose clock goes before ours would lose what is in use.
    blobs.drop_before(Time(regatta_runtime::clock::now_us() + 1_800_000_000));
    // The probe asked thrice.
    until("it was looked for", || async { store.tries() > 3 }).await;
    for marker in 0..10_u32 {
        let marker = blobs.put(&marker.to_le_bytes()).unwrap().digest;
        until("the marker has arrived", || has(&store.inner, marker)).await;
    }
    assert!(has(&store.inner, young).await);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_does_not_answer_is_not_waited_for() {
    let store = Arc::new(Faulty::new(Fault::Silent));
    let told = bucket(&store).get(Digest([9; 32])).await.unwrap_err();
    assert_eq!(told.to_string(), "the outputs in s3://bucket/ci cannot be reached: no answer within 25 s");
    assert!(told.may_pass());
    assert!(bucket(&store).drop(&[Digest([9; 32])]).await.unwrap_err().may_pass());
    assert!(bucket(&store).old(Time(1), |_| async {}).await.unwrap_err().may_pass());
}

#[tokio::test]
async fn a_bucket_that_refuses_stops_the_start() {
    let (store, directory) = (Arc::new(Faulty::new(Fault::Refused)), tempfile::tempdir().unwrap());
    let refused = Blobs::in_bucket(bucket(&store), directory.path(), 1_000).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("AccessDenied: Access Denied; look at AWS_ACCESS_KEY_ID"), "{refused}");
}
