//! Predicts a run: how long it takes on so many slots, what binds it, and what more slots would bring.

mod document;
mod human;
mod picture;

use super::run::{perform_listing, perform_listing_on, reach, unreachable};
use super::{block_on, print};
use crate::args::{NoTests, PlanArgs, Rules, ServerUrl, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::forecast::{Fleet, Outlook, Prospect, Reach};
use crate::here::slots_of_machine;
use crate::intent::{Context, Plan};
use crate::render::{self, Paint};
use crate::view::View;
use crate::{link, needs};
use regatta_domain::Micros;
use regatta_wire::v1;
use regatta_wire::v1::fleet_client::FleetClient;
use std::io::IsTerminal as _;
use std::path::Path;
use tonic::transport::Channel;

/// Beyond so many tests, a table over all numbers of slots takes longer than anybody waits for.
const TABLE: usize = 200_000;

/// A prediction, to be told.
struct Prediction<'a> {
    prospect: &'a Prospect<'a>,
    outlook: Outlook,
    table: Vec<(u32, Micros)>,
    target: Option<(Micros, Reach)>,
}

/// Predicts a run.
pub(crate) fn plan(args: PlanArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let rules = Rules { target: args.target, ..Rules::default() };
    let plan = context.plan(&args.selection, &rules, None)?;
    let target = plan.rules.target.value;
    let (view, fleet) = match &args.on {
        None => here(plan, context)?,
        Some(url) => block_on(there(plan, url, context))??,
    };
    for at in &view.errors {
        eprintln!("error: {}: {}", at.error.place, at.error.message);
    }
    let slots = args.slots.unwrap_or(fleet.slots);
    let prospect = Prospect::new(&view, fleet);
    let nothing = prospect.count() == 0;
    let prediction = Prediction {
        outlook: prospect.on(slots),
        table: if nothing || prospect.count() > TABLE { Vec::new() } else { prospect.table() },
        target: target.filter(|_| !nothing).map(|target| (target, crate::forecast::reach(&prospect, target))),
        prospect: &prospect,
    };
    if let Some(path) = &args.out {
        write(&context.cwd.join(path), &document::schedule(&prediction))?;
    }
    print(&match args.format {
        TableFormat::Human => human::text(&prediction) + &drawn(&prediction),
        TableFormat::Json => format!("{:#}\n", document::summary(&prediction)),
    })?;
    Ok(match args.selection.no_tests {
        _ if !view.errors.is_empty() => Exit::TestsFailed,
        NoTests::Fail if nothing => Exit::NoTests,
        _ => Exit::Ok,
    })
}

/// The plan of a run in this process.
fn here(plan: Plan, context: &Context<'_>) -> Result<(View, Fleet), Error> {
    let resources = plan.config.resources();
    needs::refuse_unoffered(&plan.config, &plan.rules, &plan.chosen.suites, &resources)?;
    let slots = plan.rules.slots.value.unwrap_or_else(slots_of_machine);
    let fleet = Fleet::here(slots.into(), &plan.config.labels(), resources);
    Ok((block_on(perform_listing(plan, context))??, fleet))
}

/// The plan of a run on a coordinator's workers, which list what nobody remembers.
async fn there(plan: Plan, url: &ServerUrl, context: &Context<'_>) -> Result<(View, Fleet), Error> {
    let channel = link::to(url);
    reach(&channel).await.map_err(|status| unreachable(url, &status))?;
    let told = fleet(channel.clone()).await?;
    let none = || {
        Error::infrastructure(format!("no worker takes work from {url}"))
            .help(format!("start one with `regatta worker --on {url}`, or plan for this machine without `--on`"))
    };
    let fleet = Fleet::of(&told).ok_or_else(none)?;
    Ok((perform_listing_on(plan, channel, context).await?, fleet))
}

/// Who takes work, and what there is to need.
pub(super) async fn fleet(channel: Channel) -> Result<v1::WorkersResponse, Error> {
    let told = FleetClient::new(channel).workers(v1::WorkersRequest {}).await;
    Ok(told.map_err(|status| Error::infrastructure("the workers cannot be listed").because(&status))?.into_inner())
}

fn write(path: &Path, document: &serde_json::Value) -> Result<(), Error> {
    std::fs::write(path, format!("{document}\n")).map_err(|error| {
        Error::infrastructure(format!("the schedule cannot be written to {}", path.display())).because(&error)
    })
}

/// The picture of the slots, where somebody looks at it.
fn drawn(prediction: &Prediction<'_>) -> String {
    if !std::io::stdout().is_terminal() || prediction.outlook.shifts.is_empty() {
        return String::new();
    }
    let columns = render::size().map_or(80, |size| size.columns);
    let unicode = render::unicode(&|name: &str| std::env::var_os(name));
    let paint = Paint { colour: false, unicode };
    format!("\n{}", picture::picture(&prediction.outlook, columns, paint))
}
