//! The time by the worker's clock, as results carry it.

use regatta_domain::Time;
use std::time::SystemTime;

/// Now.
pub(super) fn now() -> Time {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
