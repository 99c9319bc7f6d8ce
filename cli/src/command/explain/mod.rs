//! Explains an exit code, how a filter is read, and from its record why a test ran where it did, or what a run came to.

mod find;
mod record;
mod run;
mod stand;
mod test;

use super::place::{self, Answering};
use super::{block_on, plan, print};
use crate::args::{ExplainArgs, RunRef};
use crate::error::{Error, Mistake, Place};
use crate::exit::Exit;
use crate::forecast::Fleet;
use crate::intent::Context;
use record::Record;
use regatta_domain::filter::{Filter, nearest};
use regatta_wire::v1;
use regatta_wire::v1::resources_client::ResourcesClient;

/// The width that paragraphs are wrapped to.
const COLUMNS: usize = 80;

/// Explains what was asked about.
pub(crate) fn explain(args: &ExplainArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let text = match (args.what.as_str(), &args.filter) {
        ("filter", Some(text)) => filter(text)?,
        (what, None) if args.run.is_none() && is_code(what) => code(what)?,
        (what, None) => block_on(recorded(what, args, context))??,
        (_, Some(_)) => {
            return Err(Error::usage("only a filter has something to explain after it")
                .help("write `regatta explain filter 'EXPRESSION'`, or `regatta explain CODE|TEST|RUN`"));
        }
    };
    print(&text)?;
    Ok(Exit::Ok)
}

/// Whether a word is an exit code, or meant to be one: a small number, a name or nearly one.
fn is_code(what: &str) -> bool {
    let small = what.len() < 4 && what.chars().all(|c| c.is_ascii_digit());
    let plain =
        !what.contains(['/', ':', '.', '[']) && nearest(what, Exit::ALL.iter().map(|exit| exit.name())).is_some();
    small || Exit::named(what).is_some() || plain
}

/// A run, where a word can only mean that: `latest`, or four digits of an id and more.
fn run_of(what: &str) -> Option<RunRef> {
    let run: RunRef = what.parse().ok()?;
    (run == RunRef::Latest || what.len() >= 4).then_some(run)
}

/// Explains a test, or a run, from what was recorded.
async fn recorded(what: &str, args: &ExplainArgs, context: &Context<'_>) -> Result<String, Error> {
    let answering = Answering::at(args.on.as_ref(), context).await?;
    let mut client = answering.runs();
    let asked = async {
        let meant = if args.run.is_none() { run_of(what) } else { None };
        let found = match &meant {
            // Four letters of a test's name may look like the beginning of an id.
            Some(meant) => place::find(&mut client, meant).await.ok(),
            None => None,
        };
        let meant = meant.filter(|meant| found.is_some() || *meant == RunRef::Latest);
        let run = match found {
            Some(run) => run,
            None => place::find(&mut client, args.run.as_ref().unwrap_or(&RunRef::Latest)).await?,
        };
        let mut record = Record::read(&mut client, run).await?;
        let told = match args.on {
            Some(_) => Some(plan::fleet(answering.channel.clone()).await?),
            None => None,
        };
        if meant.is_some() {
            let fleet = match &told {
                Some(told) => Fleet::of(told),
                None => here(&record, context),
            };
            record.view.seats = fleet.as_ref().map(Fleet::seats).unwrap_or_default();
            return Ok(run::text(&record, fleet, told.as_ref()));
        }
        let test = find::test(&record.view, what)?;
        // Without it, what is known of the run alone is told.
        let resources = match args.on {
            Some(_) => ResourcesClient::new(answering.channel.clone()).list(v1::ListResourcesRequest {}).await.ok(),
            None => None,
        };
        let resources = resources.map(|listed| listed.into_inner().resources).unwrap_or_default();
        Ok(test::text(&record, test, told.as_ref(), &resources))
    };
    let text = asked.await;
    drop(client);
    answering.end().await?;
    text
}

/// This machine, as a run on it had it.
fn here(record: &Record, context: &Context<'_>) -> Option<Fleet> {
    let config = context.config().ok()?;
    let slots = u32::try_from(record.view.slots.len()).unwrap_or(u32::MAX);
    Some(Fleet::here(slots, &config.labels(), config.resources()))
}

fn code(what: &str) -> Result<String, Error> {
    let Some(exit) = Exit::named(what) else {
        let names = || Exit::ALL.iter().map(|exit| exit.name());
        let all: Vec<String> = Exit::ALL.iter().map(|exit| format!("{} ({})", exit.code(), exit.name())).collect();
        return Err(Error::usage(format!("there is no exit code `{what}`")).help(match nearest(what, names()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are {}", all.join(", ")),
        }));
    };
    Ok(format!("{} {}\n\n{}\n", exit.code(), exit.name(), wrap(exit.explanation())))
}

fn filter(text: &str) -> Result<String, Error> {
    let filter = Filter::parse(text).map_err(|error| {
        let place = Place { name: "FILTER".into(), text: text.into(), span: 0..text.len() };
        Error::new(Exit::Usage, Mistake::in_filter(&error, place))
    })?;
    let mut lines = format!("{filter}\n\n");
    for (depth, branch) in filter.branches() {
        let what = match branch {
            Filter::And(_) => "all of".to_owned(),
            Filter::Or(_) => "any of".to_owned(),
            Filter::Not(_) => "not".to_owned(),
            leaf => leaf.to_string(),
        };
        lines.push_str(&format!("{}{what}\n", "  ".repeat(depth)));
    }
    let needs = match (filter.needs_history(), filter.needs_changes()) {
        (true, true) => "\nIt asks history and the state of the checkout.\n",
        (true, false) => "\nIt asks history.\n",
        (false, true) => "\nIt asks the state of the checkout.\n",
        (false, false) => "",
    };
    Ok(lines + needs)
}

fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped
}

#[cfg(test)]
mod tests;
