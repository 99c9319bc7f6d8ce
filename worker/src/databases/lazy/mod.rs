//! Databases that are leased on first use: an attempt is handed ports of this worker, and the lease is taken when somebody comes
//! in by one of them. An attempt that connects to nothing has cost nothing.
//!
//! - [`Ports`] are what an attempt is handed: open until it has ended, and then closed with whatever is left of its sessions.
//! - `gate` is one port: `greeting` hears who is there, `server` opens the session behind it, `relay` carries it; `message` and
//!   `frames` are the protocol, as far as it has to be read.
//! - `lease` is waited for by all who connect; `address` reads what the coordinator hands out, and writes what the test is told.
//! - `seen` is what goes by.
//!
//! What was decided:
//!
//! - *Names.* The address is told before there is a lease, so role, password and database in it are the port's. Behind it they are
//!   those of the lease, and nothing pretends otherwise: `current_database()` and `current_user` say the lease's. Only the start
//!   of a session is changed: the port's own names there become the lease's; every other name goes on as it is, so that a test
//!   with the right to make databases and roles enters those, too.
//! - *Who may.* The port asks for its password in clear text: all drivers speak it, and nobody listens on a loopback but the
//!   superuser. Nothing is asked of the coordinator or the server for anybody without it.
//! - *Waiting.* A connection waits until the coordinator has handed out a lease, for as long as the test and its driver do. Who
//!   leaves before, or finds the server away, is not to blame: the databases count as lost, as they do when a server dies.
//!   What is measured of a test has the waiting in it, since nobody but the driver knows when it goes on.
//! - *What is seen* goes back with the lease: heads of statements, codes of errors, what became of transactions that changed
//!   something. Rows are passed over by their length. It is told of every lease; where the server knows better, it counts for nothing.
//! - *The end.* Nothing more is let in, the databases are given back while what is left of the sessions goes on, so that the
//!   server tells of a session that was left behind, and then those are cut.
//!
//! It leaves to the coordinator what a database is, and to judge what was seen. The invariant: a lease that was taken is given
//! back once, when its ports are closed; or the coordinator takes it back with the lease of the shard.

mod address;
mod frames;
mod gate;
mod greeting;
mod lease;
mod limits;
mod message;
mod relay;
mod seen;
mod server;

use super::claim::{Claim, Patience, Urge, until_stopped};
use super::{Answer, ask, give_back_with};
use crate::runner::{Brief, Place, Sink};
use address::Address;
use gate::Gate;
use lease::{Lease, State};
use regatta_domain::Level;
use regatta_domain::database::{Observation, Per, PlannedDatabase, Traffic};
use regatta_domain::evidence::{Evidence, Sources};
use regatta_domain::result::{RunError, RunErrorKind};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Whether what `claim` asks for is leased on first use.
pub(crate) fn is_lazy(databases: &[PlannedDatabase], claim: &Claim) -> bool {
    let mut wanted = wanted(databases, claim).peekable();
    wanted.peek().is_some() && wanted.all(|database| database.lazy)
}

/// What `claim` asks for.
fn wanted<'a>(databases: &'a [PlannedDatabase], claim: &Claim) -> impl Iterator<Item = &'a PlannedDatabase> {
    let per = if claim.test.is_some() { Per::Test } else { Per::Shard };
    databases.iter().filter(move |database| database.per == per)
}

/// The ports of an attempt. Where they are dropped, they are closed, and the lease is left to the coordinator.
#[derive(Debug)]
pub(crate) struct Ports {
    /// What the test is told.
    variables: Vec<(String, String)>,
    urge: watch::Sender<Urge>,
    serving: JoinHandle<Closed>,
}

/// What became of ports, and of what was behind them.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// What was seen; `None` where the lease of the shard is over.
    pub(crate) observation: Option<Observation>,
    /// There are no databases for this shard, and will be none. `None` within where there is nothing to be told of.
    pub(crate) refused: Option<Option<RunError>>,
}

impl Ports {
    /// Opens those of what `claim` asks for.
    ///
    /// # Errors
    /// When the system has no port, or no chance, to give.
    pub(crate) fn open(brief: &Arc<Brief>, place: &Arc<Place>, sink: &Sink, claim: Claim) -> io::Result<Self> {
        let lease = Arc::new(Lease::new());
        let opened: io::Result<Vec<_>> =
            wanted(&brief.suite.databases, &claim).map(|database| Gate::open(&database.resource, &lease)).collect();
        let opened = opened?;
        let told: Vec<(&str, u16, &str)> =
            opened.iter().map(|(gate, _)| (gate.resource.as_str(), gate.port, gate.password.as_str())).collect();
        let variables = address::variables(brief.run, claim, &told);
        let urge = watch::Sender::new(Urge::None);
        let (brief, place, sink) = (Arc::clone(brief), Arc::clone(place), sink.clone());
        let serving = tokio::spawn(serve(Behind { brief, place, sink, claim, lease }, opened, urge.subscribe()));
        Ok(Self { variables, urge, serving })
    }

    /// What the test is told.
    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Closes them, gives back what was leased, and says what was seen.
    pub(crate) async fn close(mut self, mut patience: Patience) -> Closed {
        self.urge.send_replace(Urge::BeginNothing);
        let closed = tokio::select! {
            biased;
            closed = &mut self.serving => closed,
            () = async { drop(patience.wait_for(|urge| *urge == Urge::Stop).await) } => {
                self.urge.send_replace(Urge::Stop);
                (&mut self.serving).await
            }
        };
        closed.unwrap_or_else(|panic| {
            tracing::error!(%panic, "the ports of an attempt did not end well");
            Closed::default()
        })
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// What is behind the ports of an attempt.
struct Behind {
    brief: Arc<Brief>,
    place: Arc<Place>,
    sink: Sink,
    claim: Claim,
    lease: Arc<Lease>,
}

/// Serves the ports of an attempt until they are to be closed.
async fn serve(behind: Behind, opened: Vec<(Arc<Gate>, TcpListener)>, urge: Patience) -> Closed {
    let gates: Vec<Arc<Gate>> = opened.iter().map(|(gate, _)| Arc::clone(gate)).collect();
    let mut attending = JoinSet::new();
    for (gate, listener) in opened {
        attending.spawn(gate.attend(listener, urge.clone()));
    }
    let asked = behind.ask(urge.clone()).await;
    // From here on nobody is let in any more.
    let mut inside = attending.join_all().await;
    let still = async {
        for inside in &mut inside {
            while inside.join_next().await.is_some() {}
        }
    };
    let _some_stay = tokio::time::timeout(limits::LEAVE, still).await;
    let traffic: Vec<Traffic> = gates.iter().map(|gate| gate.book.read().traffic(&gate.resource)).collect();
    let closed = behind.give_back(asked, &traffic, urge).await;
    for inside in &mut inside {
        inside.shutdown().await;
    }
    closed
}

impl Behind {
    /// Asks for the lease once somebody wants it, and tells those who wait. Comes back when the ports are to be closed; `None`
    /// where nobody came.
    async fn ask(&self, mut urge: Patience) -> Option<Answer> {
        let Self { brief, place, sink, claim, lease } = self;
        let comes = tokio::select! {
            biased;
            () = lease.wanted() => true,
            () = until_stopped(&mut urge) => false,
        };
        if !comes {
            return None;
        }
        // It sees to its end what it began, also where nobody waits any more.
        let answer = ask(brief, place, sink, *claim, urge.clone(), || true).await;
        lease.settle(match &answer {
            Answer::Handed(variables) => self.read(variables),
            Answer::Refused(Some(error)) => State::Refused(error.message.to_string()),
            Answer::Refused(None) | Answer::Dropped => State::Refused("its shard has ended".to_owned()),
        });
        until_stopped(&mut urge).await;
        Some(answer)
    }

    /// The addresses among what was handed out.
    fn read(&self, variables: &[(String, String)]) -> State {
        let mut addresses = BTreeMap::new();
        for PlannedDatabase { resource, .. } in wanted(&self.brief.suite.databases, &self.claim) {
            let name = address::variable(resource);
            let url = variables.iter().find(|(known, _)| *known == name).map(|(_, url)| url.as_str());
            match url.and_then(Address::parse) {
                Some(address) => drop(addresses.insert(resource.to_string(), address)),
                None => return State::Refused(not_postgres(resource)),
            }
        }
        State::Taken(Arc::new(addresses))
    }

    /// Gives back what was leased, and says what was seen.
    async fn give_back(&self, asked: Option<Answer>, traffic: &[Traffic], urge: Patience) -> Closed {
        let leased = self.claim.level;
        let mut closed = Closed::default();
        let observation = match asked {
            None => Some(nothing(leased)),
            Some(Answer::Handed(_)) => {
                if let State::Refused(message) = self.lease.state() {
                    let place = self.brief.suite.name.clone();
                    let error = RunError { kind: RunErrorKind::Infrastructure, place, message: message.into() };
                    closed.refused = Some(Some(error));
                }
                give_back_with(&*self.place.databases, self.claim, traffic, urge).await
            }
            Some(Answer::Dropped) => Some(lost(leased)),
            Some(Answer::Refused(error)) => {
                let over = error.is_none();
                closed.refused = Some(error);
                (!over).then(|| lost(leased))
            }
        };
        let in_vain = self.lease.disappointed() || closed.refused.is_some();
        closed.observation = observation.map(|seen| Observation { lost: seen.lost || in_vain, ..seen });
        closed
    }
}

/// What is seen of whoever connected to nothing. Nothing can be surer: there was nothing to connect to but the ports.
fn nothing(leased: Level) -> Observation {
    let sources = Sources { wal: true, statements: true, counters: true, log: true };
    Observation {
        evidence: Evidence { sources, ..Evidence::default() }.code(),
        ..Observation::new(leased, Level::None)
    }
}

/// What is told of whoever wanted a database and got none.
fn lost(leased: Level) -> Observation {
    let notes = vec!["it waited for a database until it ended, or was refused one".into()];
    Observation { lost: true, notes, ..Observation::new(leased, Level::None) }
}

fn not_postgres(resource: &str) -> String {
    format!(
        "`{resource}` is no PostgreSQL server, and only databases of those are leased on first use: leave out `lazy`"
    )
}
