//! How the resources stand that a test waits for, as their coordinator tells: who holds them, in whatever run, and what else
//! keeps them from it.

use super::record::slot_of;
use crate::render::{safe, words};
use crate::view::View;
use regatta_domain::{Item, Micros, Need};
use regatta_wire::v1;

/// Holders, and other obstacles, that are named.
const NAMED: usize = 3;

/// Why a need is not met right now, and what would help; nothing where it could be.
pub(super) fn obstacle(
    need: &Need,
    resources: &[v1::ResourceStatus],
    view: &View,
    now: u64,
) -> Option<(String, String)> {
    let found = resources.iter().find(|status| status.resource.as_ref().is_some_and(|of| of.name == *need.resource))?;
    let (what, name) = (safe::one_line(&need.to_string()).into_owned(), safe::one_line(&need.resource).into_owned());
    if found.drained {
        let helps = format!("`regatta resources drain {name} --undo`");
        return Some((format!("it needs {what}, and {name} is drained"), helps));
    }
    let fit = fitting(need, found);
    if free(&fit, found) >= need.of(found.total.max(1)) {
        return None;
    }
    let is_fit = |items: &[String]| fit.is_empty() || items.iter().any(|item| fit.contains(&item.as_str()));
    let holders = found.holds.iter().filter(|hold| is_fit(&hold.items)).map(|hold| holder(hold, view, now));
    let kept =
        found.withheld.iter().filter(|kept| kept.item.as_ref().is_none_or(|item| is_fit(std::slice::from_ref(item))));
    let kept = kept.map(|kept| match (&kept.item, kept.until) {
        (item, Some(_)) => format!("reserved by {}{}", kept.by, of(item.as_deref())),
        (item, None) => format!("{}{}", kept.by, of(item.as_deref())),
    });
    let unwell = found.health.iter().filter(|of| of.health() != v1::Health::Well);
    let unwell = unwell.filter(|of| of.item.as_ref().is_none_or(|item| is_fit(std::slice::from_ref(item))));
    let unwell = unwell.map(|health| match health.health() {
        v1::Health::Ill => format!("ill{}", of(health.item.as_deref())),
        _ => format!("being reset{}", of(health.item.as_deref())),
    });
    let all: Vec<String> = holders.chain(kept).chain(unwell).map(|part| safe::one_line(&part).into_owned()).collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let all = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let reason = format!("it needs {what}: {all}{more}");
    Some((reason, format!("more of {name}; `regatta resources` tells who has it")))
}

fn of(item: Option<&str>) -> String {
    item.map_or_else(String::new, |item| format!(" ({item})"))
}

fn holder(hold: &v1::ResourceHold, view: &View, now: u64) -> String {
    let items = if hold.items.is_empty() { String::new() } else { format!(" ({})", hold.items.join(", ")) };
    let since = words::about(Micros(now.saturating_sub(hold.since)));
    if hold.run == view.run.to_string() {
        return format!("held by {}{items} for {since}", slot_of(view, &hold.worker, hold.slot));
    }
    format!("held by run {}{items} for {since}", hold.run.get(..8).unwrap_or(&hold.run))
}

/// The items that are as the need wants them; none where there are no items.
fn fitting<'a>(need: &Need, found: &'a v1::ResourceStatus) -> Vec<&'a str> {
    let items = found.resource.as_ref().map_or(&[][..], |resource| &resource.items);
    let fits = |item: &&v1::PoolItem| Item::try_from((*item).clone()).is_ok_and(|item| need.fits(&item));
    items.iter().filter(fits).map(|item| item.name.as_str()).collect()
}

fn free(fit: &[&str], found: &v1::ResourceStatus) -> u32 {
    let unwell = |item: Option<&str>| {
        found.health.iter().any(|of| of.item.as_deref() == item && of.health() != v1::Health::Well)
    };
    if fit.is_empty() {
        let kept: u32 = found.withheld.iter().map(|kept| kept.seats).sum();
        let free = found.total.saturating_sub(found.taken).saturating_sub(kept);
        return if unwell(None) { 0 } else { free };
    }
    let is_free = |item: &&&str| {
        let held = found.holds.iter().any(|hold| hold.items.iter().any(|held| held == **item));
        let kept = found.withheld.iter().any(|kept| kept.item.as_deref() == Some(**item));
        !held && !kept && !unwell(Some(**item))
    };
    u32::try_from(fit.iter().filter(is_free).count()).unwrap_or(u32::MAX)
}
