//! Doing what a registry says: the last first, each with its limit and its tries.

use super::entry::Entry;
use super::http;
use super::registry::Registry;
use crate::process::{Command, Ending, Spawner, Streams};
use regatta_runtime::backoff::Backoff;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long one entry may take, each time it is tried.
const LIMIT: Duration = Duration::from_secs(30);

/// How often an entry is tried.
const TRIES: u32 = 3;

/// Waits between the tries: what a test has just let go of may need a moment.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Between SIGTERM and SIGKILL for a command that takes too long.
const GRACE: Duration = Duration::from_secs(1);

/// How long all entries of an attempt may take together: a slot waits for them.
const ALL: Duration = Duration::from_secs(300);

/// Failures that are told one by one; the others are counted.
const TOLD: usize = 8;

/// How much of an entry, and of what it printed, is told.
const SHOWN: usize = 200;

/// Performs the registry at `path`, with commands like `pattern` (its directory and environment). What failed, for people.
pub(crate) async fn perform(path: &Path, spawner: &Spawner, pattern: &Command) -> Vec<String> {
    let of = path.to_owned();
    let read = tokio::task::spawn_blocking(move || Registry::read(&of)).await;
    let Registry { mut entries, faults } = match read.expect("reading a registry does not panic") {
        Ok(registry) => registry,
        Err(error) => return vec![format!("the clean-up registry cannot be read: {error}")],
    };
    let until = Instant::now() + ALL;
    let mut failed = faults;
    while let Some(entry) = entries.pop() {
        if Instant::now() >= until {
            let left = entries.len() + 1;
            failed.push(format!("{left} clean-ups were not performed: those before took {} s together", ALL.as_secs()));
            break;
        }
        if let Err(why) = persist(&entry, spawner, pattern).await {
            failed.push(format!("clean-up failed after {TRIES} tries: `{}`: {why}", clipped(&entry.to_string())));
        }
    }
    counted(failed)
}

async fn persist(entry: &Entry, spawner: &Spawner, pattern: &Command) -> Result<(), String> {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, 1);
    let mut told = once(entry, spawner, pattern).await;
    while told.is_err() && backoff.tries() + 1 < TRIES {
        tokio::time::sleep(backoff.wait()).await;
        told = once(entry, spawner, pattern).await;
    }
    told
}

async fn once(entry: &Entry, spawner: &Spawner, pattern: &Command) -> Result<(), String> {
    let argv = match entry {
        Entry::Http(request) => return http::send(request, LIMIT).await,
        Entry::Command(argv) => argv.iter().map(Into::into).collect(),
    };
    let command = Command { argv, ..pattern.clone() };
    let ran = spawner.run_to_end(&command, Streams::Merged, LIMIT, GRACE).await.map_err(|error| error.to_string())?;
    let how = match ran.exit.ending {
        _ if ran.timed_out => format!("took longer than {} s, and was stopped", LIMIT.as_secs()),
        Ending::Exited(0) => return Ok(()),
        ending => ending.to_string(),
    };
    let printed = String::from_utf8_lossy(&ran.stdout.into_bytes()).into_owned();
    match printed.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => Err(format!("{how}: {}", clipped(line))),
        None => Err(how),
    }
}

fn clipped(text: &str) -> String {
    let clean = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    let mut short: String = clean.take(SHOWN + 1).collect();
    if short.chars().count() > SHOWN {
        short.pop();
        short.push('…');
    }
    short
}

/// The first of them, and how many there are where that is not all.
fn counted(mut failed: Vec<String>) -> Vec<String> {
    let all = failed.len();
    if all > TOLD {
        failed.truncate(TOLD - 1);
        failed.push(format!("{all} clean-ups failed in all"));
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_counted() {
        let failed = |count: usize| counted((0..count).map(|at| at.to_string()).collect());
        assert_eq!(failed(TOLD).len(), TOLD);
        assert_eq!(failed(TOLD + 1).len(), TOLD);
        assert_eq!(failed(1_000).last().map(String::as_str), Some("1000 clean-ups failed in all"));
    }

    #[test]
    fn what_is_told_is_short_and_clean() {
        assert_eq!(clipped("a\tb"), "a b");
        assert_eq!(clipped(&"ü".repeat(SHOWN)).chars().count(), SHOWN);
        let long = clipped(&"ü".repeat(SHOWN + 1));
        assert!(long.chars().count() == SHOWN + 1 && long.ends_with("ü…"));
    }
}
