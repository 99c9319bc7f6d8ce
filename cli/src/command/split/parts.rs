//! Cuts units that stay whole into parts of nearly the same weight: the longest first, each to the part that has least.
//!
//! Pure, and the same for everybody who asks with the same units. Its invariant: every unit is in exactly one part.

use regatta_domain::Micros;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What stays together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// How long it takes.
    pub(super) weight: Micros,
    /// How many tests it holds.
    pub(super) tests: u32,
}

/// The part of each unit, from 0 to `total` - 1. Graham's LPT: no part is longer than 4/3 of what is best.
pub(super) fn parts(units: &[Unit], total: u32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by_key(|&at| (Reverse(units[at].weight), at));
    let mut loads: BinaryHeap<Reverse<(Micros, u64, u32)>> =
        (0..total).map(|part| Reverse((Micros::ZERO, 0, part))).collect();
    let mut parts = vec![0; units.len()];
    for at in order {
        let Some(Reverse((load, tests, part))) = loads.pop() else { break };
        parts[at] = part;
        loads.push(Reverse((load + units[at].weight, tests + u64::from(units[at].tests), part)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units from a seed: a few heavy ones, many light ones, some of no weight at all.
    fn units(seed: u64, count: usize) -> Vec<Unit> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let unit = |_| {
            let roll = next();
            let weight = if roll.is_multiple_of(7) { 0 } else { 1_000_000 / (1 + roll % 997) };
            Unit { weight: Micros(weight), tests: 1 + u32::try_from(roll % 5).expect("below five") }
        };
        (0..count).map(unit).collect()
    }

    #[test]
    fn every_unit_is_in_exactly_one_part_whatever_the_number_of_parts() {
        for seed in 0..20 {
            let units = units(seed, 137);
            for total in [1, 2, 3, 4, 7, 8, 16, 31, 64, 137, 138, 500] {
                let parts = parts(&units, total);
                assert_eq!(parts.len(), units.len());
                assert!(parts.iter().all(|&part| part < total), "seed {seed}, {total} parts");
                let united: usize = (0..total).map(|part| parts.iter().filter(|&&of| of == part).count()).sum();
                assert_eq!(united, units.len());
                assert_eq!(parts, super::parts(&units, total), "the same for everybody");
            }
        }
    }

    #[test]
    fn no_part_is_longer_than_the_mean_and_one_unit() {
        for seed in 0..20 {
            let units = units(seed, 200);
            let longest = units.iter().map(|unit| unit.weight).max().unwrap_or_default();
            let all: Micros = units.iter().map(|unit| unit.weight).sum();
            for total in [2_u32, 5, 16] {
                let parts = parts(&units, total);
                for part in 0..total {
                    let own = units.iter().zip(&parts).filter(|(_, of)| **of == part).map(|(unit, _)| unit.weight);
                    assert!(own.sum::<Micros>() <= all / u64::from(total) + longest, "seed {seed}, part {part}");
                }
            }
        }
    }

    #[test]
    fn without_weights_parts_have_the_same_number_of_tests() {
        let units = vec![Unit { weight: Micros::ZERO, tests: 1 }; 10];
        let parts = parts(&units, 4);
        let sizes: Vec<usize> = (0..4).map(|part| parts.iter().filter(|&&of| of == part).count()).collect();
        assert_eq!(sizes, [3, 3, 2, 2]);
    }
}
