//! A commit as bytes: a version, and the moment and events in postcard. Beside it goes a checksum over number and bytes.

use super::Commit;
use regatta_core::Event;
use regatta_domain::Time;
use std::sync::Arc;

/// The first byte of every commit. Postcard carries no names, so any change to an event's shape is a new version.
const VERSION: u8 = 1;

/// Bytes of the checksum: enough to notice what disks do; nobody is kept from forging it.
const SUM_BYTES: usize = 8;

pub(super) type Sum = [u8; SUM_BYTES];

pub(super) fn encode(at: Time, events: &[Event]) -> Vec<u8> {
    let body = vec![VERSION];
    postcard::to_extend(&(at, events), body).expect("events are plain values, and a vector takes any length")
}

/// The checksum of a commit: its number is part of it, so that rows cannot be taken for one another.
pub(super) fn sum(seq: u64, body: &[u8]) -> Sum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seq.to_le_bytes()).update(body);
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..SUM_BYTES]);
    sum
}

/// What is wrong with a commit that does not decode.
pub(super) fn decode(seq: u64, body: &[u8], found: &[u8]) -> Result<Commit, String> {
    if sum(seq, body) != found {
        return Err(format!("the checksum of commit {seq} does not fit"));
    }
    match body.split_first() {
        Some((&VERSION, rest)) => {
            let decoded: Result<(Time, Vec<Event>), _> = postcard::from_bytes(rest);
            let (at, events) = decoded.map_err(|error| format!("commit {seq} does not decode: {error}"))?;
            Ok(Commit { seq, at, events: Arc::from(events) })
        }
        Some((version, _)) => {
            Err(format!("commit {seq} is written in format {version}, and this program knows {VERSION}"))
        }
        None => Err(format!("commit {seq} is empty")),
    }
}
