//! Whether a server is there, as those find who ask it: so that one that is away is tried by one of them, and the others know.
//!
//! It leaves asking to the pool, and says at changes what it knows: in the log, and to whoever is to be told at once.

use super::{Trouble, told};
use crate::store::Error;
use regatta_runtime::backoff::Backoff;
use regatta_runtime::breaker::{Breaker, State};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The first wait before one that is away is tried again, and the longest: runs wait for what they ask, and one try costs little.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// How often somebody looks who waits for what another one's try finds out.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a server is there. One for all who ask it.
pub(super) struct Health {
    server: Arc<str>,
    known: watch::Sender<Known>,
}

struct Known {
    breaker: Breaker,
    /// What the last failure was.
    trouble: Trouble,
    counts: Counts,
}

/// What came of all that was asked of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tries that were answered, whatever the answer.
    pub answered: u64,
    /// Tries that found nobody, or were not answered in time.
    pub failed: u64,
    /// Questions that were refused at once, since the server was known to be away.
    pub refused: u64,
    /// How often it was found to be away.
    pub away: u64,
}

/// How a server is that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// For how long it has been away.
    pub since: Duration,
    /// When it is tried again, from now; it is being tried where that is left out.
    pub again: Option<Duration>,
    /// What the last try found.
    pub trouble: Trouble,
}

impl Health {
    /// A server that fails for as long as `grace` is away; before, it may be restarting, and whoever asks waits.
    pub(super) fn new(server: Arc<str>, grace: Duration) -> Self {
        // Jitter needs no better seed: it is to differ between processes.
        let waits = Backoff::new(WAITS.0, WAITS.1, std::process::id().into());
        let (breaker, trouble) = (Breaker::new(waits, grace), Trouble::Unreachable);
        Self { server, known: watch::Sender::new(Known { breaker, trouble, counts: Counts::default() }) }
    }

    /// Lets somebody ask, once the server is there or may be tried: at once or not at all where no `until` is given.
    ///
    /// # Errors
    /// That it is away.
    pub(super) async fn admit(&self, until: Option<Instant>) -> Result<(), Error> {
        let mut news = self.known.subscribe();
        loop {
            let now = Instant::now();
            let Some(again) = self.try_again(now) else { return Ok(()) };
            let Some(until) = until.filter(|&until| now < until) else {
                self.known.send_if_modified(|known| {
                    known.counts.refused += 1;
                    false
                });
                return Err(self.refusal());
            };
            // Either way it is looked at again.
            let _over = timeout_at(again.min(until), news.changed()).await;
        }
    }

    /// When to look again; nothing where it may be asked now.
    fn try_again(&self, now: Instant) -> Option<Instant> {
        let mut again = None;
        self.known.send_if_modified(|known| {
            if !known.breaker.is_closed() && !known.breaker.probe(now) {
                again = Some(known.breaker.opens_at().unwrap_or(now + LOOK));
            }
            false
        });
        again
    }

    /// What came of a try that was begun at `began`, where it failed.
    pub(super) fn failed(&self, began: Instant, error: &Error) {
        let Some(trouble) = absence(error) else { return self.answered() };
        let (now, mut opens) = (Instant::now(), false);
        self.known.send_if_modified(|known| {
            known.counts.failed += 1;
            let was = known.breaker.state();
            opens = known.breaker.fail(began, now);
            known.counts.away += u64::from(opens);
            if known.breaker.state() != was {
                known.trouble = trouble.clone();
            }
            known.breaker.state() != was
        });
        if opens {
            tracing::warn!(
                server = %self.server,
                "the database {trouble}: it is away; who only looks is told so at once, everything else waits for it"
            );
        }
    }

    /// It answered.
    pub(super) fn answered(&self) {
        let mut away = None;
        self.known.send_if_modified(|known| {
            known.counts.answered += 1;
            away = known.breaker.succeed();
            away.is_some()
        });
        if let Some(since) = away {
            tracing::info!(server = %self.server, away = ?since.elapsed(), "the database answers again");
        }
    }

    /// Waits until it is away: what it is then.
    pub(super) async fn away(&self) -> Error {
        let mut news = self.known.subscribe();
        // The sender lives as long as this.
        let _known = news.wait_for(|known| !known.breaker.is_closed()).await.is_ok();
        self.refusal()
    }

    /// How it is, where it is away.
    pub(super) fn absence(&self) -> Option<Absence> {
        let known = self.known.borrow();
        let now = Instant::now();
        let again = match known.breaker.state() {
            State::Closed => return None,
            State::Open { until } => Some(until.saturating_duration_since(now)),
            State::HalfOpen => None,
        };
        let since = known.breaker.since().map_or(Duration::ZERO, |since| now.duration_since(since));
        Some(Absence { since, again, trouble: known.trouble.clone() })
    }

    pub(super) fn counts(&self) -> Counts {
        self.known.borrow().counts
    }

    fn refusal(&self) -> Error {
        // It may have come back this very moment.
        let back = || Absence { since: Duration::ZERO, again: None, trouble: Trouble::NotReady };
        Error::Away { server: self.server.clone(), absence: self.absence().unwrap_or_else(back) }
    }
}

/// What is wrong with a server that a try did not find, or that said nothing. Others answered, if nothing else.
fn absence(error: &Error) -> Option<Trouble> {
    match error {
        Error::Server { trouble: Trouble::Unreachable, source, .. } if told::is_misunderstanding(source) => None,
        Error::Server {
            trouble: trouble @ (Trouble::Unreachable | Trouble::NotReady | Trouble::NoConnections),
            ..
        } => Some(trouble.clone()),
        Error::Silent { .. } => Some(Trouble::Silent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const GRACE: Duration = Duration::from_secs(5);

    fn health() -> Arc<Health> {
        Arc::new(Health::new("postgres://ci@db:5432/farm".into(), GRACE))
    }

    fn silent() -> Error {
        Error::Silent { server: "db".into() }
    }

    async fn goes_away(health: &Health) {
        let began = Instant::now();
        tokio::time::advance(GRACE).await;
        health.failed(began, &silent());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_for_a_moment_is_asked_by_everybody() {
        let health = health();
        health.failed(Instant::now(), &silent());
        tokio::time::advance(GRACE / 2).await;
        health.failed(Instant::now(), &silent());
        health.admit(None).await.unwrap();
        assert_eq!(health.absence(), None);
        health.answered();
        tokio::time::advance(GRACE).await;
        health.failed(Instant::now(), &silent());
        assert_eq!(health.absence(), None, "it has answered in between");
        assert_eq!(health.counts(), Counts { answered: 1, failed: 3, ..Counts::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_looks_is_told_at_once_since_when_and_when_next() {
        let health = health();
        goes_away(&health).await;
        let now = Instant::now();
        let error = health.admit(None).await.unwrap_err();
        assert_eq!(now, Instant::now(), "at once");
        let told = error.to_string();
        assert!(
            told.starts_with("postgres://ci@db:5432/farm has been away for 5 s, and is tried again in 0."),
            "{told}"
        );
        assert!(told.contains("nothing that was acknowledged is lost. It does not answer in time; see"), "{told}");
        assert!(error.may_pass());
        assert_eq!(health.counts(), Counts { failed: 1, refused: 1, away: 1, ..Counts::default() });

        tokio::time::advance(WAITS.0).await;
        health.admit(None).await.unwrap();
        let told = health.admit(None).await.unwrap_err().to_string();
        assert!(told.contains("and is being tried again"), "one tries, the others do not wait for it: {told}");
        health.answered();
        health.admit(None).await.unwrap();
        assert_eq!(health.absence(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_that_wait_one_tries_at_a_time_and_all_go_on_when_it_is_back() {
        let (health, tries) = (health(), Arc::new(AtomicUsize::new(0)));
        goes_away(&health).await;
        let back = Instant::now() + Duration::from_secs(60);
        let asking = (0..100).map(|_| {
            let (health, tries) = (Arc::clone(&health), Arc::clone(&tries));
            tokio::spawn(async move {
                loop {
                    health.admit(Some(back + GRACE)).await?;
                    if Instant::now() >= back {
                        health.answered();
                        return Ok::<_, Error>(());
                    }
                    tries.fetch_add(1, Ordering::Relaxed);
                    health.failed(Instant::now(), &silent());
                }
            })
        });
        for asked in asking.collect::<Vec<_>>() {
            asked.await.unwrap().unwrap();
        }
        assert!(Instant::now() < back + WAITS.1 + LOOK, "they go on at once");
        let tries = tries.load(Ordering::Relaxed);
        // Between half of the longest wait and all of it, once that is reached.
        assert!((29..=64).contains(&tries), "{tries} tries in a minute");
        assert_eq!(health.counts().refused, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_while_it_is_away() {
        let health = health();
        goes_away(&health).await;
        let until = Instant::now() + Duration::from_millis(100);
        assert!(matches!(health.admit(Some(until)).await, Err(Error::Away { .. })));
        assert!(Instant::now() >= until);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_is_there() {
        let health = health();
        let began = Instant::now();
        tokio::time::advance(GRACE).await;
        health.failed(began, &Error::Deposed { server: "db".into(), epoch: 1 });
        assert_eq!((health.absence(), health.counts().answered), (None, 1));
    }
}
