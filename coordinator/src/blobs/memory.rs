//! Blobs in memory: for a coordinator that keeps nothing.

use regatta_domain::Digest;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What is held at most; beyond it the blobs with the smallest addresses go, which is as good as any.
const BYTES: usize = 256 * 1024 * 1024;

/// Blobs in memory.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    blobs: BTreeMap<Digest, Vec<u8>>,
    bytes: usize,
}

impl Memory {
    pub(super) fn put(&self, digest: Digest, content: &[u8]) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += content.len();
        if let Some(before) = held.blobs.insert(digest, content.to_owned()) {
            held.bytes -= before.len();
        }
        while held.bytes > BYTES {
            let Some((_, gone)) = held.blobs.pop_first() else { break };
            held.bytes -= gone.len();
        }
    }

    pub(super) fn get(&self, digest: Digest) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blobs.get(&digest).cloned()
    }
}
