//! The connections of workers, as the driver sees them: where each is told things, and what it was told already.
//!
//! A connection has a bounded queue. A worker that does not read is cut off instead of waited for; it dials again, and
//! says what it holds.

use super::grant;
use super::handle::Newcomer;
use super::pulse::Pulse;
use regatta_core::{Core, SessionId, ToWorker};
use regatta_domain::{Micros, RunId, Time, WorkerId};
use regatta_wire::v1::to_worker::Message;
use regatta_wire::{Failure, v1};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// The connections.
pub(crate) struct Sessions {
    open: BTreeMap<SessionId, Session>,
    next: u64,
    lease: Micros,
    /// Those whose signs of life are answered.
    pub(super) pulse: Pulse,
}

/// A connection.
pub(crate) struct Session {
    pub(crate) worker: WorkerId,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) attached: Time,
    outgoing: mpsc::Sender<Result<v1::ToWorker, Status>>,
    _alive: oneshot::Sender<()>,
    /// The runs it was briefed on.
    briefed: BTreeSet<RunId>,
}

impl Sessions {
    pub(super) const fn new(lease: Micros, pulse: Pulse) -> Self {
        Self { open: BTreeMap::new(), next: 0, lease, pulse }
    }

    pub(super) fn open(&mut self, now: Time, newcomer: Newcomer) -> SessionId {
        self.next += 1;
        let id = super::session(self.next);
        let Newcomer { worker, name, version, outgoing, alive: _alive, numbered, .. } = newcomer;
        tracing::info!(%worker, name, session = id.0, "a worker attached");
        let briefed = BTreeSet::new();
        self.open.insert(id, Session { worker, name, version, attached: now, outgoing, _alive, briefed });
        self.pulse.open(id);
        // A connection that broke meanwhile is found out by the first word that is sent over it.
        let _gone = numbered.send(id);
        id
    }

    /// The connections that stand.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.open.iter().map(|(&id, session)| (id, session))
    }

    /// Whose a connection is, while it stands.
    pub(super) fn worker(&self, id: SessionId) -> Option<WorkerId> {
        self.open.get(&id).map(|session| session.worker)
    }

    /// Closes a connection, with a word why where there is somebody to tell.
    pub(super) fn close(&mut self, id: SessionId, why: Option<Failure>) {
        let Some(session) = self.open.remove(&id) else { return };
        self.pulse.close(id);
        if let Some(why) = why {
            tracing::warn!(worker = %session.worker, session = id.0, %why, "cut a worker off");
            // Where there is no room for the word, the end of the stream has to say it.
            let _full = session.outgoing.try_send(Err(why.into()));
        }
    }

    /// Closes all of them.
    pub(super) fn close_all(&mut self, why: &Failure) {
        self.pulse.look().keep(|_| false);
        for session in std::mem::take(&mut self.open).into_values() {
            let _full = session.outgoing.try_send(Err(why.clone().into()));
        }
    }

    /// A message of the core in words of the wire: names are added, and a run is introduced before its first grant. To be sent,
    /// in this order, once it may be.
    pub(super) fn words(&mut self, core: &Core, id: SessionId, message: ToWorker) -> Vec<Message> {
        let lease = self.lease;
        self.open.get_mut(&id).map(|session| session.words(core, message, lease)).unwrap_or_default()
    }

    /// Tells a worker something. `false` when the connection is gone by that, and the core should know.
    pub(super) fn send(&mut self, id: SessionId, words: Vec<Message>) -> bool {
        let Some(session) = self.open.get_mut(&id) else { return true };
        for message in words {
            match session.outgoing.try_send(Ok(v1::ToWorker { message: Some(message) })) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    self.close(id, None);
                    return false;
                }
                Err(mpsc::error::TrySendError::Full(_)) => {
                    let why = "the worker does not read what it is sent; it is cut off and may dial again";
                    self.close(id, Some(Failure::Behind(why.to_owned())));
                    return false;
                }
            }
        }
        true
    }
}

impl Session {
    fn words(&mut self, core: &Core, message: ToWorker, lease: Micros) -> Vec<Message> {
        let state = core.state();
        vec![match message {
            ToWorker::Attached => Message::Attached(v1::Attached { lease_ms: lease.0 / 1_000, answers: true }),
            ToWorker::Grant(grant) => {
                // A lease that has ended by now, and with it maybe its run: the wish is lost, which the core expects.
                let run = state.leases.get(&grant.token).and_then(|lease| state.run(lease.run));
                let Some(run) = run else { return Vec::new() };
                let mut words = Vec::with_capacity(2);
                if self.briefed.insert(run.id) {
                    words.push(Message::Brief(grant::brief(run)));
                }
                words.push(Message::Grant(grant::grant(core, run, &grant)));
                return words;
            }
            ToWorker::Numbered { token, file, tests } => {
                let Some(lease) = state.leases.get(&token) else { return Vec::new() };
                let Some(run) = state.run(lease.run) else { return Vec::new() };
                let tests = tests.iter().map(|test| grant::test(run, test)).collect();
                Message::Numbered(v1::Numbered { token: token.0, file: file.0, tests })
            }
            ToWorker::Steal { token, tests } => {
                Message::Steal(v1::Steal { token: token.0, tests: tests.iter().map(|test| test.0).collect() })
            }
            ToWorker::Stop { token, kill } => Message::Stop(v1::Stop { token: token.0, kill }),
            ToWorker::Close { run } => {
                self.briefed.remove(&run);
                Message::Close(v1::Close { run: run.to_string() })
            }
            ToWorker::Ack { seq } => Message::Ack(v1::Ack { seq }),
        }]
    }
}
