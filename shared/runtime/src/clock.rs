//! The clock of a process: the one place where wall time is read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch; 0 on a clock that is set before it.
#[must_use]
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A clock that tells wall time and never goes back, nor stands still.
///
/// Steps of the system's clock forward are followed; when it steps back, this one goes on from where it was.
#[derive(Clone, Copy, Debug)]
pub struct Steady {
    began: Instant,
    began_us: u64,
}

impl Steady {
    /// How far the system's clock may be ahead before it is followed: what daemons that discipline clocks correct slowly.
    const AHEAD: Duration = Duration::from_secs(1);

    /// A clock that is not before `us`, in microseconds since the Unix epoch.
    #[must_use]
    pub fn not_before(us: u64) -> Self {
        Self { began: Instant::now(), began_us: us.max(now_us()) }
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn now_us(&mut self) -> u64 {
        self.at(Instant::now(), now_us())
    }

    fn at(&mut self, instant: Instant, system_us: u64) -> u64 {
        let elapsed = u64::try_from(instant.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX);
        let now = self.began_us.saturating_add(elapsed);
        if u128::from(system_us.saturating_sub(now)) <= Self::AHEAD.as_micros() {
            return now;
        }
        *self = Self { began: instant, began_us: system_us };
        system_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_clock_that_steps_back_does_not_stop_this_one() {
        let began = Instant::now();
        let mut clock = Steady { began, began_us: 1_000_000_000 };
        let second = Duration::from_secs(1);
        assert_eq!(clock.at(began + second, 1_001_000_100), 1_001_000_000, "small differences are not followed");
        assert_eq!(clock.at(began + second * 2, 5_000_000), 1_002_000_000, "an hour back, and it goes on");
        assert_eq!(clock.at(began + second * 3, 1_900_000_000), 1_900_000_000, "a step forward is followed");
        assert_eq!(clock.at(began + second * 4, 1_001_000_000), 1_901_000_000, "and from there it goes on");
    }
}
