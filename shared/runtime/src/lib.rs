//! What every Regatta process needs to behave: reaching the coordinator that leads, telling what it does, waiting before it tries
//! again, stopping in order.

pub mod backoff;
pub mod breaker;
pub mod clock;
pub mod dial;
pub mod shutdown;
pub mod telemetry;
pub mod threads;
