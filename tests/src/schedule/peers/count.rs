//! As many tests for each slot, dealt out one by one: nextest's `slice:` and `count:` partitions.

use super::Case;

pub(super) fn split(case: &Case) -> Vec<Vec<usize>> {
    let (tests, slots) = (case.tests.len(), case.slots.len());
    (0..slots).map(|slot| (slot..tests).step_by(slots).collect()).collect()
}
