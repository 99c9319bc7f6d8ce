//! In the order in which the suite lists them, cut where each slot has its share of the expected time: pytest-split's
//! `duration_based_chunks`.

use super::{Case, expected};

#[expect(clippy::cast_precision_loss, reason = "a few slots")]
pub(super) fn split(case: &Case) -> Vec<Vec<usize>> {
    let expected = expected(case);
    let share = expected.iter().sum::<f64>() / case.slots.len() as f64;
    let mut lists = vec![Vec::new(); case.slots.len()];
    let (mut slot, mut load) = (0, 0.0);
    for (at, seconds) in expected.iter().enumerate() {
        if load >= share && slot + 1 < case.slots.len() {
            (slot, load) = (slot + 1, 0.0);
        }
        lists[slot].push(at);
        load += seconds;
    }
    lists
}
