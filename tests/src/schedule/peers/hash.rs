//! By the hash of the name: nextest's `hash:` partitions. A test stays where it is when others come and go.

use super::super::chance::hash;
use super::Case;

#[expect(clippy::cast_possible_truncation, reason = "below the number of slots, which is a usize")]
pub(super) fn split(case: &Case) -> Vec<Vec<usize>> {
    let mut lists = vec![Vec::new(); case.slots.len()];
    for (at, test) in case.tests.iter().enumerate() {
        lists[(hash(&test.id) % case.slots.len() as u64) as usize].push(at);
    }
    lists
}
