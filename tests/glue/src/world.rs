//! The world of one seed: hosts, the network between them, and what goes wrong, on a virtual clock in one thread.

use crate::journal::Disk;
use crate::plan::{COORDINATOR, Fault, Plan, WAIT, Way};
use crate::record::Shared;
use crate::story::Story;
use crate::tap::Tap;
use crate::worker::Levers;
use crate::{client, coordinator, worker};
use mad_turmoil::time::SimClocksGuard;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use regatta_runtime::shutdown::{Asked, Urgency};
use regatta_runtime::threads;
use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use turmoil::Sim;

/// How far the clock goes at once.
const TICK: Duration = Duration::from_millis(5);

/// How far links are, when nothing is wrong.
const NEAR: Duration = Duration::from_millis(20);

/// What a client needs beyond the end of its run to hear of it: a connection that is found dead, and a wait before the next one.
const HEAR: Duration = Duration::from_secs(20);

/// How a seed ended that broke nothing.
pub(crate) struct End {
    trace: u64,
    span: Duration,
    commits: u64,
    begun: usize,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, commits, begun } = self;
        write!(f, "ok trace={trace:016x} us={} commits={commits} begun={begun}", span.as_micros())
    }
}

/// Plays a seed. Only one in a process: what the process begins with is part of the story.
///
/// # Errors
/// What was broken first.
pub(crate) fn play(seed: u64, tells: bool, logs: bool) -> Result<End, String> {
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    let _clocks = SimClocksGuard::init();
    threads::use_one();
    let story = Story::new(tells);
    let panicked = story.clone();
    std::panic::set_hook(Box::new(move |panic| {
        println!("broke: {panic}");
        panicked.broke("somebody panicked");
    }));
    if logs {
        tracing_subscriber::fmt().without_time().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).init();
    }
    let plan = Arc::new(Plan::draw(seed));
    if tells {
        println!("{plan:#?}");
    }
    let directory = tempfile::Builder::new().prefix("regatta-glue-").tempdir_in(fast());
    let directory = directory.map_err(|error| format!("no directory: {error}"))?;
    let record = Shared::new(&plan, &story);
    let mut world = World::new(plan, story, record, directory.path().to_owned());
    world.run()
}

/// Where files are in memory, if there is such a place.
fn fast() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

struct World {
    sim: Sim<'static>,
    plan: Arc<Plan>,
    story: Story,
    record: Shared,
    levers: Levers,
    done: Arc<AtomicUsize>,
}

impl World {
    fn new(plan: Arc<Plan>, story: Story, record: Shared, directory: PathBuf) -> Self {
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .simulation_duration(Duration::from_secs(1 << 20))
            .tick_duration(TICK)
            .min_message_latency(Duration::from_micros(200))
            .max_message_latency(NEAR)
            .repair_rate(0.05)
            .tcp_capacity(4_096)
            .enable_random_order()
            .build();
        let levers = Levers::default();
        let done = Arc::new(AtomicUsize::new(0));
        let host = Arc::new(coordinator::Host {
            plan: Arc::clone(&plan),
            story: story.clone(),
            disk: Disk::new(&record),
            levers: Arc::clone(&levers),
            directory: directory.join(COORDINATOR),
            lives: AtomicU64::new(0),
        });
        sim.host(COORDINATOR, move || coordinator::coordinate(Arc::clone(&host)));
        for (at, planned) in plan.workers.iter().enumerate() {
            let host = Arc::new(worker::Host {
                at,
                plan: Arc::clone(&plan),
                story: story.clone(),
                record: record.clone(),
                tap: Tap::new(&planned.name, &story, &record),
                levers: Arc::clone(&levers),
                directory: directory.join(&planned.name),
                lives: AtomicU64::new(0),
            });
            sim.host(planned.name.clone(), move || worker::work(Arc::clone(&host)));
        }
        for (at, planned) in plan.runs.iter().enumerate() {
            let host = Arc::new(client::Host {
                at,
                plan: Arc::clone(&plan),
                story: story.clone(),
                record: record.clone(),
                done: Arc::clone(&done),
            });
            sim.host(planned.client.clone(), move || client::follow(Arc::clone(&host)));
        }
        Self { sim, plan, story, record, levers, done }
    }

    fn run(&mut self) -> Result<End, String> {
        let mut faults: VecDeque<(Duration, Fault)> = self.plan.faults.clone().into();
        let mut chance = self.plan.chance(0xfa7e);
        // By when everything has to be over; known when nothing goes wrong any more.
        let mut ends: Option<Duration> = None;
        while self.done.load(Ordering::Relaxed) < self.plan.runs.len() {
            let now = self.sim.elapsed();
            self.story.tick(now);
            let mut waiting = Vec::new();
            while faults.front().is_some_and(|(at, _)| *at <= now)
                && let Some((at, fault)) = faults.pop_front()
            {
                if let Fault::Holder(class, lasts) = fault {
                    let Some(host) = self.record.lock().holder() else {
                        if now < at + WAIT {
                            waiting.push((at, Fault::Holder(class, lasts)));
                        }
                        continue;
                    };
                    let (begins, ends) = class.draw(host, &mut chance);
                    let until = faults.partition_point(|(at, _)| *at <= now + lasts);
                    faults.insert(until, (now + lasts, ends));
                    faults.push_front((now, begins));
                    continue;
                }
                self.story.tell("fate", format_args!("{fault:?}"));
                self.befall(&fault);
            }
            waiting.into_iter().rev().for_each(|fault| faults.push_front(fault));
            self.sim.step().map_err(|error| format!("a host failed: {error} (at {:.3} s)", now.as_secs_f64()))?;
            if let Some(broken) = self.story.broken() {
                return Err(broken);
            }
            let from = self.plan.runs.iter().map(|run| run.submitted).max().unwrap_or_default().max(self.plan.calm);
            if faults.is_empty() && now >= from {
                let ends = *ends.get_or_insert_with(|| {
                    let left = self.record.lock().left();
                    self.story.tell("fate", format_args!("is calm; {left:?} of work is left"));
                    now + left + 3 * self.plan.lease
                });
                self.is_in_time(now, ends)?;
            }
        }
        self.record.lock().judge();
        let record = self.record.lock();
        let (commits, begun) = (record.commits(), record.begun());
        let end = End { trace: self.story.trace(), span: self.sim.elapsed(), commits, begun };
        self.story.broken().map_or(Ok(end), Err)
    }

    /// Whether what had to be over is.
    fn is_in_time(&self, now: Duration, ends: Duration) -> Result<(), String> {
        let record = self.record.lock();
        let late = self.plan.runs.iter().find(|run| record.ended(run.run).is_none());
        match late {
            Some(run) if now > ends => Err(format!("run {} has not ended by {ends:?}", run.run)),
            None if now > ends + HEAR => Err(format!("a client does not hear of the end of its run by {now:?}")),
            _ => Ok(()),
        }
    }

    fn befall(&mut self, fault: &Fault) {
        let sim = &mut self.sim;
        match fault {
            Fault::Cut(host, Way::Both) => sim.partition(&**host, COORDINATOR),
            Fault::Cut(host, Way::Out) => sim.partition_oneway(&**host, COORDINATOR),
            Fault::Cut(host, Way::In) => sim.partition_oneway(COORDINATOR, &**host),
            Fault::Mend(host, Way::Both) => sim.repair(&**host, COORDINATOR),
            Fault::Mend(host, Way::Out) => sim.repair_oneway(&**host, COORDINATOR),
            Fault::Mend(host, Way::In) => sim.repair_oneway(COORDINATOR, &**host),
            Fault::Hold(host) => sim.hold(&**host, COORDINATOR),
            Fault::Release(host) => sim.release(&**host, COORDINATOR),
            Fault::Slow(host, latency) => sim.set_link_max_message_latency(&**host, COORDINATOR, *latency),
            Fault::Lossy(host, rate) => {
                sim.set_link_fail_rate(&**host, COORDINATOR, *rate);
                if *rate == 0.0 {
                    sim.repair(&**host, COORDINATOR);
                }
            }
            // It was made another one when it came.
            Fault::Holder(..) => {}
            Fault::Kill(host) => sim.crash(&**host),
            Fault::Ask(host) => {
                let levers = self.levers.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(lever) = levers.get(host) {
                    // Its process may have been killed.
                    let _gone = lever.send(Asked { urgency: Urgency::Gentle, signal: 15 });
                }
            }
            Fault::Start(host) => sim.bounce(&**host),
        }
    }
}
