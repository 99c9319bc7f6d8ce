//! What is left to do of a shard, for runners that go through it test by test, and what reaches them meanwhile.
//!
//! It answers steals at once, whatever the runner is busy with, and takes in the answers to listings. The invariant: a
//! test is in here exactly as long as it was neither begun nor given back; so one that waits for its databases can be stolen.

use super::attempts::{Attempts, Standing};
use super::{Control, FileWork, Numbered, Sink, Tell, TestWork};
use regatta_domain::{FileIx, TestIx};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What is left to do of a shard.
pub(super) struct Agenda<'a> {
    control: &'a mut mpsc::Receiver<Control>,
    sink: &'a Sink,
    attempts: Attempts,
    unlisted: VecDeque<Arc<FileWork>>,
    /// Listed, and waiting for the coordinator to number their tests.
    told: BTreeMap<FileIx, Arc<FileWork>>,
    ready: VecDeque<(Arc<FileWork>, TestWork)>,
    stop: Option<Stop>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    StartNothing,
    Kill,
}

/// What to do next.
pub(super) enum Next {
    /// List this file, and tell [`Agenda::listed`] or [`Agenda::dropped`].
    List(Arc<FileWork>),
    /// Run this test of this file.
    Run(Arc<FileWork>, TestWork),
    /// The shard is done, or was stopped.
    Over,
}

/// The runner was told to stop what runs.
#[derive(Debug)]
pub(super) struct Killed;

impl<'a> Agenda<'a> {
    pub(super) fn new(
        files: Vec<FileWork>,
        control: &'a mut mpsc::Receiver<Control>,
        sink: &'a Sink,
        attempts: Attempts,
    ) -> Self {
        let mut agenda = Self {
            control,
            sink,
            attempts,
            unlisted: VecDeque::new(),
            told: BTreeMap::new(),
            ready: VecDeque::new(),
            stop: None,
        };
        for mut file in files {
            let tests = file.tests.take();
            let file = Arc::new(file);
            match tests {
                None => agenda.unlisted.push_back(file),
                Some(tests) => agenda.ready.extend(tests.into_iter().map(|test| (Arc::clone(&file), test))),
            }
        }
        agenda
    }

    /// Where to tell what happens.
    pub(super) fn sink(&self) -> &'a Sink {
        self.sink
    }

    /// What goes before and after each attempt.
    pub(super) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Whether tests are to come that use what all tests of the shard share.
    pub(super) fn expects_shared(&self) -> bool {
        self.attempts.is_any_shared(self.ready.iter().map(|(_, test)| test))
    }

    /// What to do next. Listing comes first: it is quick, and its answer travels while tests run.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            while let Ok(control) = self.control.try_recv() {
                self.take(control).await;
            }
            if self.stop.is_some() {
                return Next::Over;
            }
            if let Some(file) = self.unlisted.pop_front() {
                return Next::List(file);
            }
            if let Some((_, test)) = self.ready.front() {
                match self.attempts.seek(test) {
                    Standing::Ready => {
                        let (file, test) = self.ready.pop_front().expect("it was just looked at");
                        // What the next one needs is asked for while this one runs.
                        if let Some((_, next)) = self.ready.front() {
                            self.attempts.seek(next);
                        }
                        return Next::Run(file, test);
                    }
                    Standing::Refused => drop(self.ready.pop_front()),
                    Standing::Weak => {
                        let attempts = self.attempts.clone();
                        let _killed_shows_above = self.attend(attempts.give_shard_back()).await;
                    }
                    Standing::Waiting => {
                        // Those that vanished may hold what it waits for. What a listing brings back is still the same test.
                        if self.told.is_empty() {
                            let ready = &self.ready;
                            self.attempts.forget_but(|ix| ready.iter().any(|(_, test)| test.test == ix));
                        }
                        self.wait().await;
                    }
                }
                continue;
            }
            if self.told.is_empty() {
                return Next::Over;
            }
            let control = self.control.recv().await;
            self.note(control).await;
        }
    }

    /// Waits until something has changed.
    async fn wait(&mut self) {
        let control = tokio::select! {
            () = self.attempts.changed() => return,
            control = self.control.recv() => control,
        };
        self.note(control).await;
    }

    /// Waits until a test that was begun already can run once more.
    ///
    /// # Errors
    /// When what runs is to be killed.
    pub(super) async fn until_ready(&mut self, test: &TestWork) -> Result<(), Killed> {
        while self.attempts.seek(test) == Standing::Waiting {
            self.wait().await;
            if self.stop == Some(Stop::Kill) {
                return Err(Killed);
            }
        }
        Ok(())
    }

    /// More tests of `file` to go with the one that [`Agenda::next`] gave: those that come next, as long as `fits`.
    pub(super) fn more(&mut self, file: &Arc<FileWork>, mut fits: impl FnMut(&TestWork) -> bool) -> Vec<TestWork> {
        let mut tests = Vec::new();
        while let Some((of, test)) = self.ready.front()
            && Arc::ptr_eq(of, file)
            && fits(test)
        {
            tests.extend(self.ready.pop_front().map(|(_, test)| test));
        }
        tests
    }

    /// The listing of `file` was told: its tests come with the answer.
    pub(super) fn listed(&mut self, file: Arc<FileWork>) {
        self.told.insert(file.file, file);
    }

    /// The file turned out to hold other tests than was remembered: those that were asked for are not to run.
    pub(super) fn dropped(&mut self, file: FileIx) {
        self.ready.retain(|(of, _)| of.file != file);
    }

    /// Waits for `work`, and sees to what arrives meanwhile.
    ///
    /// # Errors
    /// When `work` is to be killed; it is dropped then.
    pub(super) async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Killed> {
        let mut work = pin!(work);
        loop {
            if self.stop == Some(Stop::Kill) {
                return Err(Killed);
            }
            let control = tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                control = self.control.recv() => control,
            };
            self.note(control).await;
        }
    }

    /// Ends the shard, of which nothing runs any more: tidies up, gives back, tells. Sees to what arrives meanwhile.
    pub(super) async fn close(mut self) {
        let attempts = self.attempts.clone();
        let mut closing = pin!(attempts.close());
        loop {
            if self.stop == Some(Stop::Kill) {
                attempts.hurry();
                // There is nothing left to be stopped, and nothing to be given back that was not killed.
                return closing.await;
            }
            let control = tokio::select! {
                biased;
                () = &mut closing => return,
                control = self.control.recv() => control,
            };
            self.note(control).await;
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
            Control::Numbered(Numbered { file, tests }) => {
                if let Some(file) = self.told.remove(&file) {
                    self.attempts.expect(&tests);
                    self.ready.extend(tests.into_iter().map(|test| (Arc::clone(&file), test)));
                }
            }
            Control::Steal(tests) => {
                let stolen = self.give_back(tests);
                self.sink.tell(Tell::GaveBack(stolen)).await;
            }
            Control::Stop { kill } => {
                let stop = if kill { Stop::Kill } else { Stop::StartNothing };
                self.stop = if self.stop == Some(Stop::Kill) { self.stop } else { Some(stop) };
            }
        }
    }

    /// All of `tests`, taken out, or none where one of them is not here any more.
    fn give_back(&mut self, tests: Vec<TestIx>) -> Vec<TestIx> {
        let wanted: BTreeSet<TestIx> = tests.iter().copied().collect();
        let here = self.ready.iter().filter(|(_, test)| wanted.contains(&test.test)).count();
        if here < wanted.len() {
            return Vec::new();
        }
        self.ready.retain(|(_, test)| !wanted.contains(&test.test));
        self.attempts.forget(&tests);
        tests
    }
}
