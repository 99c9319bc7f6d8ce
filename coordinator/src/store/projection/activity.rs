//! The clock by which history ages: the days on which something ran.
//!
//! The system's clock may jump. By this one a jump forward is a day at most, so that nothing is forgotten by it, and a jump
//! back is no time at all, so that nothing is kept for ever. A project that rests does not age either.

use regatta_domain::{Micros, Time};

/// A day.
const DAY: Micros = Micros::from_secs(24 * 3600);

/// Where the clock stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Activity {
    at: Time,
    active: Micros,
    /// The day on which history was last looked through.
    pub(super) pruned: u64,
}

impl Activity {
    /// As the columns `at`, `active` and `pruned` say.
    pub(super) const fn of([at, active, pruned]: [i64; 3]) -> Self {
        Self { at: Time(at.cast_unsigned()), active: Micros(active.cast_unsigned()), pruned: pruned.cast_unsigned() }
    }

    /// The columns.
    pub(super) const fn columns(&self) -> [i64; 3] {
        [self.at.0.cast_signed(), self.active.0.cast_signed(), self.pruned.cast_signed()]
    }

    /// Something ran, and the system says that it is `now`.
    pub(super) fn tick(&mut self, now: Time) {
        self.active += now.since(self.at).min(DAY);
        self.at = now;
    }

    /// The number of the day, from 0.
    pub(super) const fn day(&self) -> u64 {
        self.active.0 / DAY.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_takes_a_day_at_most() {
        let days = |days: u64| Time(days * DAY.0);
        let mut activity = Activity::default();
        activity.tick(days(20_000));
        assert_eq!(activity.day(), 1);
        activity.tick(Time(days(20_000).0 + DAY.0 / 2));
        activity.tick(days(20_001));
        assert_eq!(activity.day(), 2, "two halves are a day");
        activity.tick(days(30_000));
        assert_eq!(activity.day(), 3);
        activity.tick(days(20_002));
        assert_eq!(activity.day(), 3, "back again: no time has passed");
        activity.tick(days(20_003));
        assert_eq!(activity.day(), 4);
    }
}
