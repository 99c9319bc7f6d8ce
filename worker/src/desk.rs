//! The desk of a worker: what its slots hold, what they said, and what they are told. No IO: the session carries for it.

use crate::outbox::{self, Outbox};
use crate::runner::{Brief, Control, FileWork, HeldItem, Holding, Numbered, Shard, Tell, TestWork, Work};
use crate::slot::{FromSlot, ToSlot};
use crate::spool::{Hold, Left, Spool};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::policy::TestPolicy;
use regatta_domain::result::RunError;
use regatta_domain::{FileIx, FileKey, Level, Micros, RunId, SlotIx, TestIx, Token, WorkerId};
use regatta_runtime::shutdown::Urgency;
use regatta_wire::v1::{self, entry, from_worker, to_worker};
use regatta_wire::verdict::Closed as _;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A worker's desk.
pub(crate) struct Desk {
    worker: WorkerId,
    name: String,
    labels: Vec<String>,
    capacities: BTreeMap<String, u32>,
    slots: Vec<SlotDesk>,
    outbox: Outbox,
    runs: BTreeMap<RunId, RunDesk>,
    held: BTreeMap<Token, Held>,
    notes: VecDeque<from_worker::Message>,
    lease: Duration,
    urgent: bool,
    stopping: Urgency,
}

/// A slot, as its desk sees it.
struct SlotDesk {
    to: mpsc::Sender<ToSlot>,
    /// It asks for a shard.
    wants: bool,
    /// The coordinator has been told so over the present stream.
    told: bool,
}

/// A run, as a worker knows it.
struct RunDesk {
    briefs: Vec<Arc<Brief>>,
    policies: Vec<Arc<TestPolicy>>,
    /// Set while it is being torn down: the slots that have not answered yet, and what went wrong.
    closing: Option<(BTreeSet<SlotIx>, Vec<RunError>)>,
}

/// A lease that a slot holds.
struct Held {
    run: RunId,
    slot: SlotIx,
    running: Option<(TestIx, u16)>,
}

/// Notes that may wait: they are for people, and may be lost.
const NOTES: usize = 64;

impl Desk {
    pub(crate) fn new(
        worker: WorkerId,
        name: String,
        (labels, capacities): (Vec<String>, BTreeMap<String, u32>),
        slots: Vec<mpsc::Sender<ToSlot>>,
    ) -> Self {
        Self {
            worker,
            name,
            labels,
            capacities,
            slots: slots.into_iter().map(|to| SlotDesk { to, wants: false, told: false }).collect(),
            outbox: Outbox::default(),
            runs: BTreeMap::new(),
            held: BTreeMap::new(),
            notes: VecDeque::new(),
            lease: Duration::from_secs(15),
            urgent: false,
            stopping: Urgency::None,
        }
    }

    /// The same, with what an earlier process of the worker left: it is told again, and what was at work then is lost.
    pub(crate) fn with_spool(mut self, spool: Spool, left: &Left) -> Self {
        self.outbox = Outbox::with_spool(spool, left);
        for &Hold { token, running } in &left.holds {
            if let Some((test, attempt)) = running {
                let started = v1::Started { token, test, attempt: attempt.into() };
                self.say(Some(Token(token)), entry::Entry::Started(started));
            }
            self.say(Some(Token(token)), entry::Entry::Lost(v1::Lost { token }));
        }
        self
    }

    /// What the slots hold, where that has to survive.
    fn holds(&self) -> Vec<Hold> {
        if !self.outbox.spools() {
            return Vec::new();
        }
        let running = |held: &Held| held.running.map(|(test, attempt)| (test.0, attempt));
        self.held.iter().map(|(token, held)| Hold { token: token.0, running: running(held) }).collect()
    }

    /// Puts what was said where it survives, without sending it.
    pub(crate) fn seal(&mut self) {
        let holds = self.holds();
        self.outbox.seal(holds);
    }

    /// Everything is done: nothing has to survive.
    pub(crate) fn end(&mut self) {
        if self.is_idle() {
            self.outbox.close();
        }
    }

    /// A number of its own, for jitter.
    pub(crate) const fn seed(&self) -> u64 {
        self.worker.0.as_u64_pair().1
    }

    pub(crate) fn hello(&self) -> v1::Hello {
        let holds: BTreeSet<Token> = self.held.keys().copied().chain(self.outbox.tokens()).collect();
        v1::Hello {
            worker: self.worker.to_string(),
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: regatta_wire::PROTOCOL,
            slots: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            holds: holds.into_iter().map(|token| token.0).collect(),
            labels: self.labels.clone(),
            capacities: self.capacities.iter().map(capacity).collect(),
        }
    }

    /// What a new stream begins with, after the hello: everything unacknowledged, what runs, and who asks.
    pub(crate) fn again(&mut self) -> VecDeque<from_worker::Message> {
        if self.stopping != Urgency::None {
            self.say(None, entry::Entry::Draining(v1::Draining {}));
        }
        for (&token, held) in &self.held {
            if let Some((test, attempt)) = held.running {
                let started = v1::Started { token: token.0, test: test.0, attempt: attempt.into() };
                self.outbox.say(Some(token), entry::Entry::Started(started), Vec::new());
            }
        }
        let holds = self.holds();
        let mut messages: VecDeque<_> = self.outbox.again(holds).into_iter().map(carry).collect();
        if self.stopping == Urgency::None {
            for (slot, desk) in self.slots.iter_mut().enumerate().filter(|(_, desk)| desk.wants) {
                desk.told = true;
                messages.push_back(ask(SlotIx::nth(slot)));
            }
        }
        messages
    }

    pub(crate) fn flush(&mut self) -> VecDeque<from_worker::Message> {
        self.urgent = false;
        let holds = self.holds();
        let mut messages: VecDeque<_> = self.outbox.flush(holds).into_iter().map(carry).collect();
        messages.extend(self.notes.drain(..));
        if self.stopping == Urgency::None {
            for (slot, desk) in self.slots.iter_mut().enumerate().filter(|(_, desk)| desk.wants && !desk.told) {
                desk.told = true;
                messages.push_back(ask(SlotIx::nth(slot)));
            }
        }
        messages
    }

    /// How often the coordinator is told that the worker lives. One that is away for half a lease must cost nobody what he holds.
    pub(crate) fn alive_every(&self) -> Duration {
        self.lease / 5
    }

    /// How long a lease lasts without a word.
    pub(crate) const fn lease(&self) -> Duration {
        self.lease
    }

    pub(crate) fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    pub(crate) fn has_fresh(&self) -> bool {
        self.outbox.has_fresh() || !self.notes.is_empty()
    }

    /// Whether something should not wait for company.
    pub(crate) fn wants_flush(&self) -> bool {
        self.urgent || self.outbox.has_batch()
    }

    /// Whether no slot holds anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether a stopping worker has nothing left to do or to say.
    pub(crate) fn is_done(&self) -> bool {
        self.stopping != Urgency::None && self.is_idle() && self.outbox.is_empty()
    }

    pub(crate) fn is_stopping_hard(&self) -> bool {
        self.stopping == Urgency::Hard
    }

    /// Takes nothing new; hands back what has not begun, and with urgency also stops what runs.
    pub(crate) fn drain(&mut self, urgency: Urgency) {
        if urgency <= self.stopping {
            return;
        }
        if self.stopping == Urgency::None {
            self.say(None, entry::Entry::Draining(v1::Draining {}));
        }
        self.stopping = urgency;
        self.urgent = true;
        for (&token, held) in &self.held {
            let stop = Control::Stop { kill: urgency == Urgency::Hard };
            self.slots[held.slot.at()].tell(ToSlot::Control(token, stop));
        }
    }

    fn say(&mut self, token: Option<Token>, entry: entry::Entry) {
        self.outbox.say(token, entry, Vec::new());
    }

    /// A slot told something.
    pub(crate) fn told(&mut self, slot: SlotIx, told: FromSlot) {
        match told {
            FromSlot::Asks => {
                self.slots[slot.at()].wants = true;
                self.slots[slot.at()].told = false;
                self.urgent = true;
            }
            FromSlot::Released(token) => {
                self.held.remove(&token);
                self.say(Some(token), entry::Entry::Released(v1::Released { token: token.0 }));
                self.urgent = true;
            }
            FromSlot::Closed(run, errors) => self.closed(slot, run, errors),
            FromSlot::Told(token, tell) => self.told_under(token, tell),
        }
    }

    fn told_under(&mut self, token: Token, tell: Tell) {
        let Some(held) = self.held.get_mut(&token) else { return };
        match tell {
            Tell::Started { test, attempt } => {
                held.running = Some((test, attempt));
                let started = v1::Started { token: token.0, test: test.0, attempt: attempt.into() };
                self.say(Some(token), entry::Entry::Started(started));
            }
            Tell::Finished(finished) => {
                if held.running.is_some_and(|(test, _)| test == finished.test) {
                    held.running = None;
                }
                let (finished, output) = crate::translate::finished(token, finished);
                self.outbox.say(Some(token), entry::Entry::Finished(finished), output);
            }
            Tell::Discovered(files) => {
                let files = files.iter().map(v1::File::from).collect();
                self.say(Some(token), entry::Entry::Discovered(v1::Discovered { token: token.0, files }));
                self.urgent = true;
            }
            Tell::Listed { file, tests } => {
                let tests = tests.iter().map(v1::ListedTest::from).collect();
                let listed = v1::Listed { token: token.0, file: file.0, tests };
                self.say(Some(token), entry::Entry::Listed(listed));
                self.urgent = true;
            }
            Tell::Error { file, error } => {
                let error = Some(crate::translate::error(&error));
                let erred = v1::Erred { token: token.0, file: file.map(|file| file.0), error };
                self.say(Some(token), entry::Entry::Erred(erred));
                self.urgent = true;
            }
            Tell::GaveBack(tests) => {
                let tests = tests.into_iter().map(|test| test.0).collect();
                self.say(Some(token), entry::Entry::GaveBack(v1::GaveBack { token: token.0, tests }));
                self.urgent = true;
            }
            Tell::Note(text) => {
                if self.notes.len() < NOTES {
                    let run = held.run.to_string();
                    self.notes.push_back(from_worker::Message::Note(v1::WorkerNote { run, text }));
                }
            }
        }
    }

    /// The coordinator told something.
    pub(crate) fn heard(&mut self, message: v1::ToWorker) {
        use to_worker::Message;
        match message.message {
            Some(Message::Attached(attached)) => {
                self.lease = Duration::from_millis(attached.lease_ms.clamp(100, 3_600_000));
            }
            Some(Message::Brief(brief)) => self.briefed(brief),
            Some(Message::Grant(grant)) => self.granted(grant),
            Some(Message::Numbered(numbered)) => {
                let token = Token(numbered.token);
                let Some(run) = self.held.get(&token).and_then(|held| self.runs.get(&held.run)) else { return };
                let tests = numbered.tests.iter().filter_map(|test| run.test(test)).collect();
                self.control(token, Control::Numbered(Numbered { file: FileIx(numbered.file), tests }));
            }
            Some(Message::Steal(steal)) => {
                let tests = steal.tests.into_iter().map(TestIx).collect();
                self.control(Token(steal.token), Control::Steal(tests));
            }
            Some(Message::Stop(stop)) => self.control(Token(stop.token), Control::Stop { kill: stop.kill }),
            Some(Message::Close(close)) => self.close(&close.run),
            Some(Message::Ack(ack)) => self.outbox.acknowledge(ack.seq),
            // The session keeps account of these.
            Some(Message::Heard(_)) | None => {}
        }
    }

    fn control(&self, token: Token, control: Control) {
        if let Some(held) = self.held.get(&token) {
            self.slots[held.slot.at()].tell(ToSlot::Control(token, control));
        }
    }

    fn briefed(&mut self, brief: v1::Brief) {
        let Ok(run) = RunId::parse(&brief.run) else { return };
        // A repeated brief must not replace the one by which slots recognise their warm runners.
        if self.runs.get(&run).is_some_and(|known| known.briefs.len() == brief.suites.len()) {
            return;
        }
        let slots = u16::try_from(self.slots.len()).unwrap_or(u16::MAX);
        let seed = brief.seed;
        let suites: Result<Vec<PlannedSuite>, _> = brief.suites.into_iter().map(PlannedSuite::try_from).collect();
        let policies: Result<Vec<TestPolicy>, _> = brief.policies.into_iter().map(TestPolicy::try_from).collect();
        let (Ok(suites), Ok(policies)) = (suites, policies) else {
            // Grants of it are handed back.
            return tracing::error!(%run, "the brief of the run makes no sense to this worker");
        };
        let briefs = suites.into_iter().map(|suite| Arc::new(Brief { run, suite, seed, slots })).collect();
        let policies = policies.into_iter().map(Arc::new).collect();
        self.runs.insert(run, RunDesk { briefs, policies, closing: None });
    }

    fn granted(&mut self, grant: v1::Grant) {
        let (token, slot) = (Token(grant.token), grant.slot as usize);
        let run = RunId::parse(&grant.run).ok().and_then(|id| self.runs.get(&id).map(|run| (id, run)));
        let known = run.and_then(|(id, run)| run.briefs.get(grant.suite as usize).map(|brief| (id, run, brief)));
        // What cannot be taken is handed back at once; that is free.
        let Some((id, run, brief)) = known.filter(|_| slot < self.slots.len() && self.stopping == Urgency::None) else {
            self.say(Some(token), entry::Entry::Released(v1::Released { token: token.0 }));
            self.urgent = true;
            return;
        };
        let work = if grant.discover {
            Work::Discover
        } else {
            Work::Files(grant.files.into_iter().map(|file| run.file(file)).collect())
        };
        let holds = grant.holds.into_iter().map(holding).collect();
        let brief = Arc::clone(brief);
        self.held.insert(token, Held { run: id, slot: SlotIx::nth(slot), running: None });
        self.slots[slot].wants = false;
        self.slots[slot].tell(ToSlot::Grant(brief, Shard { token, holds, work }));
    }

    fn close(&mut self, run: &str) {
        let Ok(id) = RunId::parse(run) else { return };
        let Some(desk) = self.runs.get_mut(&id) else {
            let closed = v1::Closed { run: id.to_string(), errors: Vec::new() };
            self.say(None, entry::Entry::Closed(closed));
            self.urgent = true;
            return;
        };
        if desk.closing.is_none() {
            desk.closing = Some(((0..self.slots.len()).map(SlotIx::nth).collect(), Vec::new()));
            for slot in &self.slots {
                slot.tell(ToSlot::Close(id));
            }
        }
    }

    fn closed(&mut self, slot: SlotIx, run: RunId, errors: Vec<RunError>) {
        let Some(desk) = self.runs.get_mut(&run) else { return };
        let Some((waiting, gathered)) = &mut desk.closing else { return };
        waiting.remove(&slot);
        gathered.extend(errors);
        if waiting.is_empty() {
            let errors = gathered.iter().map(crate::translate::error).collect();
            self.runs.remove(&run);
            self.say(None, entry::Entry::Closed(v1::Closed { run: run.to_string(), errors }));
            self.urgent = true;
        }
    }
}

impl SlotDesk {
    fn tell(&self, what: ToSlot) {
        // The bound counts two grants and what may be said about them; a slot that is gone holds nothing any more.
        if let Err(mpsc::error::TrySendError::Full(lost)) = self.to.try_send(what) {
            unreachable!("a slot is told more than it can hold: {lost:?}");
        }
    }
}

impl RunDesk {
    fn test(&self, test: &v1::GrantedTest) -> Option<TestWork> {
        Some(TestWork {
            test: TestIx(test.test),
            attempt: u16::try_from(test.attempt).unwrap_or(u16::MAX),
            name: test.name.as_str().into(),
            estimate: Micros(test.estimate),
            policy: Arc::clone(self.policies.get(test.policy as usize)?),
            // A level that is not known here could be the strongest: such a test is handed back with its lease.
            level: Level::read(test.level)?,
        })
    }

    fn file(&self, file: v1::GrantedFile) -> FileWork {
        FileWork {
            file: FileIx(file.file),
            path: file.path.into(),
            key: FileKey::parse(&file.key).unwrap_or_default(),
            locator: file.locator.into(),
            remembered: file.remembered,
            tests: (!file.list).then(|| file.tests.iter().filter_map(|test| self.test(test)).collect()),
        }
    }
}

fn holding(held: v1::Held) -> Holding {
    let pair = |value: v1::Variable| (value.name.into(), value.value.into());
    let item =
        |item: v1::HeldItem| HeldItem { name: item.name.into(), values: item.values.into_iter().map(pair).collect() };
    Holding { resource: held.resource.into(), seats: held.seats, items: held.items.into_iter().map(item).collect() }
}

fn carry(message: outbox::Message) -> from_worker::Message {
    match message {
        outbox::Message::Output(part) => from_worker::Message::Output(part),
        outbox::Message::Report(report) => from_worker::Message::Report(report),
    }
}

fn ask(slot: SlotIx) -> from_worker::Message {
    from_worker::Message::Ask(v1::Ask { slot: slot.0.into() })
}

fn capacity((name, &seats): (&String, &u32)) -> v1::Need {
    v1::Need { resource: name.clone(), seats, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a slot is told when it is granted a shard.
    fn granted(grant: v1::Grant) -> Option<Shard> {
        let (to, mut inbox) = mpsc::channel(8);
        let mut desk = Desk::new(WorkerId::from_bits(1), "w".to_owned(), (Vec::new(), BTreeMap::new()), vec![to]);
        let run = RunId::from_bits(7).to_string();
        let settings = "{}".to_owned();
        let (name, runner, root) = ("s".to_owned(), "exec".to_owned(), "/".to_owned());
        let suites = vec![v1::Suite { name, runner, root, settings, ..v1::Suite::default() }];
        let policies = vec![v1::TestPolicy::from(&TestPolicy::default())];
        let brief = v1::Brief { run: run.clone(), suites, policies, seed: 1 };
        for message in [to_worker::Message::Brief(brief), to_worker::Message::Grant(v1::Grant { run, ..grant })] {
            desk.heard(v1::ToWorker { message: Some(message) });
        }
        match inbox.try_recv() {
            Ok(ToSlot::Grant(_, shard)) => Some(shard),
            _ => None,
        }
    }

    #[test]
    fn a_shard_comes_with_what_it_holds_and_the_levels_of_its_tests() {
        let values = vec![v1::Variable { name: "serial".to_owned(), value: "A1".to_owned() }];
        let items = vec![v1::HeldItem { name: "ada".to_owned(), values }];
        let held = v1::Held { resource: "phone".to_owned(), seats: 1, items };
        // The last comes from a coordinator that knows more levels.
        let test = |(test, level)| v1::GrantedTest { test, attempt: 1, level, ..v1::GrantedTest::default() };
        let tests = [(0, 0), (1, 3), (2, 99)].map(test).into();
        let file = v1::GrantedFile { path: "f".to_owned(), tests, ..v1::GrantedFile::default() };
        let shard = granted(v1::Grant { token: 5, files: vec![file], holds: vec![held], ..v1::Grant::default() });
        let Shard { token, holds, work: Work::Files(files) } = shard.expect("the slot is told") else { panic!() };
        let item = HeldItem { name: "ada".into(), values: vec![("serial".into(), "A1".into())] };
        assert_eq!(
            (token, &holds[..]),
            (Token(5), &[Holding { resource: "phone".into(), seats: 1, items: vec![item] }][..])
        );
        let levels: Vec<_> = files[0].tests.iter().flatten().map(|test| (test.test, test.level)).collect();
        assert_eq!(levels, [(TestIx(0), Level::None), (TestIx(1), Level::Isolated)], "what is not known is not begun");
    }
}
