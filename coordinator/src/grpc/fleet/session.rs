//! One connection of a worker: listens to it, and passes on what it says, in order.
//!
//! It ends when the worker's stream does, or when the driver has closed the session; the core is told of the former. Signs of life are
//! answered as they come in, whatever else waits for the driver and its store.

use super::super::Parts;
use super::entries;
use super::outputs::Outputs;
use crate::driver::Gone;
use crate::projector::News;
use regatta_core::SessionId;
use regatta_domain::{SlotIx, Time, WorkerId};
use regatta_wire::limits::{ENTRIES_PER_REPORT, NOTE_BYTES};
use regatta_wire::v1::from_worker::Message;
use regatta_wire::{Failure, Invalid, Why, run_id, v1};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

/// A worker that says something small is alive; the core is told so this often at most.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// Words of a worker that may wait for the driver while its signs of life are still answered. A part of an output is 64 KiB.
const WAITING: usize = 64;

/// Where a worker is told things. The driver alone decides for how long.
pub(super) type To = mpsc::WeakSender<Result<v1::ToWorker, Status>>;

/// A connection of a worker.
pub(super) struct Session {
    parts: Parts,
    worker: WorkerId,
    id: SessionId,
    outputs: Outputs,
    last_sign: Option<Instant>,
}

/// Why a connection is ended.
enum End {
    /// The driver is gone.
    Gone,
    /// The worker says what no worker may say.
    Refused(Failure),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure)
    }
}

impl From<Invalid> for End {
    fn from(invalid: Invalid) -> Self {
        Self::Refused(invalid.into())
    }
}

impl Session {
    pub(super) fn new(parts: Parts, worker: WorkerId, id: SessionId) -> Self {
        Self { parts, worker, id, outputs: Outputs::default(), last_sign: None }
    }

    /// Listens until the connection ends.
    pub(super) async fn listen(
        mut self,
        incoming: Streaming<v1::FromWorker>,
        answers: To,
        closed: oneshot::Receiver<()>,
    ) {
        let (to, words) = mpsc::channel(WAITING);
        let reading = Reading { parts: self.parts.clone(), id: self.id, answers, to };
        let (worker, id, driver) = (self.worker, self.id, self.parts.driver.clone());
        let mut reading = std::pin::pin!(reading.read(worker, incoming, closed));
        let mut hearing = std::pin::pin!(self.hear_all(words));
        let mut is_read = false;
        // What was read is heard to its end, also when nothing more comes.
        let heard = loop {
            tokio::select! {
                () = &mut reading, if !is_read => is_read = true,
                heard = &mut hearing => break heard,
            }
        };
        let refused = match heard {
            Ok(()) => None,
            Err(End::Gone) => return,
            Err(End::Refused(failure)) => Some(failure),
        };
        // A driver that is gone has closed every session.
        let _gone = driver.detach(worker, id, refused).await;
    }

    async fn hear_all(&mut self, mut words: mpsc::Receiver<Message>) -> Result<(), End> {
        while let Some(message) = words.recv().await {
            self.hear(message).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Hello(_) => {
                Err(Failure::Unfit("a session has one hello, and this is the second".to_owned()).into())
            }
            Message::Ask(ask) => {
                let most = u64::from(u16::MAX);
                let found = u64::from(ask.slot);
                let out_of_range = |_| Invalid::new("ask.slot", Why::OutOfRange { found, least: 0, most });
                let slot = u16::try_from(ask.slot).map_err(out_of_range)?;
                Ok(self.parts.driver.ask_for_work(self.worker, self.id, SlotIx(slot)).await?)
            }
            Message::Report(report) => self.report(report).await,
            Message::Output(part) => {
                self.outputs.add(part)?;
                self.alive().await
            }
            Message::Alive(_) => {
                self.last_sign = None;
                self.alive().await
            }
            Message::Note(note) => {
                let run = run_id("note.run", &note.run)?;
                let text = note.text.chars().take(NOTE_BYTES / 4).collect();
                let at = Time(regatta_runtime::clock::now_us());
                self.parts.projector.tell(News::Note { run, at, text });
                self.alive().await
            }
        }
    }

    async fn report(&mut self, report: v1::Report) -> Result<(), End> {
        let v1::Report { seq, entries } = report;
        if entries.len() > ENTRIES_PER_REPORT {
            let why = Why::TooMany { most: ENTRIES_PER_REPORT, found: entries.len() };
            return Err(Invalid::new("report.entries", why).into());
        }
        let entries = entries::read(&self.parts, entries, &mut self.outputs).await?;
        self.last_sign = Some(Instant::now());
        Ok(self.parts.driver.report(self.worker, self.id, seq, entries).await?)
    }

    async fn alive(&mut self) -> Result<(), End> {
        if self.last_sign.is_some_and(|last| last.elapsed() < SIGN_OF_LIFE) {
            return Ok(());
        }
        self.last_sign = Some(Instant::now());
        Ok(self.parts.driver.report(self.worker, self.id, 0, Vec::new()).await?)
    }
}

/// The end of a connection at which a worker speaks.
struct Reading {
    parts: Parts,
    id: SessionId,
    answers: To,
    to: mpsc::Sender<Message>,
}

impl Reading {
    /// Reads until the stream ends or the driver has closed the session.
    async fn read(self, worker: WorkerId, mut incoming: Streaming<v1::FromWorker>, mut closed: oneshot::Receiver<()>) {
        loop {
            let heard = tokio::select! {
                _ = &mut closed => return,
                heard = incoming.message() => heard,
            };
            match heard {
                Ok(Some(v1::FromWorker { message: Some(Message::Alive(alive)) })) => {
                    self.answer(alive.seq);
                    // Where the driver has so much to hear of this worker, it needs no word that it is alive.
                    let _full = self.to.try_send(Message::Alive(alive));
                }
                Ok(Some(v1::FromWorker { message: Some(message) })) => {
                    if self.to.send(message).await.is_err() {
                        return;
                    }
                }
                // A word that is not known here comes from a newer worker, which does not depend on it.
                Ok(Some(v1::FromWorker { message: None })) => {}
                Ok(None) => return,
                Err(status) => return tracing::debug!(%worker, %status, "a worker's stream broke"),
            }
        }
    }

    /// Answers a sign of life, if this coordinator certainly leads.
    fn answer(&self, seq: u64) {
        if seq == 0 || !self.parts.standing.borrow().leads_at(Instant::now()) {
            return;
        }
        let heard = v1::ToWorker { message: Some(v1::to_worker::Message::Heard(v1::Heard { seq })) };
        self.parts.driver.vouch(self.id, || {
            // A worker that does not read what it is sent is about to be cut off.
            let _full = self.answers.upgrade().map(|answers| answers.try_send(Ok(heard)));
        });
    }
}
