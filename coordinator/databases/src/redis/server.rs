//! Servers as tests get them: one of their own, or one that all readers share.

use super::admin::{Admin, Counts};
use super::process::Process;
use super::verdict::judge;
use super::{ADMIN, Error, variables};
use crate::desk::{Given, judged};
use crate::lease::{Ask, Fate, Released};
use crate::watch::{Kind, Leak};
use crate::{limits, names};
use regatta_domain::Level;
use regatta_domain::evidence::{Evidence, Fact, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OwnedSemaphorePermit};

/// A server that one lease has for itself.
#[derive(Debug)]
pub(super) struct Server {
    process: Process,
    admin: Admin,
    password: String,
    /// What it had counted when it was made ready.
    mark: Counts,
    /// Since when it is out, and whether it is expected back clean.
    pub(super) leased: Option<(Instant, bool)>,
    _room: OwnedSemaphorePermit,
}

/// A server that readers share: all that they can do is read.
#[derive(Debug)]
pub(super) struct Shared {
    process: Process,
    admin: Mutex<Admin>,
    /// What it held at the begin.
    begin: Counts,
    spoiled: AtomicBool,
}

/// The right of one lease to read.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    user: String,
    mark: Counts,
}

/// What a lease holds.
#[derive(Debug)]
pub(super) enum Holding {
    Server(Box<Server>),
    Reader(Box<Reader>),
}

/// What readers may do. Clients ask for `INFO` when they connect.
const READS: [&str; 9] =
    ["-@all", "+@read", "+@connection", "+@transaction", "-@write", "-@admin", "-@dangerous", "+keys", "+info"];

impl Server {
    pub(super) async fn of(
        process: Process,
        mut admin: Admin,
        password: String,
        room: OwnedSemaphorePermit,
    ) -> Result<Self, Error> {
        admin.forget().await?;
        let mark = admin.counts().await?;
        Ok(Self { process, admin, password, mark, leased: None, _room: room })
    }

    /// Whether it can be given to somebody.
    pub(super) fn is_well(&self) -> bool {
        !self.process.has_ended()
    }

    pub(super) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// As it is told to the test that gets it.
    pub(super) fn given(self: Box<Self>) -> Given<Holding> {
        let (url, variables) = variables(self.process.port(), None, &self.password);
        let database = format!("127.0.0.1:{}/0", self.process.port());
        Given { holding: Holding::Server(self), url, variables, database }
    }

    /// Shuts the test out, and looks at what it did.
    pub(super) async fn release(&mut self, declared: Level, killed: bool, writes: &BTreeSet<String>) -> Released {
        match self.verify(declared, killed, writes).await {
            Ok(released) => released,
            // A server that lives and does not let us in: only who may change it all can have done that.
            Err(super::resp::Error::Refused(why)) if self.is_well() => {
                tracing::debug!(why, "a test has shut us out of its server");
                unseen(declared, &[Fact::Unknown, Fact::Settings], Fate::Destroyed)
            }
            Err(error) => {
                tracing::debug!(%error, "what a test did to its server could not be seen");
                unseen(declared, &[Fact::Unknown], Fate::Lost)
            }
        }
    }

    async fn verify(
        &mut self,
        declared: Level,
        killed: bool,
        writes: &BTreeSet<String>,
    ) -> Result<Released, super::resp::Error> {
        self.password = names::password();
        self.admin.call(&["ACL", "SETUSER", "default", "resetpass", &format!(">{}", self.password)]).await?;
        let patience = if killed { Duration::ZERO } else { limits::LEAVE };
        let leaks = left(&mut self.admin, patience, |_| true).await?;
        if !leaks.is_empty() {
            self.admin.call(&["CLIENT", "KILL", "USER", "default"]).await?;
        }
        let after = self.admin.counts().await?;
        let seen = judge(&self.mark, &after, writes);
        let is_clean = seen.clean && leaks.is_empty();
        let mut evidence = seen.evidence;
        if !leaks.is_empty() {
            evidence.facts.insert(Fact::Leaked);
        }
        let fate = if is_clean { Fate::HandedOn } else { Fate::Destroyed };
        Ok(Released { leaks, statements: seen.statements, ..judged(evidence, declared, fate) })
    }

    /// Makes it ready for the next test, which knows nothing of the last one.
    pub(super) async fn renew(&mut self) -> Result<(), Error> {
        self.admin.forget().await?;
        self.mark = self.admin.counts().await?;
        Ok(())
    }

    pub(super) async fn destroy(self) {
        self.process.destroy().await;
    }
}

impl Shared {
    pub(super) async fn of(process: Process, mut admin: Admin) -> Result<Arc<Self>, Error> {
        // Nobody comes in but by a user of their own.
        admin.call(&["ACL", "SETUSER", "default", "off"]).await?;
        let begin = admin.counts().await?;
        Ok(Arc::new(Self { process, admin: Mutex::new(admin), begin, spoiled: AtomicBool::new(false) }))
    }

    /// Whether it still holds what it began with, as far as is known.
    pub(super) fn is_well(&self) -> bool {
        !self.process.has_ended() && !self.spoiled.load(Ordering::Acquire)
    }

    pub(super) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Lets one more read, under the name `user`.
    pub(super) async fn admit(self: &Arc<Self>, user: String) -> Result<Given<Holding>, Error> {
        let password = names::password();
        let mut admin = self.admin.lock().await;
        let mark = admin.counts().await?;
        let secret = format!(">{password}");
        let words = ["ACL", "SETUSER", &user, "reset", "on", &secret, "~*", "resetchannels"];
        admin.call(&words.into_iter().chain(READS).collect::<Vec<_>>()).await?;
        drop(admin);
        let (url, variables) = variables(self.process.port(), Some(&user), &password);
        let database = format!("127.0.0.1:{}/0", self.process.port());
        let holding = Holding::Reader(Box::new(Reader { shared: self.clone(), user, mark }));
        Ok(Given { holding, url, variables, database })
    }
}

impl Reader {
    pub(super) async fn release(&self, declared: Level, killed: bool) -> Released {
        let shared = &self.shared;
        let released = self.verify(declared, killed).await.unwrap_or_else(|error| {
            tracing::warn!(user = self.user, %error, "what a test did could not be verified");
            unseen(declared, &[Fact::Unknown], Fate::Lost)
        });
        if released.fate != Fate::Kept {
            shared.spoiled.store(true, Ordering::Release);
        }
        released
    }

    async fn verify(&self, declared: Level, killed: bool) -> Result<Released, super::resp::Error> {
        let shared = &self.shared;
        shared.admin.lock().await.call(&["ACL", "SETUSER", &self.user, "off"]).await?;
        let until = Instant::now() + if killed { Duration::ZERO } else { limits::LEAVE };
        let leaks = loop {
            // The others are not kept waiting while this one leaves.
            let leaks = {
                let mut admin = shared.admin.lock().await;
                left(&mut admin, Duration::ZERO, |user| user == self.user).await?
            };
            if leaks.is_empty() || Instant::now() >= until {
                break leaks;
            }
            tokio::time::sleep(LOOK).await;
        };
        let mut admin = shared.admin.lock().await;
        admin.call(&["ACL", "DELUSER", &self.user]).await?;
        let statements: Vec<String> = admin.refused(&self.user).await?;
        let after = admin.counts().await?;
        drop(admin);
        // Readers share the counts: where nobody connected, this one did not; else one that did is as likely as another.
        let nobody = after.connections == self.mark.connections && leaks.is_empty();
        let sources = Sources { wal: true, statements: false, counters: nobody, log: true };
        let mut evidence = Evidence { sources, ..Evidence::default() };
        if !nobody {
            evidence.facts.insert(Fact::Connected);
        }
        if nobody {
            evidence.sources.statements = true;
        }
        if !statements.is_empty() {
            evidence.facts.insert(Fact::ReadOnlyViolation);
        }
        if !leaks.is_empty() {
            evidence.facts.insert(Fact::Leaked);
        }
        // Nobody may write here; keys that expire do go.
        let same = after.changes == shared.begin.changes && after.keys == shared.begin.keys;
        let fate = if same { Fate::Kept } else { Fate::Replaced };
        let statements = statements.into_iter().map(|what| format!("{} (refused)", what.to_uppercase())).collect();
        Ok(Released { leaks, statements, ..judged(evidence, declared, fate) })
    }
}

/// How often it is looked whether sessions have left.
const LOOK: Duration = Duration::from_millis(1);

/// The sessions of these users that are still there when `patience` has passed.
async fn left(
    admin: &mut Admin,
    patience: Duration,
    whose: impl Fn(&str) -> bool,
) -> Result<Vec<Leak>, super::resp::Error> {
    let until = Instant::now() + patience;
    loop {
        let mut sessions: BTreeMap<String, i64> = BTreeMap::new();
        for client in admin.clients().await?.into_iter().filter(|client| client.user != ADMIN && whose(&client.user)) {
            *sessions.entry(client.last).or_default() += 1;
        }
        if sessions.is_empty() || Instant::now() >= until {
            let leak = |(last, count)| Leak { kind: Kind::Session, what: format!("last ran {last}"), count };
            return Ok(sessions.into_iter().map(leak).collect());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The outcome of a lease whose server cannot be asked.
fn unseen(declared: Level, facts: &[Fact], fate: Fate) -> Released {
    let evidence = Evidence { facts: facts.iter().copied().collect(), ..Evidence::default() };
    let released = judged(evidence, declared, fate);
    Released { level: released.level.max(declared), ..released }
}

/// What a lease of level read is called on its server.
pub(super) fn user(names: &names::Names, ask: &Ask) -> String {
    names.next(ask.template)
}
