//! How long what the worker holds is certainly its own.
//!
//! A worker that cannot reach its coordinator does not know whether its leases were given to others. But the coordinator keeps them for a
//! whole lease after each sign of life that it answered, and the worker knows when it sent that: until then, less an allowance for
//! clocks that run at different rates, what it holds is its own. After that it must have let go of whatever only one may use.
//!
//! It leaves to the slots what that is, and to the session to send and to hear.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Signs of life that are not answered yet, at most: those before them do not matter any more.
const UNANSWERED: usize = 64;

/// The worker's account of the signs of life that it sent.
#[derive(Debug)]
pub(crate) struct Tenure {
    until: watch::Sender<Option<Instant>>,
    /// How long a lease lasts after a sign of life.
    lease: Duration,
    next: u64,
    sent: VecDeque<(u64, Instant)>,
}

/// How long it lasts, for a slot. Without a coordinator that answers signs of life, for ever.
#[derive(Clone, Debug)]
pub(crate) struct Term(watch::Receiver<Option<Instant>>);

impl Tenure {
    pub(crate) fn new() -> (Self, Term) {
        let (until, term) = watch::channel(None);
        (Self { until, lease: Duration::ZERO, next: 1, sent: VecDeque::new() }, Term(term))
    }

    /// A session stands whose hello was sent at `sent`. `answers` where the coordinator answers signs of life.
    pub(crate) fn attached(&mut self, sent: Instant, lease: Duration, answers: bool) {
        self.lease = lease;
        self.sent.clear();
        match answers {
            true => self.extend(sent),
            false => drop(self.until.send_replace(None)),
        }
    }

    /// The number of a sign of life that is sent now.
    pub(crate) fn send(&mut self, now: Instant) -> u64 {
        if self.sent.len() >= UNANSWERED {
            self.sent.pop_front();
        }
        let seq = self.next;
        self.next += 1;
        self.sent.push_back((seq, now));
        seq
    }

    /// A sign of life was answered, and with it all before.
    pub(crate) fn heard(&mut self, seq: u64) {
        let at = self.sent.iter().rposition(|(sent, _)| *sent == seq);
        if let Some((_, sent)) = at.and_then(|at| self.sent.drain(..=at).next_back()) {
            self.extend(sent);
        }
    }

    /// When a coordinator that answers has answered nothing for so long that it cannot be the one that leads.
    pub(crate) fn forsaken_at(&self) -> Option<Instant> {
        *self.until.borrow()
    }

    fn extend(&self, sent: Instant) {
        // A tenth of it: no two clocks differ in their rates by more.
        let until = sent + self.lease - self.lease / 10;
        self.until.send_modify(|term| *term = Some(term.map_or(until, |term| term.max(until))));
    }
}

impl Term {
    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.0.borrow().is_some_and(|until| until <= Instant::now())
    }

    /// Comes back when it is over.
    pub(crate) async fn over(&mut self) {
        loop {
            let until = *self.0.borrow_and_update();
            let passes = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.0.changed() => if changed.is_err() {
                    // The session is over, and takes the slots down.
                    std::future::pending::<()>().await;
                },
                () = passes => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_a_lease_from_when_the_last_sign_that_was_answered_was_sent_less_a_tenth() {
        let (mut tenure, mut term) = Tenure::new();
        let began = Instant::now();
        tenure.attached(began, LEASE, true);
        tokio::time::advance(seconds(3)).await;
        let (first, _second) = (tenure.send(Instant::now()), tenure.send(began + seconds(6)));
        tokio::time::advance(seconds(9)).await;
        // Answered late: what counts is when it was sent.
        tenure.heard(first);
        assert!(!term.is_over());
        term.over().await;
        assert_eq!(began.elapsed(), seconds(3) + Duration::from_millis(13_500));
        assert!(term.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_late_does_not_shorten_it_and_one_that_was_never_asked_for_does_nothing() {
        let (mut tenure, term) = Tenure::new();
        tenure.attached(Instant::now(), LEASE, true);
        let (first, second) = (tenure.send(Instant::now()), tenure.send(Instant::now() + seconds(5)));
        tenure.heard(second);
        let until = tenure.forsaken_at();
        tenure.heard(first);
        tenure.heard(99);
        assert_eq!(tenure.forsaken_at(), until);
        assert!(!term.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_coordinator_that_does_not_answer_signs_of_life_gives_no_term() {
        let (mut tenure, term) = Tenure::new();
        tenure.attached(Instant::now(), LEASE, true);
        tenure.attached(Instant::now(), LEASE, false);
        tokio::time::advance(seconds(3_600)).await;
        assert!(!term.is_over());
    }
}
