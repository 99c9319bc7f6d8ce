//! The last few outcomes of a test, in 32 bits.

use crate::Verdict;
use std::fmt;

/// The last sixteen outcomes of a test, the newest first. Skips are left out: they say nothing of the test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent(pub u32);

/// Bits of one outcome: 0 is none, then passed, flaky, red.
const BITS: u32 = 2;

impl Recent {
    /// Takes in a verdict.
    pub const fn push(&mut self, verdict: Verdict) {
        let code = match verdict {
            Verdict::Skipped | Verdict::NotRun => return,
            Verdict::Passed => 1,
            Verdict::Flaky => 2,
            Verdict::Failed | Verdict::TimedOut | Verdict::Crashed => 3,
        };
        self.0 = self.0 << BITS | code;
    }

    /// The outcomes, the newest first: passed, flaky or failed, which stands for all that is red.
    pub fn iter(self) -> impl Iterator<Item = Verdict> {
        (0..u32::BITS / BITS).map_while(move |at| match self.0 >> (at * BITS) & 3 {
            0 => None,
            1 => Some(Verdict::Passed),
            2 => Some(Verdict::Flaky),
            _ => Some(Verdict::Failed),
        })
    }
}

impl fmt::Display for Recent {
    /// The oldest first, as people read: `.` passed, `~` flaky, `x` red.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marks = self.iter().map(|verdict| match verdict {
            Verdict::Passed => '.',
            Verdict::Flaky => '~',
            _ => 'x',
        });
        let text: Vec<char> = marks.collect();
        text.into_iter().rev().try_for_each(|mark| fmt::Write::write_char(f, mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sixteen_outcomes_are_kept_and_skips_are_not() {
        let mut recent = Recent::default();
        assert_eq!(recent.to_string(), "");
        for verdict in [Verdict::Passed, Verdict::Skipped, Verdict::Flaky, Verdict::Crashed, Verdict::NotRun] {
            recent.push(verdict);
        }
        assert_eq!(recent.to_string(), ".~x");
        assert_eq!(recent.iter().collect::<Vec<_>>(), [Verdict::Failed, Verdict::Flaky, Verdict::Passed]);
        (0..20).for_each(|_| recent.push(Verdict::Passed));
        assert_eq!(recent.to_string(), ".".repeat(16));
    }
}
