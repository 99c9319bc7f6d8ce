//! A host that ends or hangs, and is blamed on what it was at.

use super::super::entry::{Entry, Phase};
use super::super::host::{Heard, reason, text};
use super::super::limits::{GRACE, SILENCE};
use super::hear::How;
use super::{Sent, Shift};
use crate::process::{Captured, Exit};
use regatta_domain::result::RunErrorKind;
use regatta_domain::{Nuance, Outcome};
use std::sync::Arc;
use std::time::Duration;

impl Shift<'_> {
    /// The host ended, and nobody asked it to.
    pub(super) async fn ended(&mut self, exit: Exit) {
        self.fruitless += 1;
        let printed = self.dismiss();
        if self.sent.front().is_some_and(|sent| sent.started.is_some()) {
            self.fruitless = 0;
            let sent = self.sent.pop_front().expect("it was just looked at");
            let (reason, output) = (Some(reason(&exit)), printed.into_bytes());
            let how = How { outcome: Outcome::Crashed, nuance: Nuance::Plain, reason, output, exit: Some(exit) };
            self.finished(sent, None, how).await;
        } else {
            self.blame_what_is_no_test(&format!("{}\n{}", reason(&exit), text(printed))).await;
        }
        self.requeue();
    }

    /// The host ended, or hung, when no test ran: it tore down what tests had shared, or collected.
    pub(super) async fn blame_what_is_no_test(&mut self, text: &str) {
        let collecting = |entry: &&mut Entry| matches!(entry.phase, Phase::Collecting { .. });
        if let Some(sent) = self.sent.front() {
            let place = Arc::clone(&self.entries[sent.entry].path);
            let text = format!("before the next test of this file, in the teardown of what came before: {text}");
            self.error(None, RunErrorKind::Teardown, &place, &text).await;
        } else if let Some(entry) = self.entries.iter_mut().find(collecting) {
            let (file, path) = (entry.file, Arc::clone(&entry.path));
            entry.close();
            self.error(Some(file), RunErrorKind::Collection, &path, &format!("while it was collected: {text}")).await;
        } else {
            self.error(None, RunErrorKind::Teardown, "pytest", text).await;
        }
    }

    /// What was sent, and not begun, waits for the next host.
    pub(super) fn requeue(&mut self) {
        self.entries.iter_mut().for_each(Entry::forget_host);
        while let Some(Sent { prepared, entry, test, .. }) = self.sent.pop_back() {
            self.attempts.put_back(&prepared);
            self.window.over(test.estimate, &test.name, None);
            self.entries[entry].unsent.push_front(test);
        }
    }

    /// Something takes longer than it may.
    pub(super) async fn late(&mut self) {
        // What it has said meanwhile may be what we wait for.
        if let Some(host) = &mut self.runner.host
            && let Ok(heard) = tokio::time::timeout(Duration::from_millis(1), host.next(false)).await
        {
            return match heard {
                Heard::Said(say) => self.hear(say).await,
                Heard::Ended(exit) => self.ended(exit).await,
            };
        }
        match self.sent.front() {
            Some(Sent { started: Some(_), test, .. }) => {
                let (timeout, grace) = (test.policy.timeout, test.policy.grace);
                let output = self.traceback_and_kill(grace.into()).await.into_bytes();
                let sent = self.sent.pop_front().expect("it was just looked at");
                let reason = Some(format!("ran longer than its limit of {timeout}, and was stopped"));
                let how = How { outcome: Outcome::TimedOut, nuance: Nuance::Plain, reason, output, exit: None };
                self.finished(sent, None, how).await;
            }
            _ => {
                let text = format!("nothing was heard of pytest for {} s, and it was stopped\n", SILENCE.as_secs());
                let text = text + &self.stopped(GRACE).await;
                self.fruitless += 1;
                self.blame_what_is_no_test(&text).await;
            }
        }
        self.requeue();
    }

    /// Stops the host; says where it was at, and what it printed.
    pub(super) async fn traceback_and_kill(&mut self, grace: Duration) -> Captured {
        let mut all = Captured::default();
        if let Some(host) = &mut self.runner.host {
            all.push(host.traceback().await.as_bytes());
            host.kill(grace).await;
            all.append(self.dismiss());
        }
        all
    }

    /// The same, as text.
    pub(super) async fn stopped(&mut self, grace: Duration) -> String {
        text(self.traceback_and_kill(grace).await)
    }

    /// Lets go of a host that ended: what it printed.
    pub(super) fn dismiss(&mut self) -> Captured {
        // It answers nothing any more.
        self.halting = false;
        self.runner.host.take().map(|mut host| host.take_output()).unwrap_or_default()
    }

    /// Stops what runs, and tells nothing of it.
    pub(super) async fn kill(&mut self) {
        let grace = self.sent.front().map_or(GRACE, |sent| sent.test.policy.grace.into());
        if let Some(mut host) = self.runner.host.take() {
            host.kill(grace).await;
        }
    }
}
