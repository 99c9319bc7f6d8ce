//! Time and the network of a simulated world. What happens next is what is due first; connections deliver in order, and
//! lose what is under way when they break.

use super::resources::Thing;
use super::words::{FromWorker, ToWorker};
use regatta_core::SessionId;
use regatta_domain::{Micros, RunId, SlotIx, Time, WorkerId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::hash::{Hash, Hasher};

/// A machine on which one worker runs after another.
pub type Machine = usize;

/// Which worker of a machine: what was meant for an earlier one is void.
pub type Life = u64;

/// Something that is going to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Happening {
    /// A connection delivers the next word of the worker.
    ToCoordinator(SessionId),
    /// A connection delivers the next word of the coordinator.
    ToWorker(SessionId),
    /// A connection delivers a word of the worker once more.
    Repeated(SessionId),
    /// The coordinator notices that a connection broke.
    CoordinatorNotices(SessionId),
    /// The worker notices that a connection broke.
    WorkerNotices(SessionId),
    /// A worker dials.
    Dial(Machine, Life),
    /// What a slot does is done, unless it does something else by now.
    Done(Machine, Life, SlotIx, u64),
    /// Small news has waited for company long enough.
    Flush(Machine, Life),
    /// A worker gives a sign of life.
    Alive(Machine, Life),
    /// A worker starts.
    Arrive(Machine),
    /// The coordinator looks at the time.
    Tick,
    /// A thing is back in order (or not): the errand of that number.
    Restored(Thing, u64),
    /// The next batch of that life of the coordinator is durable.
    Commit(u64),
    /// The coordinator starts again.
    Start,
    /// A client hands its run in, until it is answered.
    Submit(RunId),
    /// A client ends a run; with `true`, hard.
    Cancel(RunId, bool),
    /// Something goes wrong.
    Fault,
    /// Nothing goes wrong any more.
    Calm,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// The worker's end.
    pub machine: Machine,
    /// Which worker there.
    pub life: Life,
    /// Its id.
    pub worker: WorkerId,
    /// It delivers nothing any more.
    pub broken: bool,
    stalled_until: Time,
    to_coordinator: VecDeque<(Time, FromWorker)>,
    to_worker: VecDeque<(Time, ToWorker)>,
    repeated: BTreeMap<(Time, u64), FromWorker>,
}

/// Time, what is going to happen, and who is connected.
#[derive(Debug, Default)]
pub struct World {
    /// The moment.
    pub now: Time,
    queue: BinaryHeap<Reverse<(Time, u64, Happening)>>,
    order: u64,
    /// The connections that anybody believes in.
    pub connections: BTreeMap<SessionId, Connection>,
    next_session: u64,
    /// Stands for everything that happened so far: the same for the same seed.
    pub trace: Trace,
}

impl World {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn beginning(now: Time) -> Self {
        Self { now, ..Self::default() }
    }

    /// Something is going to happen after a while.
    pub fn after(&mut self, wait: Micros, happening: Happening) {
        self.at(self.now + wait, happening);
    }

    /// Something is going to happen at a moment.
    pub fn at(&mut self, at: Time, happening: Happening) {
        self.order += 1;
        self.queue.push(Reverse((at.max(self.now), self.order, happening)));
    }

    /// What happens next; the moment becomes that of it.
    pub fn pass(&mut self) -> Option<Happening> {
        let Reverse((at, _, happening)) = self.queue.pop()?;
        self.now = at;
        self.trace.note(&(at, happening));
        Some(happening)
    }

    /// A worker connects.
    pub fn connect(&mut self, machine: Machine, life: Life, worker: WorkerId) -> SessionId {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        let (to_coordinator, to_worker) = (VecDeque::new(), VecDeque::new());
        let (broken, stalled_until, repeated) = (false, Time::default(), BTreeMap::new());
        let connection =
            Connection { machine, life, worker, broken, stalled_until, to_coordinator, to_worker, repeated };
        self.connections.insert(session, connection);
        session
    }

    /// Sends a word to the coordinator; it is there after `latency`, and after all that were sent before.
    pub fn to_coordinator(&mut self, session: SessionId, word: FromWorker, latency: Micros) {
        let at = self.now + latency;
        if let Some(connection) = self.connections.get_mut(&session).filter(|connection| !connection.broken) {
            let at = at.max(connection.to_coordinator.back().map_or(at, |&(last, _)| last));
            connection.to_coordinator.push_back((at, word));
            self.at(at, Happening::ToCoordinator(session));
        }
    }

    /// A word that the coordinator has heard is delivered once more, after whatever was said since.
    pub fn repeat(&mut self, session: SessionId, word: FromWorker, latency: Micros) {
        let at = self.now + latency;
        if let Some(connection) = self.connections.get_mut(&session).filter(|connection| !connection.broken) {
            connection.repeated.insert((at, self.order), word);
            self.at(at, Happening::Repeated(session));
        }
    }

    /// What a connection delivers once more.
    pub fn repeated(&mut self, session: SessionId) -> Option<FromWorker> {
        let connection = self.connections.get_mut(&session).filter(|connection| !connection.broken)?;
        let (_, word) = connection.repeated.pop_first()?;
        self.trace.note(&word);
        Some(word)
    }

    /// Sends a word to a worker.
    pub fn to_worker(&mut self, session: SessionId, word: ToWorker, latency: Micros) {
        let at = self.now + latency;
        if let Some(connection) = self.connections.get_mut(&session).filter(|connection| !connection.broken) {
            let at = at.max(connection.to_worker.back().map_or(at, |&(last, _)| last));
            connection.to_worker.push_back((at, word));
            self.at(at, Happening::ToWorker(session));
        }
    }

    /// What a connection delivers to the coordinator now.
    pub fn at_coordinator(&mut self, session: SessionId) -> Option<FromWorker> {
        let connection = self.connections.get_mut(&session).filter(|connection| !connection.broken)?;
        if connection.stalled_until > self.now {
            let until = connection.stalled_until;
            self.at(until, Happening::ToCoordinator(session));
            return None;
        }
        let (_, word) = connection.to_coordinator.pop_front()?;
        self.trace.note(&word);
        Some(word)
    }

    /// What a connection delivers to its worker now.
    pub fn at_worker(&mut self, session: SessionId) -> Option<ToWorker> {
        let connection = self.connections.get_mut(&session).filter(|connection| !connection.broken)?;
        if connection.stalled_until > self.now {
            let until = connection.stalled_until;
            self.at(until, Happening::ToWorker(session));
            return None;
        }
        let (_, word) = connection.to_worker.pop_front()?;
        self.trace.note(&word);
        Some(word)
    }

    /// A connection delivers nothing until a moment.
    pub fn stall(&mut self, session: SessionId, until: Time) {
        if let Some(connection) = self.connections.get_mut(&session) {
            connection.stalled_until = until;
        }
    }

    /// A connection breaks: what is under way is lost.
    pub fn break_off(&mut self, session: SessionId) {
        if let Some(connection) = self.connections.get_mut(&session) {
            connection.broken = true;
            connection.to_coordinator.clear();
            connection.to_worker.clear();
        }
    }
}

/// A number that stands for everything that was noted, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub u64);

impl Trace {
    /// Notes something.
    pub fn note(&mut self, what: &impl Hash) {
        what.hash(self);
    }
}

/// Not a good hash, but a fast one that is the same everywhere: enough to tell two stories apart.
impl Hasher for Trace {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}
