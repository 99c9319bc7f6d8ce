//! The story of a seed: a line for everything that is seen from outside, and one number for all of them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The story. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Story(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The time at the last tick, for what happens between two of them.
    tick: AtomicU64,
    tells: bool,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    /// FNV-1a over all lines.
    trace: u64,
    broken: Option<String>,
}

impl Story {
    pub(crate) fn new(tells: bool) -> Self {
        let told = Mutex::new(Told { trace: 0xcbf2_9ce4_8422_2325, broken: None });
        Self(Arc::new(Inner { tick: AtomicU64::new(0), tells, told }))
    }

    /// The network is so far.
    pub(crate) fn tick(&self, now: Duration) {
        self.0.tick.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The time.
    pub(crate) fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_else(|| Duration::from_micros(self.0.tick.load(Ordering::Relaxed)))
    }

    /// Something happened.
    pub(crate) fn tell(&self, who: &str, what: impl fmt::Display) {
        let line = format!("{:>10.3} {who:<11} {what}", self.now().as_secs_f64());
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in line.bytes() {
            told.trace = (told.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if self.0.tells {
            let short: String = line.chars().take(400).collect();
            println!("{short}");
        }
    }

    /// A promise is broken. The first one counts.
    pub(crate) fn broke(&self, what: impl fmt::Display) {
        self.tell("!", &what);
        let now = self.now();
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.broken.get_or_insert_with(|| format!("{what} (at {:.3} s)", now.as_secs_f64()));
    }

    /// What was broken first.
    pub(crate) fn broken(&self) -> Option<String> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).broken.clone()
    }

    /// One number for all that was told.
    pub(crate) fn trace(&self) -> u64 {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner).trace
    }
}
