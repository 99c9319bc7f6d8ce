//! Tells how coordinators stand, and how the one that leads finds the database that they share.

use crate::args::{StatusArgs, TableFormat};
use crate::command::print;
use crate::error::Error;
use crate::exit::Exit;
use regatta_runtime::dial::Address;
use regatta_wire::v1;
use regatta_wire::v1::coordination_client::CoordinationClient;
use std::fmt::Write as _;
use std::time::Duration;
use tonic::Code;
use tonic::transport::Endpoint;

/// How long one may take to answer, which it does without its store.
const PATIENCE: Duration = Duration::from_secs(5);

/// What one answered, or why it did not.
type Answer = Result<v1::StatusResponse, String>;

/// Asks each address, and prints what it says.
pub(super) async fn status(args: &StatusArgs) -> Result<Exit, Error> {
    let asking: Vec<_> = args.on.addresses().iter().cloned().map(|address| tokio::spawn(ask(address))).collect();
    let mut answers = Vec::new();
    for asked in asking {
        answers
            .push(asked.await.map_err(|error| Error::infrastructure("a coordinator cannot be asked").because(&error))?);
    }
    print(&match args.format {
        TableFormat::Human => answers.iter().map(|(address, answer)| told(address, answer)).collect::<String>(),
        TableFormat::Json => format!("{}\n", serde_json::Value::from_iter(answers.iter().map(object))),
    })?;
    let is_well =
        |answer: &v1::StatusResponse| answer.leads && answer.store.as_ref().is_none_or(|store| store.absence.is_none());
    let well = answers.iter().any(|(_, answer)| answer.as_ref().is_ok_and(is_well));
    Ok(if well { Exit::Ok } else { Exit::Infrastructure })
}

async fn ask(address: Address) -> (Address, Answer) {
    let asking = async {
        let endpoint = Endpoint::from_shared(address.to_string()).map_err(|error| error.to_string())?;
        let connected = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect().await;
        let channel = connected.map_err(|error| format!("it takes no connection: {}", innermost(&error)))?;
        CoordinationClient::new(channel).status(v1::StatusRequest {}).await.map_err(|status| match status.code() {
            Code::Unimplemented => "it is of an earlier version, which does not say how it stands".to_owned(),
            _ => status.message().to_owned(),
        })
    };
    let answer = asking.await.map(tonic::Response::into_inner);
    (address, answer)
}

/// What is at the bottom of an error of the transport, which says little itself.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// How one stands, for people.
fn told(address: &Address, answer: &Answer) -> String {
    let mut told = match answer {
        Err(why) => format!("{address}  does not answer: {why}\n"),
        Ok(v1::StatusResponse { leads: true, epoch: 0, .. }) => format!("{address}  leads alone\n"),
        Ok(v1::StatusResponse { leads: true, epoch, .. }) => format!("{address}  leads, epoch {epoch}\n"),
        Ok(v1::StatusResponse { epoch: 1.., .. }) => {
            format!("{address}  led, and cannot say whether it still does\n")
        }
        Ok(v1::StatusResponse { leader: Some(leader), .. }) => format!("{address}  stands by; {leader} leads\n"),
        Ok(_) => format!("{address}  stands by; which one leads is not known yet\n"),
    };
    if let Ok(v1::StatusResponse { store: Some(store), .. }) = answer {
        describe(&mut told, store);
    }
    told
}

/// How a database is found, for people.
fn describe(told: &mut String, store: &v1::SharedStore) {
    let v1::SharedStore { server, absence, most, open, idle, waiting, answered, failed, refused, away } = store;
    let _infallible = match absence {
        None => writeln!(told, "  store        {server}"),
        Some(v1::StoreAbsence { since, again, trouble }) => {
            let again = again.map_or_else(
                || "is being tried again".to_owned(),
                |again| format!("is tried again in {}", seconds(again)),
            );
            writeln!(told, "  store        {server} has been away for {}, and {again}: it {trouble}", seconds(*since))
        }
    };
    let used = open.saturating_sub(*idle);
    let _infallible =
        writeln!(told, "  connections  {used} in use, {idle} idle, at most {most}; {waiting} wait for one");
    let _infallible = writeln!(
        told,
        "  questions    {answered} answered, {failed} failed, {refused} refused at once; away {away} time{}",
        if *away == 1 { "" } else { "s" }
    );
}

fn seconds(micros: u64) -> String {
    format!("{:.1} s", regatta_domain::Micros(micros).as_secs_f64())
}

/// How one stands, for programs.
fn object((address, answer): &(Address, Answer)) -> serde_json::Value {
    let v1::StatusResponse { leads, leader, epoch, store } = match answer {
        Err(why) => return serde_json::json!({ "address": address.to_string(), "error": why }),
        Ok(answer) => answer.clone(),
    };
    let seconds = |micros: u64| regatta_domain::Micros(micros).as_secs_f64();
    let store = store.map(|store| {
        let away = store.absence.map(|absence| {
            serde_json::json!({
                "since": seconds(absence.since),
                "again": absence.again.map(seconds),
                "trouble": absence.trouble,
            })
        });
        serde_json::json!({
            "server": store.server,
            "away": away,
            "connections": { "most": store.most, "open": store.open, "idle": store.idle, "waiting": store.waiting },
            "questions": { "answered": store.answered, "failed": store.failed, "refused": store.refused },
            "outages": store.away,
        })
    });
    serde_json::json!({ "address": address.to_string(), "leads": leads, "leader": leader, "epoch": epoch, "store": store })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> Address {
        "http://one:7420".parse().expect("an address")
    }

    fn store() -> v1::SharedStore {
        v1::SharedStore {
            server: "postgres://ci@db:5432/farm".to_owned(),
            absence: None,
            most: 4,
            open: 3,
            idle: 1,
            waiting: 0,
            answered: 812,
            failed: 2,
            refused: 0,
            away: 0,
        }
    }

    #[test]
    fn one_that_leads_is_told_with_its_store() {
        let leads = v1::StatusResponse { leads: true, leader: None, epoch: 7, store: Some(store()) };
        assert_eq!(
            told(&address(), &Ok(leads)),
            "http://one:7420  leads, epoch 7\n  \
             store        postgres://ci@db:5432/farm\n  \
             connections  2 in use, 1 idle, at most 4; 0 wait for one\n  \
             questions    812 answered, 2 failed, 0 refused at once; away 0 times\n"
        );
    }

    #[test]
    fn a_store_that_is_away_is_told_with_what_to_do() {
        let trouble = "cannot be reached; see that it runs".to_owned();
        let absence = Some(v1::StoreAbsence { since: 12_340_000, again: Some(1_500_000), trouble });
        let store = Some(v1::SharedStore { absence, away: 1, ..store() });
        let leads = v1::StatusResponse { leads: true, leader: None, epoch: 7, store };
        let line = "postgres://ci@db:5432/farm has been away for 12.3 s, and is tried again in 1.5 s: it cannot be reached; see";
        let told = told(&address(), &Ok(leads.clone()));
        assert!(told.contains(line) && told.contains("away 1 time\n"), "{told}");
        let object = object(&(address(), Ok(leads)));
        assert_eq!(object["store"]["away"]["since"], 12.34);
        assert_eq!(object["store"]["connections"]["idle"], 1);
    }

    #[test]
    fn those_that_do_not_lead_say_who_does_and_those_that_say_nothing_why() {
        let stands_by =
            |leader: Option<&str>| v1::StatusResponse { leader: leader.map(str::to_owned), ..Default::default() };
        assert_eq!(
            told(&address(), &Ok(stands_by(Some("http://two:7420")))),
            "http://one:7420  stands by; http://two:7420 leads\n"
        );
        assert!(told(&address(), &Ok(stands_by(None))).contains("not known yet"));
        assert_eq!(told(&address(), &Err("why".to_owned())), "http://one:7420  does not answer: why\n");
        assert_eq!(object(&(address(), Err("why".to_owned())))["error"], "why");
    }

    #[tokio::test]
    async fn nobody_at_an_address_is_an_answer() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address: Address = format!("http://{}", free.expect("a free port")).parse().expect("an address");
        let (_, answer) = ask(address).await;
        assert!(answer.as_ref().is_err_and(|why| why.contains("it takes no connection")), "{answer:?}");
    }
}
