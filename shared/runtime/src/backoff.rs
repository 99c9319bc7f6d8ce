//! Waiting before trying again: exponential, bounded, and with jitter, so that a fleet does not come back in step.

use std::time::Duration;

/// The waits between tries.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
    /// Nothing where there is no jitter.
    state: Option<u64>,
}

impl Backoff {
    /// Waits that begin at `first`, double with each try, and stay below `most`. `seed` should differ between processes.
    #[must_use]
    pub const fn new(first: Duration, most: Duration, seed: u64) -> Self {
        Self { first, most, tries: 0, state: Some(seed | 1) }
    }

    /// The same without jitter, for what is tried by one alone.
    #[must_use]
    pub const fn even(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0, state: None }
    }

    /// How long to wait before the next try: between half of the current bound and all of it; all of it without jitter.
    pub fn wait(&mut self) -> Duration {
        let bound = self.first.saturating_mul(1 << self.tries.min(16)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        let Some(state) = &mut self.state else { return bound };
        // xorshift64 (Marsaglia 2003): any spread will do.
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let half = u64::try_from(bound.as_micros() / 2).unwrap_or(u64::MAX);
        Duration::from_micros(half + *state % (half + 1))
    }

    /// How often it has been tried since the last success.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// A try succeeded.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_never_beyond() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, most, 7);
        let waits: Vec<Duration> = (0..12).map(|_| backoff.wait()).collect();
        assert!(waits.iter().all(|wait| *wait >= first / 2 && *wait <= most), "{waits:?}");
        assert!(waits[11] >= most / 2, "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= first);
    }
}
