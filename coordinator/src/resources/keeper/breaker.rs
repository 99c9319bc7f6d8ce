//! Whether the hooks of an item may be tried: closed while they succeed, open after one failed with all its retries, half
//! open for one more try when the back-off has passed.

use std::time::Duration;
use tokio::time::Instant;

/// The first wait before a hook that failed is tried again.
pub(super) const FIRST: Duration = Duration::from_secs(5);

/// The longest.
pub(super) const MOST: Duration = Duration::from_secs(300);

/// The breaker of one item, or of a resource without items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Breaker {
    /// All is well.
    #[default]
    Closed,
    /// Nothing is tried until then.
    Open {
        /// When.
        until: Instant,
        /// How long the wait was.
        wait: Duration,
    },
    /// What failed is tried once more.
    HalfOpen {
        /// How long the last wait was.
        wait: Duration,
    },
}

impl Breaker {
    /// A hook failed, with all its tries.
    pub(super) fn fail(&mut self, now: Instant) {
        let wait = match *self {
            Self::Closed => FIRST,
            Self::Open { wait, .. } | Self::HalfOpen { wait } => (wait * 2).min(MOST),
        };
        *self = Self::Open { until: now + wait, wait };
    }

    /// Everything that had failed has succeeded.
    pub(super) const fn succeed(&mut self) {
        *self = Self::Closed;
    }

    /// Time has passed: whether a hook may be tried now.
    pub(super) fn may_try(&mut self, now: Instant) -> bool {
        if let Self::Open { until, wait } = *self
            && until <= now
        {
            *self = Self::HalfOpen { wait };
        }
        !matches!(self, Self::Open { .. })
    }

    /// When something may be tried again, where that is not now.
    pub(super) const fn opens_at(&self) -> Option<Instant> {
        match self {
            Self::Open { until, .. } => Some(*until),
            _ => None,
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_at_a_failure_and_tries_once_after_ever_longer_waits() {
        let mut breaker = Breaker::default();
        assert!(breaker.may_try(Instant::now()));
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            breaker.fail(Instant::now());
            tokio::time::advance(Duration::from_millis(wait * 1_000 - 1)).await;
            assert!(!breaker.may_try(Instant::now()), "{wait} s have not passed");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(breaker.may_try(Instant::now()), "{wait} s have passed");
            assert_eq!(breaker, Breaker::HalfOpen { wait: Duration::from_secs(wait) });
            assert!(!breaker.is_closed(), "half open is not closed");
        }
        breaker.succeed();
        assert!(breaker.is_closed());
        breaker.fail(Instant::now());
        assert_eq!(breaker.opens_at(), Some(Instant::now() + FIRST), "after a success it begins anew");
    }
}
