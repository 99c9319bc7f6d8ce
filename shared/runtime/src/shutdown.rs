//! Stopping in order: first gently, then at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How urgently a process is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Not at all.
    #[default]
    None,
    /// Take nothing new, finish or hand back what is there.
    Gentle,
    /// Stop what runs.
    Hard,
}

/// Which signal asked for it: decides the exit code (128 + its number).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// How urgently.
    pub urgency: Urgency,
    /// The number of the first signal; 0 before any.
    pub signal: i32,
}

/// Listens for SIGINT and SIGTERM: the first asks gently, the second hard.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn on_signals() -> std::io::Result<watch::Receiver<Asked>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (tell, asked) = watch::channel(Asked::default());
    tokio::spawn(async move {
        loop {
            let number = tokio::select! {
                _ = interrupt.recv() => nix::sys::signal::Signal::SIGINT as i32,
                _ = terminate.recv() => nix::sys::signal::Signal::SIGTERM as i32,
                () = tell.closed() => return,
            };
            tell.send_modify(|asked| {
                asked.urgency = if asked.urgency == Urgency::None { Urgency::Gentle } else { Urgency::Hard };
                if asked.signal == 0 {
                    asked.signal = number;
                }
            });
        }
    });
    Ok(asked)
}
