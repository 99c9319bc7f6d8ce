//! The search for the one that leads: everybody is asked in turn, first the one that led last, and at once whom a standby names.
//!
//! One that takes its time does not hold up the others, so a machine that is gone costs a fraction of a second.

use super::ask::{Answer, ask};
use super::network::Network;
use super::{Address, Addresses};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the next one waits for the answer of the one before.
const HEAD_START: Duration = Duration::from_millis(200);

/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(5);

/// Candidates that are asked in one search: names with many addresses are cut there, and a ring of standbys that name each other ends.
const MOST: usize = 64;

/// One search.
pub(super) struct Search {
    network: Arc<dyn Network>,
    /// Named by standbys: asked first.
    named: Vec<Address>,
    /// Not resolved yet, in the order in which they are asked.
    names: VecDeque<Address>,
    next: VecDeque<(Address, SocketAddr)>,
    asked: BTreeSet<SocketAddr>,
    asking: JoinSet<(Address, SocketAddr, Answer)>,
    heard: Nobody,
}

/// The one that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// As it was given, or as a standby named it.
    pub address: Address,
    pub(super) at: SocketAddr,
    /// Since when it leads, where its store is shared; 0 where it is not.
    pub epoch: u64,
}

/// Nobody leads, as far as can be told: what each said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nobody {
    said: Vec<String>,
    standbys: usize,
    /// Whether one said that nobody can: their database is away.
    away: bool,
}

impl Nobody {
    /// Nobody, since the one that led takes no connection.
    pub(super) fn of(leader: &Address, why: &str) -> Self {
        Self { said: vec![format!("{leader}: {why}")], standbys: 0, away: false }
    }

    /// Whether there is a coordinator that stands by: one will lead in a moment.
    #[must_use]
    pub const fn somebody_stands_by(&self) -> bool {
        self.standbys > 0
    }

    /// Whether nobody can lead, since the database is away that they share.
    #[must_use]
    pub const fn lacks_its_store(&self) -> bool {
        self.away
    }
}

impl fmt::Display for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said.join("; "))
    }
}

impl std::error::Error for Nobody {}

impl Search {
    pub(super) fn among(network: Arc<dyn Network>, addresses: &Addresses, led: Option<Address>) -> Self {
        let rest = addresses.iter().filter(|address| Some(*address) != led.as_ref()).cloned();
        let names = led.iter().cloned().chain(rest).collect();
        let (named, next, asked) = (Vec::new(), VecDeque::new(), BTreeSet::new());
        Self { network, named, names, next, asked, asking: JoinSet::new(), heard: Nobody::default() }
    }

    /// Where the one is that leads.
    pub(super) async fn run(mut self) -> Result<Leader, Nobody> {
        loop {
            let more = self.ask_next().await;
            tokio::select! {
                Some(answered) = self.asking.join_next() => {
                    // One that panicked has said nothing, and its candidate is asked no more.
                    let Ok((address, at, answer)) = answered else { continue };
                    match answer {
                        Answer::Leads(epoch) => return Ok(Leader { address, at, epoch }),
                        Answer::Follows(leader) => self.follow(&address, leader),
                        // It leads again once that is back, unless another one does.
                        Answer::Without(why) => {
                            (self.heard.standbys, self.heard.away) = (self.heard.standbys + 1, true);
                            self.heard.said.push(format!("{address} waits for its store: {why}"));
                        }
                        Answer::Failed(why) => self.hear(&address, at, &why),
                    }
                }
                () = sleep(HEAD_START), if more => {}
                else => return Err(self.heard),
            }
        }
    }

    /// Asks the next candidate. `false` when there is none.
    async fn ask_next(&mut self) -> bool {
        while self.asked.len() < MOST {
            if let Some(leader) = self.named.pop() {
                for found in self.resolve(leader).await {
                    self.next.push_front(found);
                }
            }
            if let Some((address, at)) = self.next.pop_front() {
                if self.asked.insert(at) {
                    let network = Arc::clone(&self.network);
                    self.asking.spawn(async move { (address, at, ask(&*network, at).await) });
                    return true;
                }
            } else if let Some(address) = self.names.pop_front() {
                let found = self.resolve(address).await;
                self.next.extend(found);
            } else {
                return false;
            }
        }
        false
    }

    async fn resolve(&mut self, address: Address) -> Vec<(Address, SocketAddr)> {
        match timeout(RESOLVE, self.network.resolve(address.host(), address.port())).await {
            Ok(Ok(found)) => return found.into_iter().map(|at| (address.clone(), at)).collect(),
            Ok(Err(error)) => self.heard.said.push(format!("{address}: the name cannot be resolved: {error}")),
            Err(_) => self.heard.said.push(format!("{address}: the name was not resolved in {} s", RESOLVE.as_secs())),
        }
        Vec::new()
    }

    fn follow(&mut self, standby: &Address, leader: Option<String>) {
        self.heard.standbys += 1;
        match leader.map(|leader| leader.parse::<Address>()) {
            Some(Ok(leader)) => {
                self.heard.said.push(format!("{standby} stands by for {leader}"));
                self.named.push(leader);
            }
            Some(Err(malformed)) => {
                self.heard.said.push(format!("{standby} stands by, and names a leader: {malformed}"))
            }
            None => self.heard.said.push(format!("{standby} stands by, and knows of no leader")),
        }
    }

    fn hear(&mut self, address: &Address, at: SocketAddr, why: &str) {
        let named = at.ip().to_string() == address.host();
        self.heard.said.push(if named { format!("{address}: {why}") } else { format!("{address} ({at}): {why}") });
    }
}
