//! What a seed decides: the cluster, the tests and how they behave, and what goes wrong when.

use regatta_core::Entropy;
use regatta_core::entropy::mix;
use regatta_domain::{Outcome, RunId, WorkerId};
use std::time::Duration;

/// How long a fault waits for somebody to use the device.
pub(crate) const WAIT: Duration = Duration::from_secs(8);

/// The name of the coordinator's host.
pub(crate) const COORDINATOR: &str = "coordinator";

/// What only one test at a time may use.
pub(crate) const DEVICE: &str = "device";

/// Everything that a seed decides ahead of its story.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) swarm: Swarm,
    /// How long a lease lasts.
    pub(crate) lease: Duration,
    /// How long a commit takes at most.
    pub(crate) commit: Duration,
    pub(crate) workers: Vec<WorkerPlan>,
    pub(crate) runs: Vec<RunPlan>,
    /// What happens when, in order.
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// From here on nothing goes wrong any more.
    pub(crate) calm: Duration,
}

/// The classes of faults, and whether this seed has them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Swarm {
    /// Hosts are cut off, both ways or one way.
    pub(crate) cut: bool,
    /// What is under way is held back, and delivered later.
    pub(crate) hold: bool,
    /// Links are slow.
    pub(crate) slow: bool,
    /// Links lose segments, and with them connections.
    pub(crate) loss: bool,
    /// The coordinator dies.
    pub(crate) coordinator_dies: bool,
    /// The coordinator is restarted in order.
    pub(crate) coordinator_leaves: bool,
    /// Workers die.
    pub(crate) worker_dies: bool,
    /// Workers are asked to leave.
    pub(crate) worker_leaves: bool,
    /// Commits take long.
    pub(crate) slow_commit: bool,
    /// Tests fail and flake.
    pub(crate) bad_tests: bool,
    /// Some tests need what there is one of.
    pub(crate) scarce: bool,
}

/// A worker's host.
#[derive(Debug)]
pub(crate) struct WorkerPlan {
    pub(crate) name: String,
    pub(crate) slots: u16,
    /// Whether what it has not had acknowledged survives its process.
    pub(crate) spools: bool,
}

/// A run, and the host of the client that hands it in.
#[derive(Debug)]
pub(crate) struct RunPlan {
    pub(crate) client: String,
    pub(crate) run: RunId,
    pub(crate) submitted: Duration,
    pub(crate) files: Vec<Vec<TestPlan>>,
}

/// A test as it really is.
#[derive(Clone, Debug)]
pub(crate) struct TestPlan {
    pub(crate) name: String,
    pub(crate) takes: Duration,
    pub(crate) behaves: Behaviour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Passes,
    Fails,
    /// Fails at its first attempt.
    Flakes,
}

/// Something that happens to a host.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing passes any more between it and the coordinator.
    Cut(String, Way),
    /// Everything passes again.
    Mend(String, Way),
    /// What is sent waits.
    Hold(String),
    /// What waited is delivered.
    Release(String),
    /// Every segment takes so long.
    Slow(String, Duration),
    /// The link fails at this rate for each segment.
    Lossy(String, f64),
    /// One of these happens for so long to whoever uses the device next.
    Holder(Class, Duration),
    /// Its process is killed.
    Kill(String),
    /// Its process is asked to leave.
    Ask(String),
    /// Its process starts anew.
    Start(String),
}

/// Which way a host is cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Both,
    /// It is not heard.
    Out,
    /// It hears nothing.
    In,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A number in a range.
fn among(chance: &mut Entropy, from: u64, to: u64) -> u64 {
    from + chance.below(to - from)
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let chance = &mut Entropy::from_seed(mix(seed ^ 0x9a11_ad0c));
        let mut on = || chance.below(3) == 0;
        let mut swarm = Swarm {
            cut: on(),
            hold: on(),
            slow: on(),
            loss: on(),
            coordinator_dies: on(),
            coordinator_leaves: on(),
            worker_dies: on(),
            worker_leaves: on(),
            slow_commit: on(),
            bad_tests: on(),
            scarce: on(),
        };
        // What only one may use is of interest where somebody is cut off that uses it.
        swarm.cut |= swarm.scarce && chance.below(2) == 0;
        let lease = if chance.below(5) == 0 { ms(15_000) } else { ms(5_000) };
        let commit = if swarm.slow_commit { ms(among(chance, 50, 1_500)) } else { ms(4) };
        let workers: Vec<WorkerPlan> = (0..among(chance, 2, 5))
            .map(|at| WorkerPlan {
                name: format!("worker-{at}"),
                slots: u16::try_from(among(chance, 1, 4)).unwrap_or(1),
                spools: chance.below(2) == 0,
            })
            .collect();
        let (span, runs) = (among(chance, 5_000, 40_000), among(chance, 1, 3));
        // So much that the tests last about as long as the faults.
        let slots: u64 = workers.iter().map(|worker| u64::from(worker.slots)).sum();
        let work = ms(span * slots / runs * among(chance, 30, 100) / 100);
        let runs: Vec<RunPlan> = (0..runs).map(|at| RunPlan::draw(at, work, &swarm, chance)).collect();
        let (faults, calm) = faults(&swarm, span, lease, &workers, &runs, chance);
        Self { seed, swarm, lease, commit, workers, runs, faults, calm }
    }

    /// The run with this id.
    pub(crate) fn run(&self, run: RunId) -> Option<&RunPlan> {
        self.runs.iter().find(|plan| plan.run == run)
    }

    /// The id of a process of a worker.
    pub(crate) fn worker_id(&self, host: usize, life: u64) -> WorkerId {
        let low = mix(self.seed ^ mix(life << 8 | host as u64));
        WorkerId::from_bits(u128::from(low) << 64 | u128::from(mix(low)))
    }

    /// A source of chance for one purpose.
    pub(crate) const fn chance(&self, purpose: u64) -> Entropy {
        Entropy::from_seed(mix(self.seed ^ mix(purpose)))
    }
}

impl RunPlan {
    fn draw(at: u64, work: Duration, swarm: &Swarm, chance: &mut Entropy) -> Self {
        let mut files: Vec<Vec<TestPlan>> = Vec::new();
        while files.is_empty() || files.iter().flatten().map(|test| test.takes).sum::<Duration>() < work {
            let file = files.len() as u64;
            let tests = among(chance, 1, 30);
            files.push((0..tests).map(|test| TestPlan::draw(file, test, swarm, chance)).collect());
        }
        let run = RunId::from_bits(u128::from(chance.next()) << 64 | u128::from(chance.next()));
        Self { client: format!("client-{at}"), run, submitted: ms(among(chance, 100, 4_000)), files }
    }

    /// How many tests there are.
    pub(crate) fn tests(&self) -> usize {
        self.files.iter().map(Vec::len).sum()
    }

    /// A test by its file and name.
    pub(crate) fn test(&self, path: &str, name: &str) -> Option<&TestPlan> {
        let file: usize = path.strip_prefix("file-")?.parse().ok()?;
        self.files.get(file)?.iter().find(|test| test.name == name)
    }
}

impl TestPlan {
    fn draw(file: u64, at: u64, swarm: &Swarm, chance: &mut Entropy) -> Self {
        let behaves = match chance.below(8) {
            0 if swarm.bad_tests => Behaviour::Fails,
            1..=2 if swarm.bad_tests => Behaviour::Flakes,
            _ => Behaviour::Passes,
        };
        let is_alone = swarm.scarce && chance.below(10) == 0;
        let takes = match chance.below(10) {
            // Long enough that a lease may end meanwhile.
            0..=5 if is_alone => ms(among(chance, 3_000, 10_000)),
            0 => ms(among(chance, 1_000, 6_000)),
            1..=4 => ms(among(chance, 100, 1_500)),
            _ => ms(among(chance, 5, 200)),
        };
        let kind = if is_alone { "alone" } else { "test" };
        Self { name: format!("{kind}_{file}_{at}"), takes, behaves }
    }

    /// How an attempt ends.
    pub(crate) const fn outcome(&self, attempt: u16) -> Outcome {
        match self.behaves {
            Behaviour::Passes => Outcome::Passed,
            Behaviour::Flakes if attempt > 1 => Outcome::Passed,
            Behaviour::Fails | Behaviour::Flakes => Outcome::Failed,
        }
    }
}

/// A class of faults of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Class {
    Cut,
    Hold,
    Slow,
    Loss,
}

impl Class {
    /// How it begins on a host's link, and how it ends.
    pub(crate) fn draw(self, host: String, chance: &mut Entropy) -> (Fault, Fault) {
        match self {
            Self::Cut => {
                let way = match chance.below(4) {
                    0 => Way::Out,
                    1 => Way::In,
                    _ => Way::Both,
                };
                (Fault::Cut(host.clone(), way), Fault::Mend(host, way))
            }
            Self::Hold => (Fault::Hold(host.clone()), Fault::Release(host)),
            Self::Slow => (Fault::Slow(host.clone(), ms(among(chance, 50, 1_200))), Fault::Slow(host, ms(20))),
            Self::Loss => {
                let rate = f64::from(u32::try_from(among(chance, 1, 60)).unwrap_or(1)) / 1_000.0;
                (Fault::Lossy(host.clone(), rate), Fault::Lossy(host, 0.0))
            }
        }
    }
}

/// Draws what goes wrong, and when that is over.
fn faults(
    swarm: &Swarm,
    span: u64,
    lease: Duration,
    workers: &[WorkerPlan],
    runs: &[RunPlan],
    chance: &mut Entropy,
) -> (Vec<(Duration, Fault)>, Duration) {
    let mut faults = Vec::new();
    let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
    let classes =
        [(swarm.cut, Class::Cut), (swarm.hold, Class::Hold), (swarm.slow, Class::Slow), (swarm.loss, Class::Loss)];
    for (_, class) in classes.into_iter().filter(|(on, _)| *on) {
        for _ in 0..among(chance, 1, 6) {
            let hosts = workers.len() + runs.len();
            let host = usize::try_from(chance.below(hosts as u64)).unwrap_or(0);
            let host = workers.get(host).map_or_else(|| runs[host - workers.len()].client.clone(), |w| w.name.clone());
            let at = among(chance, 0, span);
            // Half of them are shorter than a lease; the others longer.
            let lasts = if chance.below(2) == 0 { among(chance, 50, lease) } else { among(chance, lease, 2 * lease) };
            if swarm.scarce && chance.below(2) == 0 {
                faults.push((ms(at), Fault::Holder(class, ms(lasts))));
                continue;
            }
            let (begins, ends) = class.draw(host, chance);
            faults.extend([(ms(at), begins), (ms(at + lasts), ends)]);
        }
    }
    // The processes of a host die one after another.
    let mut processes: Vec<(String, bool, bool)> =
        workers.iter().map(|worker| (worker.name.clone(), swarm.worker_dies, swarm.worker_leaves)).collect();
    processes.push((COORDINATOR.to_owned(), swarm.coordinator_dies, swarm.coordinator_leaves));
    for (host, dies, leaves) in processes {
        let mut at = among(chance, 500, span);
        while at < span && (dies || leaves) {
            let gone = if chance.below(3) == 0 { among(chance, 10, 2 * lease) } else { among(chance, 10, 1_500) };
            let is_asked = leaves && (!dies || chance.below(2) == 0);
            faults.push((ms(at), if is_asked { Fault::Ask(host.clone()) } else { Fault::Kill(host.clone()) }));
            // One that is asked has a moment to leave in order, and is killed where it does not.
            let gone = if is_asked { gone + 500 } else { gone };
            faults.push((ms(at + gone), Fault::Start(host.clone())));
            at += gone + among(chance, 500, span);
        }
    }
    faults.sort_by_key(|(at, _)| *at);
    let over =
        |(at, fault): &(Duration, Fault)| if let Fault::Holder(_, lasts) = fault { *at + WAIT + *lasts } else { *at };
    let calm = faults.iter().map(over).max().unwrap_or_default();
    (faults, calm)
}
