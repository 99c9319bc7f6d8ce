//! Keeping an item, or seats, for a person.

use super::{listed, print, refused};
use crate::args::ReserveArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::{safe, words};
use regatta_domain::{Micros, duration};
use regatta_wire::v1;
use regatta_wire::v1::resources_client::ResourcesClient;
use std::time::Duration;
use tonic::transport::Channel;

/// How often one who waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Reserves, or gives back.
pub(super) async fn reserve(
    client: &mut ResourcesClient<Channel>,
    args: &ReserveArgs,
    by: &str,
    on: &str,
) -> Result<Exit, Error> {
    let what = args.what.to_string();
    let time = args.time.filter(|_| !args.give_back).map_or(Micros::ZERO, |time| time.0);
    let mut request = v1::ReserveRequest {
        name: args.what.name.clone(),
        item: args.what.item.clone(),
        seats: args.seats,
        time: time.0,
        by: by.to_owned(),
    };
    if args.give_back {
        ask(client, &request, &format!("`{what}` cannot be given back")).await?;
        eprintln!("gave {what} back");
        return Ok(Exit::Ok);
    }
    let failed = format!("`{what}` cannot be reserved");
    let mut reserved = ask(client, &request, &failed).await?;
    request.item.clone_from(&reserved.item);
    let kept = reserved.item.as_ref().map_or_else(|| what.clone(), |item| format!("{}/{item}", args.what.name));
    let back = format!("regatta resources reserve {} --give-back --by {} --on {on}", args.what.name, quoted(by));
    if args.wait {
        tokio::select! {
            waited = free(client, &args.what.name, reserved.item.as_deref(), &kept) => waited?,
            // Whoever stops waiting does not want it any more.
            _ = tokio::signal::ctrl_c() => {
                ask(client, &v1::ReserveRequest { time: 0, ..request }, "the reservation cannot be given back").await?;
                eprintln!("gave {kept} back");
                return Ok(Exit::Interrupted);
            }
        }
        // The time begins when it is theirs.
        reserved = ask(client, &request, &failed).await?;
    }
    if reserved.held > 0 {
        let held = words::count_of(reserved.held as usize, "lease");
        eprintln!(
            "{kept} is kept for {by}, and held by {held} until then: `--wait` waits, and prints what it is reached by"
        );
    } else {
        eprintln!("{kept} is yours for {}", duration::text(time));
    }
    eprintln!("to give it back: {back}");
    let lines: String = reserved.values.iter().map(|value| format!("{}={}\n", value.name, value.value)).collect();
    print(&lines)?;
    Ok(Exit::Ok)
}

async fn ask(
    client: &mut ResourcesClient<Channel>,
    request: &v1::ReserveRequest,
    failed: &str,
) -> Result<v1::ReserveResponse, Error> {
    let reserved = client.reserve(request.clone()).await;
    reserved.map(tonic::Response::into_inner).map_err(|status| refused(failed, &status))
}

/// Waits until nobody holds it, and says who does as long as somebody does.
async fn free(client: &mut ResourcesClient<Channel>, name: &str, item: Option<&str>, kept: &str) -> Result<(), Error> {
    let mut said = String::new();
    loop {
        let resources = listed(client).await?;
        let found = resources.iter().find(|status| status.resource.as_ref().is_some_and(|of| of.name == name));
        let Some(found) = found else {
            return Err(Error::usage(format!("`{name}` was withdrawn meanwhile")));
        };
        let Some(why) = obstacle(found, item) else { return Ok(()) };
        if why != said {
            eprintln!("{kept} is kept for you; {why}");
            said = why;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Why it is not free yet, in words.
fn obstacle(found: &v1::ResourceStatus, item: Option<&str>) -> Option<String> {
    let is_it = |hold: &&v1::ResourceHold| item.is_none_or(|item| hold.items.iter().any(|held| held == item));
    let holders: Vec<String> = found
        .holds
        .iter()
        .filter(is_it)
        .map(|hold| format!("run {} on worker {}", short(&hold.run), short(&hold.worker)))
        .collect();
    if !holders.is_empty() {
        return Some(format!("waits for {}", holders.join(", ")));
    }
    let is_busy = |health: &&v1::ItemHealth| {
        health.health() == v1::Health::Busy && (item.is_none() || health.item.as_deref() == item)
    };
    found.health.iter().find(is_busy).map(|_| "waits until it is reset".to_owned())
}

/// How an id begins.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._-:/".contains(c);
    let text = safe::one_line(text);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
