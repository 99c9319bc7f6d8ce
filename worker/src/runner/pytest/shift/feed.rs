//! What the host gets to do, a little ahead of what it does: tests whose needs are met, and the next file.

use super::super::entry::{Entry, Phase};
use super::super::limits::CALM_TESTS;
use super::super::message::{Do, Item};
use super::{Sent, Shift};
use crate::runner::attempts::Standing;
use std::sync::Arc;
use tokio::time::Instant;

impl Shift<'_> {
    /// Gives the host as much to do as it should have ahead. Whether tests were dropped, since what they need was refused.
    pub(super) async fn feed(&mut self) -> bool {
        if self.runner.is_due() {
            // It gets nothing more, and is replaced once it is done.
            if self.is_calm() {
                self.recycle().await;
            }
            return false;
        }
        if self.sent.is_empty() {
            self.heard = Instant::now();
        }
        self.collect_ahead().await;
        let (attempts, generation) = (self.attempts.clone(), self.attempts.generation());
        let Some(host) = &mut self.runner.host else { return false };
        let most = self.runner.settings.recycle_after.map_or(usize::MAX, |most| (most - host.ran) as usize);
        let (mut tests, before) = (Vec::new(), self.sent.len());
        let (mut waits, mut refused) = (false, false);
        'full: for (at, entry) in self.entries.iter_mut().enumerate() {
            let Phase::Ready { n } = entry.phase else { continue };
            while let Some(test) = entry.unsent.front() {
                if tests.len() == most || !self.window.takes(test.estimate, &test.name) {
                    break 'full;
                }
                // What only one may have at a time is tidied up after each test, before the next is known to the host.
                if attempts.is_apart() && !self.sent.is_empty() {
                    break 'full;
                }
                match attempts.seek(test) {
                    Standing::Ready if host.generation < generation && attempts.is_shared(test) => break 'full,
                    Standing::Ready => {}
                    Standing::Waiting => {
                        waits = true;
                        break 'full;
                    }
                    Standing::Weak => break 'full,
                    Standing::Refused => {
                        entry.unsent.pop_front();
                        refused = true;
                        continue;
                    }
                }
                let test = entry.unsent.pop_front().expect("it was just looked at");
                self.window.sent(test.estimate, &test.name);
                let prepared = attempts.prepare(std::slice::from_ref(&test));
                let own = attempts.own_variables(&prepared);
                let (ix, name) = (prepared.number, Arc::clone(&test.name));
                tests.push(match own.is_empty() {
                    true => Item::Plain(n, ix, test.attempt, name),
                    false => Item::With(n, ix, test.attempt, name, own),
                });
                self.sent.push_back(Sent { prepared, entry: at, test, started: None });
            }
        }
        host.ran += u32::try_from(self.sent.len() - before).unwrap_or(u32::MAX);
        if !tests.is_empty() {
            host.ask(&Do::Run { tests }).await;
        }
        if waits {
            self.forget_what_vanished();
        }
        refused
    }

    /// Asks for the next file shortly before its turn, so that what is to be said of it is said while tests still run.
    pub(super) async fn collect_ahead(&mut self) {
        let ready = |entry: &Entry| if matches!(entry.phase, Phase::Ready { .. }) { entry.unsent.len() } else { 0 };
        if self.entries.iter().map(ready).sum::<usize>() > CALM_TESTS {
            return;
        }
        let collecting = |entry: &Entry| matches!(entry.phase, Phase::Collecting { .. });
        while !self.entries.iter().any(collecting) {
            let waiting = |entry: &&mut Entry| matches!(entry.phase, Phase::Waiting { .. }) && entry.is_open();
            let (Some(host), Some(entry)) = (&mut self.runner.host, self.entries.iter_mut().find(waiting)) else {
                return;
            };
            let Phase::Waiting { list } = entry.phase else { return };
            match host.collected.get(&entry.path).copied() {
                Some((n, known)) if !list && (entry.remembered == 0 || entry.remembered == known) => {
                    entry.phase = Phase::Ready { n };
                }
                Some((n, _)) => {
                    entry.unsent.clear();
                    entry.phase = Phase::Collecting { n, list: true };
                    host.ask(&Do::List { n }).await;
                }
                None => {
                    let n = host.number();
                    entry.phase = Phase::Collecting { n, list };
                    host.ask(&Do::Collect { n, file: &entry.path, names: !list }).await;
                }
            }
        }
    }
}
