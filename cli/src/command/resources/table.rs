//! Resources as people read them, and as tools do.

use super::reserve::short;
use crate::render::{safe, words};
use regatta_domain::{Micros, ResourceKind};
use regatta_wire::v1;
use regatta_wire::verdict::Closed as _;
use std::fmt::Write as _;

const HEAD: [&str; 7] = ["NAME", "KIND", "FREE", "HELD BY", "WAITING", "HEALTH", "USED"];

/// The table, and under each resource what there is to say of it.
pub(super) fn table(resources: &[v1::ResourceStatus], now: u64) -> String {
    let rows: Vec<[String; 7]> = resources.iter().map(row).collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.chain([HEAD[at].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        let _infallible = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(&HEAD.map(str::to_owned));
    for (row, status) in rows.iter().zip(resources) {
        line(row);
        notes(status, now).into_iter().for_each(|note| line(&[format!("  {note}")]));
    }
    text
}

fn row(status: &v1::ResourceStatus) -> [String; 7] {
    let resource = status.resource.clone().unwrap_or_default();
    let is_shared = resource.kind() == v1::ResourceKind::ReadersWriter;
    let free = match is_shared {
        true if status.taken == 0 => "yes".to_owned(),
        true if status.taken >= status.total => "written".to_owned(),
        true => format!("{} read", status.taken),
        false => format!("{}/{}", free(status), status.total),
    };
    let mut runs: Vec<&str> = status.holds.iter().map(|hold| short(&hold.run)).collect();
    runs.sort_unstable();
    runs.dedup();
    let held = if runs.is_empty() { "-".to_owned() } else { format!("run {}", runs.join(", ")) };
    let waiting: u32 = status.waits.iter().map(|wait| wait.tests).sum();
    let waiting = if waiting == 0 { "-".to_owned() } else { words::count_of(waiting as usize, "test") };
    [
        safe::one_line(&resource.name).into_owned(),
        kind(&resource).to_owned(),
        free,
        held,
        waiting,
        health(status),
        format!("{}.{}%", status.utilisation / 10, status.utilisation % 10),
    ]
}

fn kind(resource: &v1::Resource) -> &'static str {
    let engine = resource.server.as_ref().and_then(|server| regatta_domain::database::Engine::read(server.engine));
    match (engine, ResourceKind::read(resource.kind)) {
        (Some(engine), _) => engine.name(),
        (None, Some(kind)) => kind.name(),
        (None, None) => "?",
    }
}

/// What could be granted right now.
fn free(status: &v1::ResourceStatus) -> u32 {
    let items = status.resource.as_ref().map_or(&[][..], |resource| &resource.items);
    if status.drained {
        return 0;
    }
    let is_ill = |item: Option<&str>| {
        let unwell = |of: &v1::ItemHealth| of.item.as_deref() == item && of.health() != v1::Health::Well;
        status.health.iter().any(unwell)
    };
    if items.is_empty() {
        let kept: u32 = status.withheld.iter().map(|kept| kept.seats).sum();
        let free = status.total.saturating_sub(status.taken).saturating_sub(kept);
        return if is_ill(None) { 0 } else { free };
    }
    let is_free = |item: &&v1::PoolItem| {
        let held = status.holds.iter().any(|hold| hold.items.contains(&item.name));
        let kept = status.withheld.iter().any(|kept| kept.item.as_ref() == Some(&item.name));
        !held && !kept && !is_ill(Some(&item.name))
    };
    u32::try_from(items.iter().filter(is_free).count()).unwrap_or(u32::MAX)
}

fn health(status: &v1::ResourceStatus) -> String {
    if status.drained {
        return "drained".to_owned();
    }
    let count = |health| status.health.iter().filter(|of| of.health() == health).count();
    match (count(v1::Health::Ill), count(v1::Health::Busy)) {
        (0, 0) => "well".to_owned(),
        (0, busy) => format!("{busy} busy"),
        (ill, 0) => format!("{ill} ill"),
        (ill, busy) => format!("{ill} ill, {busy} busy"),
    }
}

/// What a line has no room for.
fn notes(status: &v1::ResourceStatus, now: u64) -> Vec<String> {
    let ago = |moment: u64| words::about(Micros(now.saturating_sub(moment)));
    let mut notes = Vec::new();
    for hold in &status.holds {
        let what = if hold.items.is_empty() { seats(hold.seats, status.total) } else { hold.items.join(", ") };
        notes.push(format!(
            "{what}: run {} on worker {}, slot {}, for {} (token {})",
            short(&hold.run),
            short(&hold.worker),
            hold.slot,
            ago(hold.since),
            hold.token
        ));
    }
    for wait in &status.waits {
        let tests = words::count_of(wait.tests as usize, "test");
        let bypassed = match wait.bypassed {
            0 => String::new(),
            times => format!(", passed over {times} times"),
        };
        notes.push(format!(
            "waiting: {tests} of {} in run {}, {} together{bypassed}",
            wait.suite,
            short(&wait.run),
            words::about(Micros(wait.estimate))
        ));
    }
    for kept in &status.withheld {
        let what = kept.item.clone().unwrap_or_else(|| seats(kept.seats, status.total));
        notes.push(match kept.until {
            Some(until) => {
                let left = words::about(Micros(until.saturating_sub(now)));
                format!("{what}: reserved by {}, for another {left}", kept.by)
            }
            None => format!("{what}: {}", kept.by),
        });
    }
    for of in status.health.iter().filter(|of| of.health() != v1::Health::Well) {
        let word = if of.health() == v1::Health::Ill { "ill" } else { "being prepared or reset" };
        let what = of.item.as_ref().map_or_else(String::new, |item| format!("{item}: "));
        let reason = if of.reason.is_empty() { String::new() } else { format!(": {}", of.reason) };
        notes.push(format!("{what}{word} for {}{reason}", ago(of.since)));
    }
    notes.extend(status.details.iter().cloned());
    notes.iter().map(|note| safe::one_line(note).into_owned()).collect()
}

fn seats(seats: u32, total: u32) -> String {
    if seats >= total && total > 1 { "all of it".to_owned() } else { words::count_of(seats as usize, "seat") }
}

/// A resource for tools.
pub(super) fn object(status: &v1::ResourceStatus) -> serde_json::Value {
    let resource = status.resource.clone().unwrap_or_default();
    let seconds = |micros: u64| Micros(micros).as_secs_f64();
    let labels = |item: &v1::PoolItem| -> serde_json::Map<String, serde_json::Value> {
        item.labels.iter().map(|label| (label.name.clone(), label.value.clone().into())).collect()
    };
    serde_json::json!({
        "name": resource.name,
        "kind": kind(&resource),
        "declared_here": status.declared_here,
        "drained": status.drained,
        "total": status.total,
        "taken": status.taken,
        "free": free(status),
        "utilisation": f64::from(status.utilisation) / 1_000.0,
        "items": resource.items.iter().map(|item| serde_json::json!({
            "name": item.name,
            "labels": labels(item),
        })).collect::<Vec<_>>(),
        "holds": status.holds.iter().map(|hold| serde_json::json!({
            "run": hold.run,
            "token": hold.token,
            "worker": hold.worker,
            "slot": hold.slot,
            "seats": hold.seats,
            "items": hold.items,
            "since": seconds(hold.since),
        })).collect::<Vec<_>>(),
        "waits": status.waits.iter().map(|wait| serde_json::json!({
            "run": wait.run,
            "suite": wait.suite,
            "tests": wait.tests,
            "estimate": seconds(wait.estimate),
            "bypassed": wait.bypassed,
        })).collect::<Vec<_>>(),
        "withheld": status.withheld.iter().map(|kept| serde_json::json!({
            "item": kept.item,
            "seats": kept.seats,
            "until": kept.until.map(seconds),
            "by": kept.by,
        })).collect::<Vec<_>>(),
        "health": status.health.iter().map(|of| serde_json::json!({
            "item": of.item,
            "health": of.health().as_str_name().trim_start_matches("HEALTH_").to_lowercase(),
            "since": seconds(of.since),
            "reason": of.reason,
        })).collect::<Vec<_>>(),
        "details": status.details,
    })
}
