//! What every Regatta process needs to behave: telemetry, backoff, shutdown.
