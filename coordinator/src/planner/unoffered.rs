//! What a run needs and nobody offers: refused before anything is planned, all of it together, each with what is near.

use crate::resources::catalogue::{Offers, few};
use crate::resources::steward::lack;
use regatta_core::command::OF_WORKERS;
use regatta_domain::ResourceKind;
use regatta_domain::database::Engine;
use regatta_domain::filter::nearest;
use regatta_wire::Failure;
use regatta_wire::submission::Request;

/// Refuses a run whose tests need what the fleet does not have. What workers have of their own may still come.
///
/// # Errors
/// With a sentence that names each of them, what it lacks, and what is there.
pub(super) fn refuse_unoffered(request: &Request, offers: &Offers) -> Result<(), Failure> {
    let needs = request.overrides.iter().flat_map(|other| other.needs.iter().map(move |need| (other, need)));
    let of_fleet = needs.filter(|(_, need)| !need.resource.starts_with(OF_WORKERS));
    let mut lacking: Vec<String> = of_fleet
        .filter_map(|(other, need)| {
            let lack = lack(offers, need)?;
            Some(format!("the tests of `{}` need {need}, and {lack}", other.filter))
        })
        .collect();
    for suite in request.suites.iter().map(|asked| &asked.suite) {
        let missing = suite.databases.iter().filter_map(|database| no_database(offers, &database.resource));
        lacking.extend(missing.map(|lack| format!("the suite `{}` needs a database, and {lack}", suite.name)));
        let lazy = suite.databases.iter().filter(|database| database.lazy);
        lacking.extend(lazy.filter_map(|database| not_lazy(offers, &suite.name, &database.resource)));
    }
    if lacking.is_empty() {
        return Ok(());
    }
    Err(Failure::Unfit(format!(
        "{}; declare what is missing (`regatta resources declare`, or `--resource` where the coordinator is started), or change \
         what is needed; `regatta resources` lists what there is",
        lacking.join("; ")
    )))
}

/// Why a database of another engine is not leased on first use.
fn not_lazy(offers: &Offers, suite: &str, name: &str) -> Option<String> {
    let engine = offers.get(name)?.resource.server.as_ref()?.engine;
    (engine != Engine::Postgres).then(|| {
        let engine = engine.name();
        format!(
            "the suite `{suite}` leases `{name}` on first use (`lazy`), which is for PostgreSQL, and that is {engine}"
        )
    })
}

fn no_database(offers: &Offers, name: &str) -> Option<String> {
    if let Some(offer) = offers.get(name) {
        let kind = offer.resource.kind;
        return (kind != ResourceKind::Database).then(|| format!("`{name}` is a {}", kind.name()));
    }
    let databases = || {
        let databases = offers.iter().filter(|(_, offer)| offer.resource.kind == ResourceKind::Database);
        databases.map(|(name, _)| &**name)
    };
    Some(match nearest(name, databases()) {
        Some(near) => format!("there is no database `{name}` (did you mean `{near}`?)"),
        None if databases().next().is_none() => format!("there is no database `{name}`: none is declared"),
        None => format!("there is no database `{name}` among {}", few(databases())),
    })
}
