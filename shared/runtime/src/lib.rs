//! What every Regatta process needs to behave: telling what it does, waiting before it tries again, stopping in order.

pub mod backoff;
pub mod clock;
pub mod shutdown;
pub mod telemetry;
