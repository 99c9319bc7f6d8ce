//! What is left to do of a shard, for runners that go through it test by test, and what reaches them meanwhile.
//!
//! It answers steals at once, whatever the runner is busy with, and takes in the answers to listings. The invariant: a
//! test is in here exactly as long as it was neither begun nor given back.

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
    pub(super) fn new(files: Vec<FileWork>, control: &'a mut mpsc::Receiver<Control>, sink: &'a Sink) -> Self {
        let mut agenda = Self {
            control,
            sink,
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
            if let Some((file, test)) = self.ready.pop_front() {
                return Next::Run(file, test);
            }
            if self.told.is_empty() {
                return Next::Over;
            }
            let control = self.control.recv().await;
            self.note(control).await;
        }
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
        tests
    }
}
