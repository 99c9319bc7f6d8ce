//! What goes before each attempt of a test, and what comes after it, whatever the framework: its databases, its variables,
//! its clean-up, its result.
//!
//! - [`ledger`] knows what was asked for, and says what is to be asked for next.
//! - [`after`] is what happens when an attempt has ended: clean-up, the way back of its databases, and then its result.
//!
//! It leaves running to the runners, and asking to `databases`. The invariant: what was handed out is given back once, after
//! everything that could use it is gone and before the end of the shard is told; or the coordinator takes it back with the
//! lease.

mod after;
mod ledger;

pub(super) use ledger::Standing;

use super::{Brief, Finished, Place, Shard, Sink, Tell, TestWork, Work, exports, holdings};
use crate::databases::{self, Answer, Claim, Ports, Urge, is_lazy};
use crate::process::Command;
use ledger::{Ledger, Variables};
use regatta_domain::database::Per;
use regatta_domain::result::{RunError, RunErrorKind};
use regatta_domain::{Level, TestIx, Token};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Attempts that have ended and are not tidied up yet, at most: giving back takes a tenth of a second at worst, and a slot
/// that runs ahead of it any further would only hide that the server is too slow.
const BEHIND: usize = 4;

/// Where registries are, in the slot's scratch directory. It stays: a host that lasts may write there between two shards.
pub(super) const REGISTRIES: &str = "cleanup";

/// The attempts of a shard. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Attempts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    brief: Arc<Brief>,
    place: Arc<Place>,
    sink: Sink,
    /// What every test of the shard is told of it.
    shard: Vec<(String, String)>,
    /// It holds something that only one shard has at a time: nothing of it may outlive the shard.
    exclusive: bool,
    /// Whether each attempt has databases of its own, and whether all tests share some.
    owns: bool,
    shares: bool,
    /// What the number of an attempt is put behind, for its namespace and its registry.
    namespace: String,
    registries: PathBuf,
    state: Mutex<State>,
    changed: Notify,
    urge: watch::Sender<Urge>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    /// The number of the last attempt.
    number: u64,
    /// Attempts that were prepared and have not ended.
    open: BTreeMap<u64, Open>,
    /// Attempts that are being tidied up, and those of them whose clean-up is not done.
    behind: usize,
    cleaning: usize,
    /// The last result of a test that used the shard's databases, where it may be the one that is told what was seen of them.
    last: Option<Finished>,
    /// The ports of what is leased on first use, by test; `None` for the shard.
    ports: BTreeMap<Option<TestIx>, Ports>,
    tasks: JoinSet<()>,
}

/// What is known of an attempt until it has ended.
#[derive(Clone, Debug, Default)]
struct Open {
    own: Option<TestIx>,
    variables: Vec<(String, String)>,
}

/// An attempt that may begin: of one test, or of several that one process runs.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its number in the shard, from 1.
    pub(super) number: u64,
    /// Those of its tests that use the databases of the shard.
    pub(super) sharing: Vec<TestIx>,
}

impl Attempts {
    /// Those of `shard`.
    ///
    /// # Errors
    /// When its resources cannot be told of.
    pub(super) fn of(brief: &Arc<Brief>, place: &Arc<Place>, shard: &Shard, sink: &Sink) -> Result<Self, RunError> {
        let told = holdings::variables(shard.token, &shard.holds).map_err(|wrong| RunError {
            kind: RunErrorKind::Runner,
            place: brief.suite.name.clone(),
            message: wrong.into(),
        })?;
        let databases = &brief.suite.databases;
        let has = |per: Per| databases.iter().any(|database| database.per == per);
        // Seats of a database server are held by every shard, and what was handed out of it is given back by itself.
        let exclusive = shard.holds.iter().any(|hold| databases.iter().all(|known| known.resource != hold.resource));
        let mut ledger = Ledger::new(shard.token, has(Per::Test), has(Per::Shard));
        if let Work::Files(files) = &shard.work {
            ledger.expect(files.iter().filter_map(|file| file.tests.as_ref()).flatten());
        }
        let state = State {
            ledger,
            number: 0,
            open: BTreeMap::new(),
            behind: 0,
            cleaning: 0,
            last: None,
            ports: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        Ok(Self(Arc::new(Shared {
            brief: Arc::clone(brief),
            place: Arc::clone(place),
            sink: sink.clone(),
            shard: told,
            exclusive,
            owns: has(Per::Test),
            shares: has(Per::Shard),
            namespace: namespace(brief, place, shard.token),
            registries: place.scratch.join(REGISTRIES),
            state: Mutex::new(state),
            changed: Notify::new(),
            urge: watch::Sender::new(Urge::None),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something came, or was refused, or is done: what waits may look again. For one who waits at a time.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Whether nothing that the shard sets up may be there before it, or stay after it.
    pub(super) fn is_apart(&self) -> bool {
        self.0.exclusive
    }

    /// Whether its tests share databases.
    pub(super) fn shares(&self) -> bool {
        self.0.shares
    }

    /// Whether a test uses the databases that all tests of the shard share.
    pub(super) fn is_shared(&self, test: &TestWork) -> bool {
        self.0.shares && test.level > Level::None
    }

    /// How often the shard's databases were handed out: processes from before do not know them.
    pub(super) fn generation(&self) -> u32 {
        self.state().ledger.generation()
    }

    /// Takes note of tests that came with the answer to a listing.
    pub(super) fn expect(&self, tests: &[TestWork]) {
        self.state().ledger.expect(tests);
    }

    /// How it stands with `test`; asks for what it needs where that may be asked for now.
    pub(super) fn seek(&self, test: &TestWork) -> Standing {
        let mut state = self.state();
        let (mut standing, claims) = state.ledger.seek(test);
        for claim in claims {
            if is_lazy(&self.0.brief.suite.databases, &claim) && self.open_ports(&mut state, claim) {
                // What is leased on first use is there at once.
                (standing, _) = state.ledger.seek(test);
                continue;
            }
            let of = self.clone();
            state.spawn(async move { of.ask(claim).await });
        }
        // What only one may have at a time is tidied up by one before the next has it.
        let untidy = state.behind >= BEHIND || (self.0.exclusive && state.cleaning > 0);
        if standing == Standing::Ready && untidy { Standing::Waiting } else { standing }
    }

    /// Whether `test` can go with others that are to begin in one process now.
    pub(super) fn joins(&self, test: &TestWork) -> bool {
        !self.is_own(test) && self.seek(test) == Standing::Ready
    }

    /// Whether `test` has databases of its own, and so a process.
    pub(super) fn is_own(&self, test: &TestWork) -> bool {
        self.0.owns && test.level > Level::None
    }

    /// These tests were given back: what they were handed goes back too.
    pub(super) fn forget(&self, tests: &[TestIx]) {
        let mut state = self.state();
        let claims = state.ledger.forget(tests);
        self.give_back_meanwhile(&mut state, claims);
    }

    /// Of the tests that have not begun, only those are left for which `is_kept`: what the others were handed goes back. A test
    /// may vanish when its file is listed anew.
    pub(super) fn forget_but(&self, is_kept: impl Fn(TestIx) -> bool) {
        let mut state = self.state();
        let open: Vec<TestIx> = state.open.values().filter_map(|open| open.own).collect();
        let claims = state.ledger.forget_but(|test| open.contains(&test) || is_kept(test));
        self.give_back_meanwhile(&mut state, claims);
    }

    fn give_back_meanwhile(&self, state: &mut State, claims: Vec<Claim>) {
        for claim in claims {
            let of = self.clone();
            state.spawn(async move {
                of.give_back(claim).await;
            });
        }
    }

    /// Hands `claim` ports behind which nothing is leased yet. `false` where the system has none: then it is asked for ahead.
    fn open_ports(&self, state: &mut State, claim: Claim) -> bool {
        let Shared { brief, place, sink, .. } = &*self.0;
        match Ports::open(brief, place, sink, claim) {
            Ok(ports) => {
                state.ledger.handed(&claim, ports.variables().into());
                state.ports.insert(claim.test, ports);
                true
            }
            Err(error) => {
                tracing::warn!(?claim, %error, "a port for databases could not be opened: they are leased ahead");
                false
            }
        }
    }

    async fn ask(self, claim: Claim) {
        let Shared { brief, place, sink, urge, .. } = &*self.0;
        let wanted = || self.state().ledger.is_wanted(&claim);
        let answer = databases::ask(brief, place, sink, claim, urge.subscribe(), wanted).await;
        match answer {
            Answer::Handed(variables) => {
                if !self.state().ledger.handed(&claim, variables.into()) {
                    self.give_back(claim).await;
                }
            }
            Answer::Dropped => self.state().ledger.dropped(&claim),
            Answer::Refused(error) => {
                self.state().ledger.dropped(&claim);
                self.refuse(error).await;
            }
        }
        self.0.changed.notify_one();
    }

    /// There are no databases for this shard: nothing that needs them is begun any more, and why is told once.
    async fn refuse(&self, error: Option<RunError>) {
        let is_news = self.state().ledger.refuse();
        if let Some(error) = error.filter(|_| is_news) {
            self.0.sink.tell(Tell::Error { file: None, error }).await;
        }
    }

    /// Begins an attempt of `tests`, which are ready.
    pub(super) fn prepare(&self, tests: &[TestWork]) -> Prepared {
        let mut state = self.state();
        state.number += 1;
        let number = state.number;
        let sharing: Vec<TestIx> =
            tests.iter().filter(|test| state.ledger.is_shared(test)).map(|test| test.test).collect();
        let own = tests.iter().find(|test| state.ledger.is_own(test)).map(|test| test.test);
        let mut variables = Vec::new();
        let mut told =
            |handed: Option<Variables>| variables.extend(handed.iter().flat_map(|told| told.iter().cloned()));
        if !sharing.is_empty() {
            told(state.ledger.variables(None));
        }
        if own.is_some() {
            told(state.ledger.variables(own));
        }
        state.open.insert(number, Open { own, variables });
        Prepared { number, sharing }
    }

    /// What an attempt is told beside what is the same for all of a slot.
    pub(super) fn variables(&self, prepared: &Prepared) -> Vec<(OsString, OsString)> {
        let told = self.state().open.get(&prepared.number).map(|open| open.variables.clone()).unwrap_or_default();
        self.all_variables(prepared.number, told)
    }

    fn all_variables(&self, number: u64, told: Vec<(String, String)>) -> Vec<(OsString, OsString)> {
        // Where it cannot be made, whoever wants to write there says so.
        let _shows_when_it_is_used = std::fs::create_dir_all(&self.0.registries);
        let own = [
            ("REGATTA_NAMESPACE".to_owned(), format!("{}{number}", self.0.namespace)),
            ("REGATTA_CLEANUP".to_owned(), self.registry(number).display().to_string()),
        ];
        let all = self.0.shard.iter().cloned().chain(own).chain(told);
        all.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// What a process that lasts for many attempts is told of the shard: see [`Stems`].
    pub(super) fn stems(&self) -> Stems {
        let _shows_when_it_is_used = std::fs::create_dir_all(&self.0.registries);
        let mut env = self.0.shard.clone();
        env.extend(self.state().ledger.variables(None).iter().flat_map(|told| told.iter().cloned()));
        let cleanup = format!("{}/{}-", self.0.registries.display(), self.0.sink.token);
        Stems { env, namespace: self.0.namespace.clone(), cleanup }
    }

    /// What an attempt in such a process is told by itself: of databases of its own.
    pub(super) fn own_variables(&self, prepared: &Prepared) -> Vec<(String, String)> {
        let state = self.state();
        let own = state.open.get(&prepared.number).and_then(|open| open.own);
        own.and_then(|test| state.ledger.variables(Some(test))).map(|told| told.to_vec()).unwrap_or_default()
    }

    fn registry(&self, number: u64) -> PathBuf {
        self.0.registries.join(format!("{}-{number}", self.0.sink.token))
    }

    /// How a clean-up of the attempt is started: where and as the suite's commands are.
    fn pattern(&self, number: u64, open: &Open) -> Command {
        let mut env = exports::of_slot(&self.0.brief, &self.0.place);
        env.extend(self.all_variables(number, open.variables.clone()));
        let cwd = Path::new(&*self.0.brief.suite.root).to_owned();
        Command { cwd, env, ..Command::default() }
    }

    /// From now on nothing more is waited for than a short while.
    pub(super) fn hurry(&self) {
        self.0.urge.send_replace(Urge::Stop);
    }
}

impl State {
    /// Begins something that is waited for when the shard ends.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(task);
    }
}

/// What a process that lasts for many attempts of a shard needs to tell them apart.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Stems {
    /// What all of them are told.
    pub(super) env: Vec<(String, String)>,
    /// The number of an attempt, put behind it, makes its namespace; 0 for what belongs to no attempt.
    pub(super) namespace: String,
    /// The number of an attempt, put behind it, makes the path of its registry.
    pub(super) cleanup: String,
}

/// A prefix of names that nobody else uses, to be followed by the number of an attempt: a letter, 55 bits that stand for the
/// run, the slot and the lease, and a line. With seven digits it has 20 characters, which leaves room in every system's names.
fn namespace(brief: &Brief, place: &Place, token: Token) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut hasher = blake3::Hasher::new();
    hasher.update(brief.run.to_string().as_bytes());
    hasher.update(place.worker.to_string().as_bytes());
    hasher.update(&place.slot.0.to_le_bytes());
    hasher.update(&token.0.to_le_bytes());
    let digits = hasher.finalize().as_bytes()[..11]
        .iter()
        .map(|byte| char::from(DIGITS[usize::from(byte % 32)]))
        .collect::<String>();
    format!("r{digits}_")
}
