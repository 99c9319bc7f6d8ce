//! How each resource stands, as people are told: who holds it, who waits for it, how it is.

use crate::resources::steward::Overview;
use crate::resources::usage::Usage;
use regatta_core::state::{Entry, Phase, Queue, ResourceIx};
use regatta_core::{Core, Health, Run};
use regatta_databases::Status;
use regatta_domain::{Offer, Resource, ResourceKind, SuiteIx, Time};
use regatta_wire::resource::Named;
use regatta_wire::v1;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Every resource as it stands.
pub(super) fn list(
    core: &Core,
    overview: &Overview,
    usage: &Usage,
    databases: &BTreeMap<Arc<str>, Status>,
) -> Vec<v1::ResourceStatus> {
    let now = Time(regatta_runtime::clock::now_us());
    let status = |(name, offer): (&Arc<str>, &Offer)| {
        let holds = holds(core, name, usage);
        v1::ResourceStatus {
            resource: Some(without_secrets(name, &offer.resource)),
            declared_here: overview.declared.contains(name),
            drained: offer.drained,
            total: offer.resource.total(),
            taken: core.state().held.get(name).map_or(0, |holding| holding.seats),
            holds,
            waits: waits(core, name),
            withheld: offer.withheld.iter().map(withheld).collect(),
            health: health(core, overview, databases.get(name), (name, offer), now),
            utilisation: usage.thousandths(now, name),
            details: databases.get(name).map(details).unwrap_or_default(),
        }
    };
    overview.offers.iter().map(status).collect()
}

/// What was declared, without what belongs to holders alone.
fn without_secrets(name: &Arc<str>, resource: &Resource) -> v1::Resource {
    let mut told = v1::Resource::from(&Named { name: Arc::clone(name), resource: resource.clone() });
    told.items.iter_mut().for_each(|item| item.values.clear());
    if let Some(server) = &mut told.server {
        server.url = None;
    }
    // An argument may be a password.
    if let Some(hooks) = &mut told.hooks {
        for hook in [&mut hooks.prepare, &mut hooks.check, &mut hooks.reset, &mut hooks.dispose].into_iter().flatten() {
            hook.argv.truncate(1);
        }
    }
    told
}

fn holds(core: &Core, name: &str, usage: &Usage) -> Vec<v1::ResourceHold> {
    let state = core.state();
    let Some(holding) = state.held.get(name) else { return Vec::new() };
    let hold = |token: &regatta_domain::Token| {
        let lease = state.leases.get(token)?;
        let held = lease.holds.iter().find(|held| *held.resource == *name)?;
        Some(v1::ResourceHold {
            run: lease.run.to_string(),
            token: token.0,
            worker: lease.worker.to_string(),
            slot: lease.slot.0.into(),
            seats: held.seats,
            items: held.items.iter().map(ToString::to_string).collect(),
            since: usage.since(*token).unwrap_or_default().0,
        })
    };
    holding.tokens.iter().filter_map(hold).collect()
}

/// What waits for a resource: of each run, suite by suite.
fn waits(core: &Core, name: &str) -> Vec<v1::ResourceWait> {
    let mut waits = Vec::new();
    for run in core.state().runs.values().filter(|run| run.phase == Phase::Running) {
        let Some(at) = run.resources.iter().position(|known| **known == *name) else { continue };
        let mut suites: BTreeMap<SuiteIx, v1::ResourceWait> = BTreeMap::new();
        for &(suite, needs) in &run.demands[ResourceIx::nth(at).at()].queues {
            let Some(queue) = run.suite(suite).queues.get(&needs) else { continue };
            let wait = suites.entry(suite).or_insert_with(|| v1::ResourceWait {
                run: run.id.to_string(),
                suite: run.suite(suite).suite.name.to_string(),
                ..Default::default()
            });
            add(wait, run, queue, core.presence().bypassed.times(&(run.id, suite, needs)));
        }
        waits.extend(suites.into_values());
    }
    waits
}

fn add(wait: &mut v1::ResourceWait, run: &Run, queue: &Queue, bypassed: u32) {
    let tests = queue.iter().map(|entry| match entry {
        Entry::Group(group) => run.group(group).waiting,
        // A file that is not listed yet holds at least one.
        _ => 1,
    });
    wait.tests = wait.tests.saturating_add(tests.sum());
    wait.estimate = wait.estimate.saturating_add(queue.left().0);
    wait.bypassed = wait.bypassed.max(bypassed);
}

fn withheld(kept: &regatta_domain::resource::Withheld) -> v1::Withheld {
    v1::Withheld {
        item: kept.item.as_deref().map(str::to_owned),
        seats: kept.seats,
        until: kept.until.map(|until| until.0),
        by: kept.by.to_string(),
    }
}

/// How its items are: those that have hooks, or are not well.
fn health(
    core: &Core,
    overview: &Overview,
    server: Option<&Status>,
    (name, offer): (&Arc<str>, &Offer),
    now: Time,
) -> Vec<v1::ItemHealth> {
    let of = |item: Option<&Arc<str>>| {
        let condition = overview.conditions.get(&(Arc::clone(name), item.cloned()));
        // A server that is gone is found out by others than hooks.
        let health = core.ledger().health(name, item);
        (condition.is_some() || health != Health::Well).then(|| {
            let of_server = || server.map_or((now.0, String::new()), |server| down(server, now));
            let (since, reason) = condition.map_or_else(of_server, |condition| {
                let ago = u64::try_from(condition.since.elapsed().as_micros()).unwrap_or(u64::MAX);
                (now.0.saturating_sub(ago), condition.reason.clone())
            });
            v1::ItemHealth {
                item: item.map(ToString::to_string),
                health: word(condition.map_or(health, |condition| condition.health.max(health))).into(),
                since,
                reason,
            }
        })
    };
    if offer.resource.kind == ResourceKind::Pool {
        offer.resource.items.iter().filter_map(|item| of(Some(&item.name))).collect()
    } else {
        of(None).into_iter().collect()
    }
}

/// Since when a database server is down, and why.
fn down(server: &Status, now: Time) -> (u64, String) {
    use regatta_databases::Health;
    let (since, why) = match &server.health {
        Health::Up => return (now.0, String::new()),
        Health::Down { since, why, .. } => (since, why.clone()),
        Health::Probing { since } => (since, "the server is down; it is being tried again".to_owned()),
    };
    let since = since
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(now.0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
    (since, why)
}

const fn word(health: Health) -> v1::Health {
    match health {
        Health::Well => v1::Health::Well,
        Health::Busy => v1::Health::Busy,
        Health::Ill => v1::Health::Ill,
    }
}

/// What there is to say of a server.
fn details(status: &Status) -> Vec<String> {
    let Status { capacity, leased, pooled, templates, made, reused, dropped, rate, lease, release, .. } = status;
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    let mut lines = vec![
        format!(
            "{leased} of {capacity} databases leased, {pooled} ready; {made} made, {reused} reused, {dropped} dropped"
        ),
        format!(
            "{rate:.1} leases per second; leasing takes {:.1} ms (99 of 100: {:.1} ms), giving back {:.1} ms ({:.1} ms)",
            ms(lease.0),
            ms(lease.1),
            ms(release.0),
            ms(release.1)
        ),
    ];
    lines.extend(templates.iter().map(|template| {
        let short = template.template.to_string();
        let trouble = if template.trouble.is_empty() { String::new() } else { format!("; {}", template.trouble) };
        let (mb, pooled, leased) = (template.bytes.div_ceil(1024 * 1024), template.pooled, template.leased);
        format!("template {}: {mb} MB, {pooled} ready, {leased} leased{trouble}", &short[..12.min(short.len())])
    }));
    lines
}
