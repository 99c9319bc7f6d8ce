//! Who leads, among coordinators that share a database: one row, by the database's own clock.
//!
//! Whoever leads renews its term again and again. When a term has passed, whoever looks next takes the row, with an epoch that is
//! greater by one. Every append to the journal checks the epoch in its own transaction, so that one that was deposed writes
//! nothing more, whatever it believes. What it *says* in the meantime is bounded by [`Standing::Leads`]: it vouches for nothing
//! longer than a term after it last asked for one.

use super::{Server, Tables, migrate};
use crate::error::in_one_line;
use crate::standing::Standing;
use crate::store::Error;
use regatta_runtime::backoff::Backoff;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use uuid::Uuid;

/// How long a term lasts: what a fleet waits at most when its leader dies, beside what it takes to start.
pub const TERM: Duration = Duration::from_secs(3);

/// How often whoever leads renews it: three may be lost.
const RENEWED: Duration = Duration::from_millis(700);

/// How often whoever stands by looks.
const LOOKED: Duration = Duration::from_millis(250);

/// Of its term, what a leader counts on: clocks may differ in speed by a tenth.
pub(super) const VOUCHED: Duration = Duration::from_millis(2_700);

/// What answers nothing for so long is asked over another connection.
const ANSWER: Duration = Duration::from_secs(1);

/// How long one that handed over lets others go first: some looks, and a wait between two tries to reach the database.
const YIELDS: Duration = Duration::from_secs(2);

/// How long a coordinator waits between tries to reach the database.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(super) const TABLES: Tables = Tables {
    kind: "leader",
    steps: &["
        CREATE TABLE regatta.leader (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            epoch bigint NOT NULL, holder text NOT NULL, address text NOT NULL, until timestamptz NOT NULL
        );
        INSERT INTO regatta.leader VALUES (true, 0, '', '', '-infinity');
    "],
};

/// A coordinator that would lead.
pub struct Candidate {
    server: Server,
    holder: Uuid,
    address: Arc<str>,
    standing: watch::Sender<Standing>,
    client: Option<Client>,
    /// Until then it takes nobody's place.
    yields: Option<Instant>,
}

impl Candidate {
    /// One that can be reached at `address`.
    #[must_use]
    pub fn new(server: Server, address: &str) -> Self {
        let standing = watch::Sender::new(Standing::Standby { leader: None });
        // Connections over which it is asked end with whoever asks.
        let server = server.afresh();
        Self { server, holder: Uuid::new_v4(), address: address.into(), standing, client: None, yields: None }
    }

    /// One that lets others go first: it was asked to hand over.
    #[must_use]
    pub fn behind_others(mut self) -> Self {
        self.yields = Some(Instant::now() + YIELDS);
        self
    }

    /// How it stands, for whoever serves.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Stands by until it leads. A server that is not there is waited for.
    ///
    /// # Errors
    /// When the server refuses for a reason that does not pass by itself.
    pub async fn stand_by(&mut self) -> Result<Leadership, Error> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, self.holder.as_u64_pair().1);
        loop {
            match self.look().await {
                Ok(Some(leadership)) => return Ok(leadership),
                Ok(None) => {
                    backoff.reset();
                    sleep(LOOKED).await;
                }
                Err(error) if error.may_pass() => {
                    self.client = None;
                    if backoff.tries() == 0 {
                        tracing::warn!(said = in_one_line(&error), "the database is not there; trying again");
                    }
                    sleep(backoff.wait()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks once: takes the row where a term has passed.
    pub(super) async fn look(&mut self) -> Result<Option<Leadership>, Error> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let mut client = self.server.connect().await?;
            migrate(&self.server, &mut client, &TABLES).await?;
            self.client = Some(client);
        }
        let Some(client) = &self.client else { return Ok(None) };
        let take = "UPDATE regatta.leader SET epoch = epoch + 1, holder = $1, address = $2,
            until = clock_timestamp() + $3 * interval '1 millisecond'
            WHERE until < clock_timestamp() RETURNING epoch";
        let asked = Instant::now();
        let sorted = |error| self.server.sorted(error);
        let taken = match self.yields {
            Some(until) if asked < until => None,
            _ => {
                let (holder, address, term) = (self.holder.to_string(), &*self.address, millis(TERM));
                client.query_opt(take, &[&holder, &address, &term]).await.map_err(sorted)?
            }
        };
        if let Some(row) = taken {
            let epoch = row.get::<_, i64>(0).cast_unsigned();
            tracing::info!(server = %self.server, epoch, "this coordinator leads");
            self.standing.send_replace(Standing::Leads { until: Some(asked + VOUCHED), epoch });
            return Ok(Some(Leadership::hold(self, epoch)));
        }
        let row = client.query_one("SELECT address FROM regatta.leader", &[]).await.map_err(sorted)?;
        let leader = Some(row.get::<_, &str>(0)).filter(|address| !address.is_empty()).map(Arc::from);
        let standing = Standing::Standby { leader };
        self.standing.send_if_modified(|told| std::mem::replace(told, standing.clone()) != standing);
        Ok(None)
    }
}

/// That a coordinator leads: renewed until it is dropped or resigned.
#[derive(Debug)]
pub struct Leadership {
    server: Server,
    epoch: u64,
    standing: watch::Sender<Standing>,
    deposed: watch::Receiver<bool>,
    renewing: JoinHandle<()>,
}

impl Leadership {
    fn hold(candidate: &Candidate, epoch: u64) -> Self {
        let (tell, deposed) = watch::channel(false);
        let (server, standing) = (candidate.server.clone(), candidate.standing.clone());
        let renewal = Renewal { server: server.clone(), epoch, standing: standing.clone(), client: None };
        let renewing = tokio::spawn(async move {
            renewal.renew().await;
            // Whoever led may have gone.
            let _gone = tell.send(true);
        });
        Self { server, epoch, standing, deposed, renewing }
    }

    /// When it began to lead: greater than that of every leader before.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The store that is led.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// How this coordinator stands, for whoever serves.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Waits until another one leads; `None` when this one resigned before.
    pub fn deposed(&self) -> impl Future<Output = Option<Error>> + Send + use<> {
        let (mut deposed, server, epoch) = (self.deposed.clone(), self.server.to_string().into(), self.epoch);
        async move {
            let deposed = deposed.wait_for(|deposed| *deposed).await.is_ok();
            deposed.then_some(Error::Deposed { server, epoch })
        }
    }

    /// Lets another one lead at once: everything that this one said is durable, and it serves nobody any more.
    pub async fn resign(self) {
        self.renewing.abort();
        self.standing.send_replace(Standing::Standby { leader: None });
        let resign = "UPDATE regatta.leader SET until = '-infinity', address = '' WHERE epoch = $1";
        let resigning = async {
            let client = self.server.connect().await?;
            let resigned = client.execute(resign, &[&self.epoch.cast_signed()]).await;
            resigned.map_err(|error| self.server.sorted(error))
        };
        // Without a word the term passes by itself.
        match timeout(ANSWER, resigning).await {
            Ok(Ok(_)) => tracing::info!(epoch = self.epoch, "this coordinator leads no more"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot say that this coordinator leads no more: its term passes"),
            Err(_) => tracing::warn!("cannot say that this coordinator leads no more: its term passes"),
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// The task that renews terms.
struct Renewal {
    server: Server,
    epoch: u64,
    standing: watch::Sender<Standing>,
    client: Option<Client>,
}

impl Renewal {
    /// Renews until another one leads. A server that is not there is asked again: while it is not, nobody else can lead either.
    async fn renew(mut self) {
        let (mut wait, mut failed) = (RENEWED, false);
        loop {
            sleep(wait).await;
            let asked = Instant::now();
            wait = match timeout(ANSWER, self.once()).await {
                Ok(Ok(true)) => {
                    self.standing.send_replace(Standing::Leads { until: Some(asked + VOUCHED), epoch: self.epoch });
                    // Who asks for something else hears of it, too.
                    if std::mem::take(&mut failed) {
                        self.server.answered();
                    }
                    RENEWED.saturating_sub(asked.elapsed())
                }
                Ok(Ok(false)) => {
                    self.standing.send_replace(Standing::Standby { leader: None });
                    return;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a term was not renewed");
                    failed = true;
                    self.server.failed(&error);
                    self.client = None;
                    LOOKED
                }
                Err(_) => {
                    failed = true;
                    self.server.failed(&Error::Silent { server: self.server.to_string().into() });
                    self.client = None;
                    FIRST_WAIT
                }
            };
        }
    }

    async fn once(&mut self) -> Result<bool, Error> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = Some(self.server.connect().await?);
        }
        let Some(client) = &self.client else { return Ok(true) };
        let renew =
            "UPDATE regatta.leader SET until = clock_timestamp() + $2 * interval '1 millisecond' WHERE epoch = $1";
        let renewed = client.execute(renew, &[&self.epoch.cast_signed(), &millis(TERM)]).await;
        renewed.map(|rows| rows > 0).map_err(|error| self.server.sorted(error))
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1_000.0
}
