//! A shard at work: sends a host what it is to do, a little ahead of what it does, and tells what comes back.
//!
//! Everything that may be stolen is decided here, since only what was not sent can be given back. A host that ends is
//! blamed on the test it was at, and the rest goes to the next one. The invariant: a test is in `unsent` or in `sent`
//! until it was told of or given back, and never in both.
//!
//! [`tenure`] is how long a host serves: no longer than what it knows of the shard holds.

mod tenure;

use super::Pytest;
use super::entry::{Entry, Phase, give_back};
use super::host::{Heard, Host, reason, text};
use super::limits::{CALM_TESTS, FRUITLESS, GRACE, SILENCE};
use super::message::{Do, Item, Kind, Say};
use super::window::Window;
use crate::process::{Captured, Exit};
use crate::runner::attempts::{Attempts, Prepared, Standing};
use crate::runner::{Control, FileWork, Finished, Sink, Tell, TestWork, reason as words};
use regatta_domain::listing::ListedFile;
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Nuance, Outcome, Time};
use regatta_wire::listing::digest;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
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

    async fn discover(&mut self) {
        if !self.has_host().await {
            return;
        }
        let (root, settings) = (Arc::clone(&self.runner.root), Arc::clone(&self.runner.settings));
        let env = self.runner.brief.suite.env.clone();
        let looking = Arc::clone(&root);
        // What the keys depend on is looked at while pytest looks for files.
        let environment =
            tokio::task::spawn_blocking(move || super::environment::environment(&looking, &settings, &env));
        self.ask(&Do::Discover).await;
        let mut paths = Vec::new();
        loop {
            match self.wait(Some(self.heard + SILENCE), false).await {
                Event::Heard(Heard::Said(Say::Files { files, more })) => {
                    paths.extend(files);
                    if !more {
                        break;
                    }
                }
                Event::Heard(Heard::Said(say)) => self.hear(say).await,
                Event::Heard(Heard::Ended(exit)) => {
                    let printed = text(self.dismiss());
                    let text = format!("{} while it looked for files:\n{printed}", reason(&exit));
                    return self.error(None, RunErrorKind::Runner, "pytest", &text).await;
                }
                Event::Late => {
                    let text = format!("pytest still looked for files after {} s\n", SILENCE.as_secs());
                    let text = text + &self.stopped(GRACE).await;
                    return self.error(None, RunErrorKind::Runner, "pytest", &text).await;
                }
                Event::Changed => {}
                Event::Control(control) => {
                    self.note(control).await;
                    match self.stop {
                        Some(Stop::Kill) => return self.kill().await,
                        Some(Stop::StartNothing) => return,
                        None => {}
                    }
                }
            }
        }
        let environment = match environment.await.expect("looking at files does not panic") {
            Ok(environment) => environment,
            Err(error) => return self.sink.tell(Tell::Error { file: None, error }).await,
        };
        let files = tokio::task::spawn_blocking(move || {
            let listed = |path: Arc<str>| {
                let key = super::keys::file_key(&root, &path, &environment);
                ListedFile { path, key, locator: "".into() }
            };
            paths.into_iter().map(listed).collect()
        });
        self.sink.tell(Tell::Discovered(files.await.expect("looking at files does not panic"))).await;
    }

    /// Whether there is something that a host has to do now.
    fn has_work(&self) -> bool {
        !self.sent.is_empty() || self.entries.iter().any(|entry| entry.phase != Phase::Told && entry.is_open())
    }

    /// Sees to it that there is a host. Without one, why was told, and the shard is over.
    async fn has_host(&mut self) -> bool {
        if self.runner.host.is_some() {
            return true;
        }
        if self.fruitless >= FRUITLESS {
            let text = format!("pytest ended {FRUITLESS} times in a row before it had run or collected anything");
            self.error(None, RunErrorKind::Runner, "pytest", &text).await;
            return false;
        }
        let (brief, place) = (Arc::clone(&self.runner.brief), Arc::clone(&self.runner.place));
        let (settings, zygote) = (Arc::clone(&self.runner.settings), Arc::clone(&self.runner.zygote));
        self.runner.hosts += 1;
        let (shard, generation) = (self.attempts.stems(), self.attempts.generation());
        let mut start = pin!(Host::start(&brief, &place, &settings, &zygote, &shard, self.runner.hosts));
        let started = loop {
            tokio::select! {
                started = &mut start => break started,
                control = self.control.recv() => self.note(control).await,
            }
            if self.stop.is_some() {
                return false;
            }
        };
        match started {
            Ok(mut host) => {
                self.heard = Instant::now();
                host.generation = generation;
                self.runner.host = Some(host);
                true
            }
            Err(errors) => {
                for error in errors {
                    self.sink.tell(Tell::Error { file: None, error: bounded(error) }).await;
                }
                false
            }
        }
    }

    async fn ask(&mut self, what: &Do<'_>) {
        if let Some(host) = &mut self.runner.host {
            host.ask(what).await;
        }
    }

    /// Gives the host as much to do as it should have ahead. Whether tests were dropped, since what they need was refused.
    async fn feed(&mut self) -> bool {
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
    async fn collect_ahead(&mut self) {
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

    /// Replaces a host that has run as much as one may.
    async fn recycle(&mut self) {
        self.entries.iter_mut().for_each(Entry::forget_host);
        self.runner.finish(self.sink).await;
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

    async fn hear(&mut self, say: Say) {
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
                let how = How { outcome, nuance, reason, output: output.unwrap_or_default().into_bytes() };
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
    async fn collected(&mut self, n: u32, names: Vec<Arc<str>>, rows: Vec<super::message::Row>, more: bool) {
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
            true => digest(entry.rows.iter().map(super::message::Row::name)),
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

    async fn finished(&mut self, sent: Sent, took: Option<Duration>, how: How) {
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
            started: at,
            duration: took.unwrap_or_else(|| since.elapsed()),
            reason: how.reason.map(|reason| words::one_line(&reason)),
            output: how.output,
            observation: None,
        };
        let to_come =
            self.sent.iter().map(|sent| &sent.test).chain(self.entries.iter().flat_map(|entry| &entry.unsent));
        let more = self.attempts.is_any_shared(to_come);
        self.attempts.end(prepared, finished, more).await;
    }

    /// The host ended, and nobody asked it to.
    async fn ended(&mut self, exit: Exit) {
        self.fruitless += 1;
        let printed = self.dismiss();
        if self.sent.front().is_some_and(|sent| sent.started.is_some()) {
            self.fruitless = 0;
            let sent = self.sent.pop_front().expect("it was just looked at");
            let (reason, output) = (Some(reason(&exit)), printed.into_bytes());
            let how = How { outcome: Outcome::Crashed, nuance: Nuance::Plain, reason, output };
            self.finished(sent, None, how).await;
        } else {
            self.blame_what_is_no_test(&format!("{}\n{}", reason(&exit), text(printed))).await;
        }
        self.requeue();
    }

    /// The host ended, or hung, when no test ran: it tore down what tests had shared, or collected.
    async fn blame_what_is_no_test(&mut self, text: &str) {
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
    fn requeue(&mut self) {
        self.entries.iter_mut().for_each(Entry::forget_host);
        while let Some(Sent { prepared, entry, test, .. }) = self.sent.pop_back() {
            self.attempts.put_back(&prepared);
            self.window.over(test.estimate, &test.name, None);
            self.entries[entry].unsent.push_front(test);
        }
    }

    /// Something takes longer than it may.
    async fn late(&mut self) {
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
                let how = How { outcome: Outcome::TimedOut, nuance: Nuance::Plain, reason, output };
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
    async fn traceback_and_kill(&mut self, grace: Duration) -> Captured {
        let mut all = Captured::default();
        if let Some(host) = &mut self.runner.host {
            all.push(host.traceback().await.as_bytes());
            host.kill(grace).await;
            all.append(self.dismiss());
        }
        all
    }

    /// The same, as text.
    async fn stopped(&mut self, grace: Duration) -> String {
        text(self.traceback_and_kill(grace).await)
    }

    /// Lets go of a host that ended: what it printed.
    fn dismiss(&mut self) -> Captured {
        // It answers nothing any more.
        self.halting = false;
        self.runner.host.take().map(|mut host| host.take_output()).unwrap_or_default()
    }

    /// Stops what runs, and tells nothing of it.
    async fn kill(&mut self) {
        let grace = self.sent.front().map_or(GRACE, |sent| sent.test.policy.grace.into());
        if let Some(mut host) = self.runner.host.take() {
            host.kill(grace).await;
        }
    }

    async fn error(&mut self, file: Option<regatta_domain::FileIx>, kind: RunErrorKind, place: &str, message: &str) {
        let error = bounded(RunError { kind, place: place.into(), message: message.into() });
        self.sink.tell(Tell::Error { file, error }).await;
    }
}

/// How a test ended.
struct How {
    outcome: Outcome,
    nuance: Nuance,
    reason: Option<String>,
    output: Vec<u8>,
}

/// An error within its bound: its head, where pytest says what went wrong first.
pub(super) fn bounded(error: RunError) -> RunError {
    RunError { message: words::start_of(error.message.trim_end()).into(), ..error }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
