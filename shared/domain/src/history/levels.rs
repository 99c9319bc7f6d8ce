//! The levels at which a test was seen lately.

use crate::Level;
use crate::evidence::{Observed, learn};
use serde::{Deserialize, Serialize};

/// The last eight levels at which a test was seen, in half a byte each: the newest in the lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels(pub u32);

/// Bits of one of them: the level and one, so that zero is none; and whether it is sure.
const BITS: u32 = 4;

impl Levels {
    /// Every level, from the weakest.
    const LEVELS: [Level; 5] = [Level::None, Level::Read, Level::Transaction, Level::Isolated, Level::Exclusive];

    /// It was seen once more.
    pub fn push(&mut self, observed: Observed) {
        let level = Self::LEVELS.iter().position(|&level| level == observed.level).map_or(0, |at| at + 1);
        let level = u32::try_from(level).unwrap_or_default();
        self.0 = (self.0 << BITS) | (level << 1) | u32::from(observed.sure);
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn observed(self) -> Vec<Observed> {
        let halves = (0..u32::BITS / BITS).rev().map(|at| (self.0 >> (at * BITS)) & ((1 << BITS) - 1));
        halves
            .filter_map(|half| {
                let level = *Self::LEVELS.get((half >> 1).checked_sub(1)? as usize)?;
                Some(Observed { level, sure: half & 1 == 1 })
            })
            .collect()
    }

    /// The level to plan with, where this one was declared, or none at all. Of a test that nobody has seen and nobody has
    /// said anything about everything has to be expected that can be undone.
    #[must_use]
    pub fn plan(self, declared: Option<Level>) -> Level {
        learn(&self.observed(), declared.unwrap_or(Level::Isolated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_eight_are_kept_in_their_order() {
        let mut levels = Levels::default();
        assert_eq!(levels.observed(), []);
        for level in [Level::Exclusive, Level::None, Level::Read, Level::Transaction, Level::Isolated] {
            for sure in [false, true] {
                levels.push(Observed { level, sure });
            }
        }
        let seen: Vec<(Level, bool)> = levels.observed().iter().map(|seen| (seen.level, seen.sure)).collect();
        let pairs = |level| [(level, false), (level, true)];
        let last = [Level::None, Level::Read, Level::Transaction, Level::Isolated];
        assert_eq!(seen, last.into_iter().flat_map(pairs).collect::<Vec<_>>());
    }

    #[test]
    fn a_test_is_promoted_at_once_and_demoted_when_three_agree() {
        let mut levels = Levels::default();
        assert_eq!((levels.plan(None), levels.plan(Some(Level::Read))), (Level::Isolated, Level::Read));
        levels.push(Observed { level: Level::Exclusive, sure: true });
        assert_eq!(levels.plan(Some(Level::Read)), Level::Exclusive);
        for _ in 0..2 {
            levels.push(Observed { level: Level::Transaction, sure: true });
        }
        assert_eq!(levels.plan(None), Level::Exclusive);
        levels.push(Observed { level: Level::Transaction, sure: true });
        assert_eq!(levels.plan(None), Level::Transaction);
    }
}
