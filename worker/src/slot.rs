//! A slot: room for one shard at a time. Works through its shards in order, keeps runners warm between them, and asks for
//! the next shard shortly before it needs it.
//!
//! It leaves the connection, and everything that must survive it, to the session.

mod load;

use crate::runner::{Bench, Brief, Control, Holding, Runner, Shard, Sink, Tell, Work};
use crate::tenure::Term;
use load::Load;
use regatta_domain::result::RunError;
use regatta_domain::{RunId, SlotIx, TestIx, Token};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a runner may tell ahead of its slot. A test tells twice; the channel holds a few milliseconds of trivial tests.
const TELLS: usize = 256;

/// What may wait for a runner's attention: one steal, one stop, and an answer a file that is being listed.
const CONTROLS: usize = 1_024;

/// Warm runners a slot keeps, the one it works with included. Each may be a process of 100 MiB.
const WARM: usize = 4;

/// How the names begin of what a worker divides among its own shards.
const OF_WORKER: &str = "worker.";

/// What a slot is told.
#[derive(Debug)]
pub(crate) enum ToSlot {
    /// A shard is its.
    Grant(Arc<Brief>, Shard),
    /// Something about a shard that it holds.
    Control(Token, Control),
    /// The run is over: tear down what is kept warm for it.
    Close(RunId),
}

/// What a slot tells.
#[derive(Debug)]
pub(crate) enum FromSlot {
    /// Something happened under a lease.
    Told(Token, Tell),
    /// The shard is over.
    Released(Token),
    /// It has room for another shard.
    Asks,
    /// Nothing of the run is kept warm any more.
    Closed(RunId, Vec<RunError>),
}

/// A slot at work.
pub(crate) struct Slot {
    slot: SlotIx,
    bench: Box<dyn Bench>,
    /// How long what its shards hold is certainly theirs.
    term: Term,
    inbox: mpsc::Receiver<ToSlot>,
    out: mpsc::Sender<(SlotIx, FromSlot)>,
    queue: VecDeque<(Arc<Brief>, Shard)>,
    closing: Vec<RunId>,
    warm: Vec<Warm>,
    /// It has asked for a shard, and not been answered yet.
    asked: bool,
}

/// A runner that is kept between shards.
struct Warm {
    brief: Arc<Brief>,
    runner: Box<dyn Runner>,
}

impl Slot {
    pub(crate) fn new(
        (slot, bench): (SlotIx, Box<dyn Bench>),
        term: Term,
        inbox: mpsc::Receiver<ToSlot>,
        out: mpsc::Sender<(SlotIx, FromSlot)>,
    ) -> Self {
        Self {
            slot,
            bench,
            term,
            inbox,
            out,
            queue: VecDeque::new(),
            closing: Vec::new(),
            warm: Vec::new(),
            asked: false,
        }
    }

    /// Works until its inbox closes, then tears down what is warm.
    pub(crate) async fn run(mut self) {
        loop {
            for run in std::mem::take(&mut self.closing) {
                self.close(run).await;
            }
            if let Some((brief, shard)) = self.queue.pop_front() {
                self.work(brief, shard).await;
                continue;
            }
            self.ask().await;
            let Some(message) = self.inbox.recv().await else { break };
            self.receive(message).await;
        }
        while let Some(warm) = self.warm.pop() {
            Self::cool(warm).await;
        }
    }

    async fn tell(&self, what: FromSlot) {
        let _gone = self.out.send((self.slot, what)).await;
    }

    /// Asks for a shard, once until it is answered.
    async fn ask(&mut self) {
        if !std::mem::replace(&mut self.asked, true) {
            self.tell(FromSlot::Asks).await;
        }
    }

    /// Takes a message that does not concern the shard at work.
    async fn receive(&mut self, message: ToSlot) {
        match message {
            ToSlot::Grant(brief, shard) => {
                self.asked = false;
                self.queue.push_back((brief, shard));
            }
            ToSlot::Close(run) => self.closing.push(run),
            ToSlot::Control(token, control) => self.control_waiting(token, control).await,
        }
    }

    /// A shard that waits behind the one at work gives back whatever it is asked for.
    async fn control_waiting(&mut self, token: Token, control: Control) {
        let Some(at) = self.queue.iter().position(|(_, shard)| shard.token == token) else { return };
        match control {
            Control::Steal(tests) => {
                let given = take_out(&mut self.queue[at].1.work, &tests);
                let empty = matches!(&self.queue[at].1.work, Work::Files(files) if files.is_empty());
                self.tell(FromSlot::Told(token, Tell::GaveBack(given))).await;
                if empty {
                    self.queue.remove(at);
                    self.tell(FromSlot::Released(token)).await;
                }
            }
            Control::Stop { .. } => {
                self.queue.remove(at);
                self.tell(FromSlot::Released(token)).await;
            }
            Control::Numbered(_) => {}
        }
    }

    async fn work(&mut self, brief: Arc<Brief>, shard: Shard) {
        let token = shard.token;
        // What only one may use is let go of when it may be another's by now.
        let mut bound = holds_alone(&brief, &shard);
        if bound && self.term.is_over() {
            tracing::warn!(%token, "not begun: what the lease holds may be another worker's by now");
            return self.tell(FromSlot::Released(token)).await;
        }
        let mut term = self.term.clone();
        let mut warm = match self.warm_up(&brief).await {
            Ok(warm) => warm,
            Err(error) => {
                self.tell(FromSlot::Told(token, Tell::Error { file: None, error })).await;
                return self.tell(FromSlot::Released(token)).await;
            }
        };
        let (controls, mut control) = mpsc::channel(CONTROLS);
        let (to, mut told) = mpsc::channel(TELLS);
        let sink = Sink { token, to };
        let mut load = Load::of(&shard);
        {
            let mut work = pin!(warm.runner.work(shard, &mut control, &sink));
            loop {
                let ask_at = tokio::time::Instant::from_std(load.runs_low_at());
                tokio::select! {
                    // The end of the term comes before anything else: a worker that was stopped for long and goes on must not do more.
                    biased;
                    () = term.over(), if bound => {
                        bound = false;
                        tracing::warn!(%token, "stopped: no coordinator has answered for so long that what it holds may be another's");
                        // The runner may be asked the same already, and has no room for more.
                        let _stopping = controls.try_send(Control::Stop { kill: true });
                    }
                    message = self.inbox.recv() => match message {
                        Some(ToSlot::Control(of, what)) if of == token => {
                            if let Control::Numbered(numbered) = &what {
                                load.add(numbered);
                            }
                            controls.try_send(what).expect("a runner is asked one thing at a time");
                        }
                        Some(message) => self.receive(message).await,
                        None => {
                            // The worker is being taken down, and does not wait for an answer.
                            let _full = controls.try_send(Control::Stop { kill: true });
                            work.as_mut().await;
                            break;
                        }
                    },
                    Some((token, tell)) = told.recv() => {
                        load.note(&tell);
                        self.tell(FromSlot::Told(token, tell)).await;
                    }
                    () = tokio::time::sleep_until(ask_at), if !self.asked && self.queue.is_empty() => self.ask().await,
                    () = &mut work => break,
                }
            }
        }
        while let Ok((token, tell)) = told.try_recv() {
            self.tell(FromSlot::Told(token, tell)).await;
        }
        self.tell(FromSlot::Released(token)).await;
        self.warm.push(warm);
    }

    /// The warm runner for a suite, or a new one.
    async fn warm_up(&mut self, brief: &Arc<Brief>) -> Result<Warm, RunError> {
        if let Some(at) = self.warm.iter().position(|warm| Arc::ptr_eq(&warm.brief, brief)) {
            return Ok(self.warm.remove(at));
        }
        if self.warm.len() >= WARM {
            let coldest = self.warm.remove(0);
            Self::cool(coldest).await;
        }
        let runner = self.bench.open(Arc::clone(brief))?;
        Ok(Warm { brief: Arc::clone(brief), runner })
    }

    /// Tears down what is kept warm for a run.
    async fn close(&mut self, run: RunId) {
        let (of_run, rest): (Vec<Warm>, Vec<Warm>) =
            std::mem::take(&mut self.warm).into_iter().partition(|warm| warm.brief.run == run);
        self.warm = rest;
        let mut errors = Vec::new();
        for warm in of_run {
            errors.extend(Self::cool(warm).await);
        }
        self.tell(FromSlot::Closed(run, errors)).await;
    }

    /// Tears a runner down, and gathers what went wrong in that.
    async fn cool(mut warm: Warm) -> Vec<RunError> {
        let (to, mut told) = mpsc::channel(TELLS);
        let sink = Sink { token: Token::default(), to };
        let gather = async {
            let mut errors = Vec::new();
            while let Some((_, tell)) = told.recv().await {
                if let Tell::Error { error, .. } = tell {
                    errors.push(error);
                }
            }
            errors
        };
        let close = async {
            warm.runner.close(&sink).await;
            drop(sink);
        };
        tokio::join!(close, gather).1
    }
}

/// Whether a shard holds what others must not use meanwhile: of the fleet, not of the worker itself.
fn holds_alone(brief: &Brief, shard: &Shard) -> bool {
    let of_fleet = |holding: &Holding| !holding.resource.starts_with(OF_WORKER);
    !brief.suite.databases.is_empty() || shard.holds.iter().any(of_fleet)
}

/// Takes tests out of work that has not begun: all of those named, or none.
fn take_out(work: &mut Work, tests: &[TestIx]) -> Vec<TestIx> {
    let Work::Files(files) = work else { return Vec::new() };
    let holds = |ix: &TestIx| files.iter().filter_map(|file| file.tests.as_ref()).flatten().any(|t| t.test == *ix);
    if !tests.iter().all(holds) {
        return Vec::new();
    }
    for file in files.iter_mut() {
        if let Some(of_file) = &mut file.tests {
            of_file.retain(|test| !tests.contains(&test.test));
        }
    }
    files.retain(|file| file.tests.as_ref().is_none_or(|tests| !tests.is_empty()));
    tests.to_vec()
}
