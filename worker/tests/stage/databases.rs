//! The coordinator's part in handing out databases, played by the test: it holds those who ask to the contract.

use async_trait::async_trait;
use regatta_wire::v1::{
    AcquireRequest, AcquireResponse, BuildOrder, BuiltRequest, BuiltResponse, HandedOut, Later, Observation,
    ReleaseRequest, ReleaseResponse, RunError, RunErrorKind, Traffic, Variable, acquire_response::Answer,
};
use regatta_worker::databases::Provider;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tonic::Status;

/// Plays the service, and keeps book.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    book: Mutex<Book>,
    changed: Notify,
}

/// What was asked, and what was answered.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// What is handed out: the number of the attempt, by test.
    taken: BTreeMap<Option<u32>, u32>,
    /// What was given back, which nobody gets again.
    given: BTreeSet<(Option<u32>, u32)>,
    /// Calls of which no answer arrived: something may have been handed out.
    unsure: BTreeSet<Option<u32>>,
    /// The most that were handed out at once.
    pub(crate) most: usize,
    /// All calls, in order.
    pub(crate) calls: Vec<String>,
    /// Answered instead of databases, one after the other.
    pub(crate) script: VecDeque<Result<Answer, Status>>,
    /// The same for releases.
    pub(crate) release_script: VecDeque<Status>,
    /// What builds came to.
    pub(crate) built: Vec<Option<String>>,
    /// A file in which tests write `begin URL` and `end URL`: nothing may have been begun and not ended when it is released.
    pub(crate) log: Option<PathBuf>,
    /// What that file ends with when the shard's databases are given back.
    pub(crate) ends_with: Option<String>,
    /// Acquisitions of these tests are not answered until they are taken out.
    pub(crate) withheld: Vec<u32>,
    /// What is handed out, where it is something real.
    pub(crate) variables: Vec<(String, String)>,
    /// What was seen on the way, of all that was given back.
    pub(crate) traffic: Vec<Traffic>,
}

/// Where a test finds what it was handed.
pub(crate) fn url(test: Option<u32>, attempt: u32) -> String {
    match test {
        Some(test) => format!("fake://test/{test}/{attempt}"),
        None => "fake://shard".to_owned(),
    }
}

pub(crate) fn later() -> Result<Answer, Status> {
    Ok(Answer::Later(Later { after_ms: 1, reason: "somebody builds".to_owned() }))
}

pub(crate) fn never(message: &str) -> Result<Answer, Status> {
    let kind = RunErrorKind::Build.into();
    Ok(Answer::Error(RunError { kind, place: "app".to_owned(), message: message.to_owned() }))
}

pub(crate) fn order(number: u64) -> Result<Answer, Status> {
    let variables = vec![Variable { name: "DATABASE_URL".to_owned(), value: "fake://template".to_owned() }];
    Ok(Answer::Build(BuildOrder { order: number, resource: "app".to_owned(), variables }))
}

impl Fake {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics with the book in hand")
    }

    /// Another lease: nothing is known of what was before.
    pub(crate) fn begin_anew(&self) -> Vec<String> {
        let calls = self.check();
        let mut book = self.book();
        *book = Book { log: book.log.take(), ends_with: book.ends_with.take(), ..Book::default() };
        calls
    }

    /// Lets go of what was withheld.
    pub(crate) fn let_go(&self) {
        self.book().withheld.clear();
        self.changed.notify_waiters();
    }

    /// Asserts that nothing is left behind; the calls.
    pub(crate) fn check(&self) -> Vec<String> {
        let book = self.book();
        assert!(book.taken.is_empty(), "all of it was given back: {book:#?}");
        assert!(book.most <= 2, "a slot has no more than what runs and what follows: {book:#?}");
        book.calls.clone()
    }
}

#[async_trait]
impl Provider for Fake {
    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireResponse, Status> {
        loop {
            let changed = self.changed.notified();
            if !request.test.is_some_and(|test| self.book().withheld.contains(&test)) {
                break;
            }
            changed.await;
        }
        let mut book = self.book();
        let url = url(request.test, request.attempt);
        if let Some(answer) = book.script.pop_front() {
            book.calls.push(format!("no {url}"));
            if answer.is_err() {
                book.unsure.insert(request.test);
            } else {
                book.unsure.remove(&request.test);
            }
            return Ok(AcquireResponse { answer: Some(answer?) });
        }
        book.calls.push(format!("acquire {url} {}", request.level().as_str_name()));
        book.unsure.remove(&request.test);
        let gone = book.given.contains(&(request.test, request.attempt));
        assert!(!gone, "what was given back is gone: {book:#?}");
        let twice = book.taken.insert(request.test, request.attempt);
        assert_eq!(twice, None, "it is handed out once: {book:#?}");
        book.most = book.most.max(book.taken.len());
        let real = book.variables.iter().map(|(name, value)| Variable { name: name.clone(), value: value.clone() });
        let mut variables: Vec<Variable> = real.collect();
        if variables.is_empty() {
            variables.push(Variable { name: "DATABASE_URL".to_owned(), value: url });
        }
        Ok(AcquireResponse { answer: Some(Answer::Databases(HandedOut { variables })) })
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseResponse, Status> {
        let mut book = self.book();
        let url = url(request.test, request.attempt);
        if let Some(status) = book.release_script.pop_front() {
            book.calls.push(format!("lost {url}"));
            return Err(status);
        }
        book.calls.push(format!("release {url}"));
        if book.unsure.remove(&request.test) && !book.taken.contains_key(&request.test) {
            return Ok(ReleaseResponse { observation: None });
        }
        book.traffic.extend(request.traffic);
        assert_eq!(book.taken.remove(&request.test), Some(request.attempt), "it is given back once: {book:#?}");
        book.given.insert((request.test, request.attempt));
        if let Some(log) = &book.log {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let count = |what: &str| text.lines().filter(|line| *line == format!("{what} {url}")).count();
            assert_eq!(count("begin"), count("end"), "nothing uses {url} any more: {text}");
            let last = book.ends_with.as_deref();
            assert!(last.is_none_or(|last| text.trim_end().ends_with(last)), "everything is torn down: {text}");
        }
        let notes = vec![format!("seen at {url}")];
        let observation = Observation { leased: 3, seen: 2, evidence: 7, notes, ..Observation::default() };
        Ok(ReleaseResponse { observation: Some(observation) })
    }

    async fn built(&self, request: BuiltRequest) -> Result<BuiltResponse, Status> {
        let mut book = self.book();
        book.calls.push(format!("built {}", request.order));
        book.built.push(request.failure);
        Ok(BuiltResponse {})
    }
}
