//! The longest test first, to the slot with the least: CircleCI's split by timings, pytest-split's `least_duration`. A slot runs
//! its list in the order in which the suite lists it.

use super::{Case, expected};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

pub(super) fn split(case: &Case) -> Vec<Vec<usize>> {
    let expected = expected(case);
    let mut order: Vec<usize> = (0..case.tests.len()).collect();
    order.sort_by(|a, b| expected[*b].total_cmp(&expected[*a]));
    let mut lists = vec![Vec::new(); case.slots.len()];
    // Of equal loads the list with fewer tests, so that tests that take no time are spread too.
    let mut loads: BinaryHeap<_> = (0..case.slots.len()).map(|slot| Reverse((0, 0, slot))).collect();
    for test in order {
        let Some(Reverse((load, count, slot))) = loads.pop() else { break };
        lists[slot].push(test);
        loads.push(Reverse((load + nanoseconds(expected[test]), count + 1, slot)));
    }
    lists.iter_mut().for_each(|list: &mut Vec<usize>| list.sort_unstable());
    lists
}

/// Durations that can be compared, and added in any order.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a duration is not negative"
)]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}
