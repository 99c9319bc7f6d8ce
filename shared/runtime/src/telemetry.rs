//! Logs: for people on a terminal, as JSON elsewhere; always on stderr, since stdout is data.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging at `REGATTA_LOG` (in the syntax of `EnvFilter`), or at `otherwise`. A second call changes nothing.
pub fn start(otherwise: &str) {
    let filter = EnvFilter::try_from_env("REGATTA_LOG").unwrap_or_else(|_| EnvFilter::new(otherwise));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _already = if std::io::stderr().is_terminal() {
        lines.with_target(false).compact().try_init()
    } else {
        lines.json().flatten_event(true).with_ansi(false).try_init()
    };
}
