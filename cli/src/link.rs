//! How a client or a worker reaches its coordinator: over the network, or within the process; and how patiently it asks.

use crate::args::ServerUrl;
use hyper_util::rt::TokioIo;
use regatta_runtime::backoff::Backoff;
use regatta_runtime::dial::{self, awaits_a_leader, awaits_a_store};
use regatta_wire::Failure;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::service_fn;
use uuid::Uuid;

/// How long a coordinator may be away that is asked for something that may be asked twice: longer than another one takes to lead.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits between two tries.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A channel to the one of the coordinators at `url` that leads. Dials at the first call, and again whenever the connection breaks.
pub(crate) fn to(url: &ServerUrl) -> Channel {
    dial::channel(url.addresses().clone())
}

/// A channel to a coordinator in this process, which `dial` gives a connection to as long as there is one.
pub(crate) fn within(dial: impl Fn() -> Option<DuplexStream> + Send + Sync + 'static) -> Channel {
    let connector = service_fn(move |_| {
        let dialled = dial().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        async move { dialled.map(TokioIo::new) }
    });
    Endpoint::from_static("http://within").connect_with_connector_lazy(connector)
}

/// Asks what may be asked twice, again and again while the coordinator is away. `say` tells people so, once.
///
/// # Errors
/// What the coordinator answers, or why there was no answer in a minute.
pub(crate) async fn patiently<T>(
    say: impl FnMut(&str),
    ask: impl AsyncFnMut() -> Result<T, Status>,
) -> Result<T, Status> {
    again_while(|status| Failure::from(status.clone()).may_pass(), say, ask).await
}

/// Asks somebody who may not be there at all: again only while one coordinator takes over from another, or waits for its store.
///
/// # Errors
/// As [`patiently`].
pub(crate) async fn through_a_change<T>(ask: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    again_while(|status| awaits_a_leader(status) || cannot_now(status), |line| eprintln!("{line}"), ask).await
}

/// Whether a coordinator is there, and says itself that it cannot answer now.
pub(crate) fn cannot_now(status: &Status) -> bool {
    status.code() == Code::Unavailable && std::error::Error::source(status).is_none()
}

/// Asks for somebody who only looks: again only while one coordinator takes over from another, and not while none can, since the
/// database is away that they share.
///
/// # Errors
/// As [`patiently`].
pub(crate) async fn to_look<T>(ask: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    again_while(|status| awaits_a_leader(status) && !awaits_a_store(status), |line| eprintln!("{line}"), ask).await
}

async fn again_while<T>(
    may_pass: impl Fn(&Status) -> bool,
    mut say: impl FnMut(&str),
    mut ask: impl AsyncFnMut() -> Result<T, Status>,
) -> Result<T, Status> {
    let until = Instant::now() + PATIENCE;
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT, Uuid::new_v4().as_u64_pair().1);
    loop {
        match ask().await {
            Err(status) if may_pass(&status) && Instant::now() < until => {
                if backoff.tries() == 0 {
                    say(&format!("no coordinator leads at the moment ({}); trying again", status.message()));
                }
            }
            answer => return answer,
        }
        sleep(backoff.wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_coordinator_that_is_away_is_asked_again_for_a_minute_and_people_are_told_once() {
        let (mut said, mut asked) = (Vec::new(), 0);
        let answer = patiently(
            |line| said.push(line.to_owned()),
            async || {
                asked += 1;
                if asked < 5 { Err(Status::unavailable("gone")) } else { Ok(asked) }
            },
        );
        assert_eq!(answer.await.expect("it is back"), 5);
        assert_eq!(said, ["no coordinator leads at the moment (gone); trying again"]);

        let began = Instant::now();
        let answer: Result<(), _> = patiently(|_| {}, async || Err(Status::unavailable("gone"))).await;
        assert_eq!(answer.expect_err("nobody is there").message(), "gone");
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE + 2 * LONGEST_WAIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_coordinator_that_cannot_answer_now_is_waited_for_by_runs_and_not_by_who_looks() {
        let away = || Status::unavailable("the database has been away for 12 s");
        let mut asked = 0;
        let answer = through_a_change(async || {
            asked += 1;
            if asked < 3 { Err(away()) } else { Ok(asked) }
        });
        assert_eq!(answer.await.expect("it is back"), 3);
        let mut asked = 0;
        let answer: Result<(), _> = to_look(async || {
            asked += 1;
            Err(away())
        })
        .await;
        assert!(answer.is_err_and(|status| cannot_now(&status)) && asked == 1);
    }

    #[tokio::test]
    async fn an_answer_is_an_answer() {
        let mut asked = 0;
        let answer: Result<(), _> = patiently(
            |_| {},
            async || {
                asked += 1;
                Err(Status::not_found("no such run"))
            },
        )
        .await;
        assert_eq!((answer.expect_err("refused").code(), asked), (Code::NotFound, 1));
    }
}
