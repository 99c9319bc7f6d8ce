//! A shard at work: sends a host what it is to do, a little ahead of what it does, and tells what comes back.
//!
//! Everything that may be stolen is decided here, since only what was not sent can be given back. A host that ends is
//! blamed on the test it was at, and the rest goes to the next one. The invariant: a test is in `unsent` or in `sent`
//! until it was told of or given back, and never in both.
//!
//! - `find` looks for the files of the suite.
//! - `feed` is what the host gets to do, and `hear` what it says.
//! - `end` is what follows when it ends, or hangs.
//! - `tenure` is how long a host serves: no longer than what it knows of the shard holds.

mod end;
mod feed;
mod find;
mod hear;
mod tenure;

use super::Pytest;
use super::entry::{Entry, Phase, give_back};
use super::host::Heard;
use super::limits::{CALM_TESTS, SILENCE};
use super::message::Do;
use super::window::Window;
use crate::runner::attempts::{Attempts, Prepared};
use crate::runner::{Control, FileWork, Sink, Tell, TestWork, reason as words};
use regatta_domain::Time;
use regatta_domain::result::{RunError, RunErrorKind};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A shard at work.
pub(super) struct Shift<'a> {
    runner: &'a mut Pytest,
    control: &'a mut mpsc::Receiver<Control>,
    sink: &'a Sink,
    attempts: Attempts,
    entries: Vec<Entry>,
    /// What the host was asked to run, in order.
    sent: VecDeque<Sent>,
    window: Window,
    stop: Option<Stop>,
    /// The host was told to begin nothing more, and has not answered.
    halting: bool,
    /// When the host last said anything, or was given something to do after a pause.
    heard: Instant,
    /// How many hosts in a row ended without having told anything.
    fruitless: u32,
}

/// A test that was sent.
struct Sent {
    /// Its number is that of the test between the two.
    prepared: Prepared,
    entry: usize,
    test: TestWork,
    started: Option<(Time, Instant)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    StartNothing,
    Kill,
}

/// What ends a wait.
enum Event {
    Heard(Heard),
    Control(Option<Control>),
    /// What tests wait for may be there.
    Changed,
    Late,
}

impl<'a> Shift<'a> {
    pub(super) fn new(
        runner: &'a mut Pytest,
        files: Vec<FileWork>,
        control: &'a mut mpsc::Receiver<Control>,
        sink: &'a Sink,
        attempts: Attempts,
    ) -> Self {
        Self {
            runner,
            control,
            sink,
            attempts,
            entries: files.into_iter().map(Entry::new).collect(),
            sent: VecDeque::new(),
            window: Window::default(),
            stop: None,
            halting: false,
            heard: Instant::now(),
            fruitless: 0,
        }
    }

    /// Works through the files, and ends the shard.
    pub(super) async fn run(mut self) {
        // A host that was there before knows nothing of what the shard holds, and one that does may not outlive it.
        if self.attempts.is_apart() {
            self.let_go().await;
        } else if let Some(host) = &mut self.runner.host {
            host.ask(&Do::Shard { shard: &self.attempts.stems() }).await;
        }
        self.work().await;
        if self.attempts.is_apart() || self.runner.host.as_ref().is_some_and(|host| host.generation > 0) {
            self.let_go().await;
        }
        self.close().await;
    }

    /// Finds the files of the suite.
    pub(super) async fn find(mut self) {
        self.discover().await;
        self.close().await;
    }

    async fn work(&mut self) {
        loop {
            while let Ok(control) = self.control.try_recv() {
                self.take(control).await;
            }
            match self.stop {
                Some(Stop::Kill) => return self.kill().await,
                Some(Stop::StartNothing) if self.sent.is_empty() && !self.halting => return,
                Some(Stop::StartNothing) => {}
                None if self.is_done() => return,
                None => {
                    let waits = !self.has_what_is_shared().await;
                    if waits && self.stop.is_none() {
                        self.step().await;
                    }
                    if waits || self.stop.is_some() {
                        continue;
                    }
                    if self.has_work() && !self.has_host().await {
                        return;
                    }
                    // Everything may have been stolen, or stopped, while the host came up.
                    if self.stop.is_some() || self.is_done() {
                        continue;
                    }
                    let refused = self.feed().await;
                    // Refused tests are gone without a word of the host: there may be nothing left that it would speak of.
                    if refused || self.runner.host.is_none() && self.has_work() {
                        continue;
                    }
                }
            }
            self.step().await;
        }
    }

    /// Whether nothing is left of the shard.
    fn is_done(&self) -> bool {
        self.sent.is_empty() && !self.entries.iter().any(Entry::is_open)
    }

    /// Whether there is something that a host has to do now.
    fn has_work(&self) -> bool {
        !self.sent.is_empty() || self.entries.iter().any(|entry| entry.phase != Phase::Told && entry.is_open())
    }

    async fn ask(&mut self, what: &Do<'_>) {
        if let Some(host) = &mut self.runner.host {
            host.ask(what).await;
        }
    }

    /// Waits for whatever happens next, and sees to it.
    async fn step(&mut self) {
        let busy = self.halting
            || !self.sent.is_empty()
            || self.entries.iter().any(|e| matches!(e.phase, Phase::Collecting { .. }));
        let late = match self.sent.front() {
            Some(Sent { started: Some((_, at)), test, .. }) => Some(*at + Duration::from(test.policy.timeout)),
            _ => busy.then(|| self.heard + SILENCE),
        };
        let calm = self.sent.len() >= CALM_TESTS;
        match self.wait(late, calm).await {
            Event::Heard(Heard::Said(say)) => self.hear(say).await,
            Event::Heard(Heard::Ended(exit)) => self.ended(exit).await,
            Event::Control(control) => self.note(control).await,
            Event::Changed => {}
            Event::Late => self.late().await,
        }
    }

    async fn wait(&mut self, late: Option<Instant>, calm: bool) -> Event {
        let heard = async {
            match &mut self.runner.host {
                Some(host) => host.next(calm).await,
                None => std::future::pending().await,
            }
        };
        let late = async {
            match late {
                Some(late) => tokio::time::sleep_until(late).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            heard = heard => Event::Heard(heard),
            control = self.control.recv() => Event::Control(control),
            () = self.attempts.changed() => Event::Changed,
            () = late => Event::Late,
        }
    }

    async fn note(&mut self, control: Option<Control>) {
        match control {
            Some(control) => self.take(control).await,
            // The slot is being taken down.
            None => self.stop = Some(Stop::Kill),
        }
    }

    async fn take(&mut self, control: Control) {
        match control {
            Control::Numbered(numbered) => {
                let told = |entry: &&mut Entry| entry.file == numbered.file && entry.phase == Phase::Told;
                if let Some(entry) = self.entries.iter_mut().find(told) {
                    self.attempts.expect(&numbered.tests);
                    entry.remembered = 0;
                    entry.unsent = numbered.tests.into();
                    entry.phase = Phase::Waiting { list: false };
                }
            }
            Control::Steal(tests) => {
                let stolen = give_back(&mut self.entries, tests);
                self.attempts.forget(&stolen);
                self.sink.tell(Tell::GaveBack(stolen)).await;
            }
            Control::Stop { kill } => {
                if kill {
                    self.stop = Some(Stop::Kill);
                } else if self.stop.is_none() {
                    self.stop = Some(Stop::StartNothing);
                    self.halting = self.runner.host.is_some() && !self.sent.is_empty();
                    if self.halting {
                        self.ask(&Do::Halt).await;
                    }
                }
            }
        }
    }

    async fn error(&mut self, file: Option<regatta_domain::FileIx>, kind: RunErrorKind, place: &str, message: &str) {
        let error = bounded(RunError { kind, place: place.into(), message: message.into() });
        self.sink.tell(Tell::Error { file, error }).await;
    }
}

/// An error within its bound: its head, where pytest says what went wrong first.
pub(super) fn bounded(error: RunError) -> RunError {
    RunError { message: words::start_of(error.message.trim_end()).into(), ..error }
}
