//! What the host says: of tests, of files, and of what went wrong beside them.

use super::super::entry::{Entry, Phase};
use super::super::message::{Do, Kind, Row, Say};
use super::{Sent, Shift};
use crate::process::Exit;
use crate::runner::{Finished, Tell, reason as words};
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Nuance, Outcome, Time};
use regatta_wire::listing::digest;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

impl Shift<'_> {
    pub(super) async fn hear(&mut self, say: Say) {
        self.heard = Instant::now();
        match say {
            Say::Started { ix, at } => {
                let Some(sent) = self.sent.iter_mut().find(|sent| sent.prepared.number == ix) else { return };
                sent.started = Some((Time(at), Instant::now()));
                let (test, attempt) = (sent.test.test, sent.test.attempt);
                self.sink.tell(Tell::Started { test, attempt }).await;
            }
            Say::Result { ix, outcome, nuance, us, reason, output } => {
                let Some(at) = self.sent.iter().position(|sent| sent.prepared.number == ix) else { return };
                let sent = self.sent.remove(at).expect("it was just found");
                self.fruitless = 0;
                let outcome = Outcome::from(outcome);
                let missing = || "pytest does not collect this test (any more)".to_owned();
                let reason = if outcome == Outcome::Missing { Some(missing()) } else { reason };
                let output = output.unwrap_or_default().into_bytes();
                let how = How { outcome, nuance, reason, output, exit: None };
                self.finished(sent, Some(Duration::from_micros(us)), how).await;
            }
            Say::Collected { n, names, tests, more } => self.collected(n, names, tests, more).await,
            Say::Error { n: Some(n), place, message, .. } => {
                let collecting = |entry: &&mut Entry| matches!(entry.phase, Phase::Collecting { n: of, .. } if of == n);
                let entry = self.entries.iter_mut().find(collecting);
                let file = entry.map(|entry| {
                    entry.close();
                    entry.file
                });
                self.fruitless = 0;
                if file.is_some() {
                    self.error(file, RunErrorKind::Collection, &place, &message).await;
                }
            }
            Say::Error { n: None, kind, place, message } => {
                let kind = match kind {
                    Kind::Collection => RunErrorKind::Collection,
                    Kind::Runner => RunErrorKind::Runner,
                    Kind::Teardown => RunErrorKind::Teardown,
                };
                self.error(None, kind, &place, &message).await;
            }
            Say::Halted => {
                self.halting = false;
                let attempts = &self.attempts;
                self.sent.retain(|sent| {
                    let begun = sent.started.is_some();
                    if !begun {
                        attempts.put_back(&sent.prepared);
                    }
                    begun
                });
            }
            Say::Note { text } => self.sink.tell(Tell::Note(text)).await,
            Say::Hello { .. } | Say::Files { .. } | Say::Bye => {}
        }
    }

    /// More of the listing of a file, or the last of it.
    pub(super) async fn collected(&mut self, n: u32, names: Vec<Arc<str>>, rows: Vec<Row>, more: bool) {
        let collecting = |entry: &&mut Entry| matches!(entry.phase, Phase::Collecting { n: of, .. } if of == n);
        let Some(entry) = self.entries.iter_mut().find(collecting) else { return };
        entry.names.extend(names);
        entry.rows.extend(rows);
        if more {
            return;
        }
        self.fruitless = 0;
        let Phase::Collecting { list, .. } = entry.phase else { return };
        let names = std::mem::take(&mut entry.names);
        let known = match list {
            true => digest(entry.rows.iter().map(Row::name)),
            false => digest(names.iter().map(|name| &**name)),
        };
        let Some(host) = &mut self.runner.host else { return };
        host.collected.insert(Arc::clone(&entry.path), (n, known));
        if list {
            let file = entry.file;
            match entry.take_listing() {
                Ok(tests) => {
                    entry.phase = Phase::Told;
                    self.sink.tell(Tell::Listed { file, tests }).await;
                }
                Err(text) => {
                    entry.close();
                    let path = Arc::clone(&entry.path);
                    self.error(Some(file), RunErrorKind::Collection, &path, &text).await;
                }
            }
        } else if entry.remembered == 0 || entry.remembered == known {
            entry.phase = Phase::Ready { n };
        } else {
            // It holds other tests than was remembered: those that were asked for are not to run before it is told.
            entry.unsent.clear();
            entry.phase = Phase::Collecting { n, list: true };
            host.ask(&Do::List { n }).await;
        }
    }

    pub(super) async fn finished(&mut self, sent: Sent, took: Option<Duration>, how: How) {
        let Sent { prepared, test, started, .. } = sent;
        self.window.over(test.estimate, &test.name, took);
        if started.is_none() {
            self.sink.tell(Tell::Started { test: test.test, attempt: test.attempt }).await;
        }
        let (at, since) = started.unwrap_or_else(|| (now(), Instant::now()));
        let finished = Finished {
            test: test.test,
            attempt: test.attempt,
            outcome: how.outcome,
            nuance: how.nuance,
            cause: None,
            exit: None,
            started: at,
            duration: took.unwrap_or_else(|| since.elapsed()),
            reason: how.reason.map(|reason| words::one_line(&reason)),
            output: how.output,
            observation: None,
        };
        let finished = match &how.exit {
            Some(exit) => finished.with_exit(exit),
            None => finished,
        };
        let to_come =
            self.sent.iter().map(|sent| &sent.test).chain(self.entries.iter().flat_map(|entry| &entry.unsent));
        let more = self.attempts.is_any_shared(to_come);
        self.attempts.end(prepared, finished, more).await;
    }
}

/// How a test ended.
pub(super) struct How {
    pub(super) outcome: Outcome,
    pub(super) nuance: Nuance,
    pub(super) reason: Option<String>,
    pub(super) output: Vec<u8>,
    /// How the host ended under it.
    pub(super) exit: Option<Exit>,
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
