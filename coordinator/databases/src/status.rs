//! How the engine is, in figures.

use crate::server::breaker::Health;
use regatta_domain::Digest;
use std::time::{Duration, SystemTime};

/// How the engine is.
#[derive(Clone, Debug)]
pub struct Status {
    /// The server's health; with servers of our own the worst of theirs.
    pub health: Health,
    /// Leases that may be out at once, over all servers.
    pub capacity: u32,
    /// Leases that are out.
    pub leased: u32,
    /// Clones that are ready.
    pub pooled: usize,
    /// The finished templates.
    pub templates: Vec<TemplateStatus>,
    /// Clones made so far.
    pub made: u64,
    /// Clones handed on clean so far.
    pub reused: u64,
    /// Clones dropped so far.
    pub dropped: u64,
    /// Leases of clones per second.
    pub rate: f64,
    /// From asking to having, at the median and for 99 of 100, over the last thousand.
    pub lease: (Duration, Duration),
    /// From releasing to the verdict, likewise.
    pub release: (Duration, Duration),
}

impl Status {
    /// That of an engine that could not begin, because its server is away: there is nothing of it yet.
    #[must_use]
    pub fn away(since: SystemTime, why: String) -> Self {
        Self {
            health: Health::Down { since, why, next: Duration::ZERO },
            capacity: 0,
            leased: 0,
            pooled: 0,
            templates: Vec::new(),
            made: 0,
            reused: 0,
            dropped: 0,
            rate: 0.0,
            lease: Default::default(),
            release: Default::default(),
        }
    }
}

/// One template.
#[derive(Clone, Debug)]
pub struct TemplateStatus {
    /// Its digest.
    pub template: Digest,
    /// What it takes: its image, or its database.
    pub bytes: u64,
    /// Clones that are ready.
    pub pooled: usize,
    /// Private servers that are ready.
    pub private: usize,
    /// Leases that are out.
    pub leased: usize,
    /// The process id of its server, where that is ours.
    pub server: Option<i32>,
    /// What the last failure to make a clone said; empty if none failed since.
    pub trouble: String,
}

/// The last durations of something.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    last: Vec<Duration>,
    next: usize,
}

/// How many are kept: enough for a 99th percentile.
const KEPT: usize = 1_024;

impl Timings {
    pub(crate) fn add(&mut self, took: Duration) {
        if self.last.len() < KEPT {
            self.last.push(took);
        } else {
            self.last[self.next] = took;
        }
        self.next = (self.next + 1) % KEPT;
    }

    /// The median and the 99th percentile.
    pub(crate) fn percentiles(&self) -> (Duration, Duration) {
        let mut sorted = self.last.clone();
        sorted.sort();
        let at =
            |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied();
        (at(50).unwrap_or_default(), at(99).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_thousand() {
        let mut timings = Timings::default();
        assert_eq!(timings.percentiles(), (Duration::ZERO, Duration::ZERO));
        for _ in 0..KEPT {
            timings.add(Duration::from_secs(9));
        }
        for ms in 0..KEPT {
            timings.add(Duration::from_millis(ms as u64));
        }
        assert_eq!(timings.percentiles(), (Duration::from_millis(512), Duration::from_millis(1_013)));
    }
}
