//! What tests need beside a slot, and what this machine offers of it: a need that nobody offers is told before anything runs.

use crate::config::Config;
use crate::config::resolve::{Resolved, Rule};
use crate::config::value::MAX_SEATS;
use crate::error::{Error, Mistake};
use crate::exit::Exit;
use regatta_core::command::OF_WORKERS;
use regatta_domain::database::Engine;
use regatta_domain::filter::nearest;
use regatta_domain::resource::Hooks;
use regatta_domain::{Item, Need, Relation, Resource, ResourceKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Resources by name.
pub(crate) type Resources = BTreeMap<Arc<str>, Resource>;

/// Refuses rules that need what this machine does not offer, and suites whose databases it does not; tells all of them
/// together.
///
/// # Errors
/// When there are such rules or suites.
pub(crate) fn refuse_unoffered(
    config: &Config,
    rules: &Resolved,
    suites: &[String],
    offered: &Resources,
) -> Result<(), Error> {
    let needs = rules
        .rules
        .iter()
        .flat_map(|rule| rule.needs.iter().flat_map(|needs| needs.iter()).map(move |need| (rule, need)));
    let own = crate::here::capacities(Vec::new());
    let suffices = |need: &Need| match need.resource.strip_prefix(OF_WORKERS) {
        Some(name) => own.get(name).is_some_and(|&has| need.seats <= has),
        None => offered.get(&need.resource).is_some_and(|resource| is_open(resource) || resource.suffices(need)),
    };
    let lacking = needs.filter(|(_, need)| !suffices(need));
    let mut mistakes: Vec<Mistake> = lacking.map(|(rule, need)| mistake(rule, need, offered)).collect();
    let used = config.suites().into_iter().filter(|(name, _)| suites.iter().any(|chosen| chosen == name));
    for (name, suite) in used {
        for database in suite.database.iter().flat_map(|of| &of.value.0) {
            let resource = &database.resource.value.0;
            let lack = no_database(name, resource, offered).or_else(|| {
                let server = offered.get(resource.as_str())?.server.as_ref()?;
                (database.is_lazy() && server.engine != Engine::Postgres)
                    .then(|| not_lazy(name, resource, server.engine))
            });
            mistakes.extend(lack.map(|mistake| mistake.at(config.place(database.resource.span.clone()))));
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Error::all(Exit::Usage, mistakes)) }
}

/// Whether only time tells how much there is of it: a pool whose items a hook prints, a server whose connections are counted.
fn is_open(resource: &Resource) -> bool {
    match resource.kind {
        ResourceKind::Pool => resource.items.is_empty(),
        ResourceKind::Database => resource.seats == 0,
        _ => false,
    }
}

/// What the worker on this machine has of its own, in words.
fn owned() -> String {
    let own = crate::here::capacities(Vec::new());
    own.iter().map(|(name, has)| format!("{OF_WORKERS}{name}={has}")).collect::<Vec<_>>().join(", ")
}

fn mistake(rule: &Rule, need: &Need, offered: &Resources) -> Mistake {
    let Need { resource, seats, wants } = need;
    if let Some(own) = resource.strip_prefix(OF_WORKERS) {
        let (filter, origin) = (&rule.filter, &rule.origin);
        let what =
            format!("the tests of `{filter}` need {need}, and the worker on this machine has {} ({origin})", owned());
        return Mistake::new(what).help(format!(
            "run where a worker has it, with `--on URL` and `regatta worker --offer {own}=N`; on this machine, declare `{own}` \
             under `[resources]`, and need that"
        ));
    }
    let near = nearest(resource, offered.keys().map(|name| &**name));
    let has = match offered.get(resource) {
        Some(found) if wants.is_empty() => format!("this machine has {}", found.total()),
        Some(found) if found.items.is_empty() => {
            format!("`{resource}` is a {} and has no items to choose from", found.kind.name())
        }
        Some(found) => {
            let fit = found.items.iter().filter(|item| need.fits(item)).count();
            format!("of its {} items on this machine {fit} are so", found.total())
        }
        None if offered.is_empty() => "this machine offers no resources".to_owned(),
        None => format!("this machine offers {}", told(offered)),
    };
    let of = match *seats {
        _ if !wants.is_empty() => format!("`{need}`"),
        Need::ALL => format!("all of `{resource}`"),
        1 => format!("a seat of `{resource}`"),
        seats => format!("{seats} seats of `{resource}`"),
    };
    let what = format!("the tests of `{}` need {of}, and {has} ({})", rule.filter, rule.origin);
    Mistake::new(what).help(match near {
        Some(near) if !offered.contains_key(resource) => format!("did you mean `{near}`?"),
        _ if !wants.is_empty() => "declare such items under `[resources]`, or ask for less".to_owned(),
        _ => {
            let seats = need.of(1);
            format!("write `{resource} = {seats}` under `[resources]`, or run where it is with `--on URL`")
        }
    })
}

/// Why a suite cannot have the database that it names.
fn no_database(suite: &str, name: &str, offered: &Resources) -> Option<Mistake> {
    if let Some(resource) = offered.get(name) {
        let is_other = resource.kind != ResourceKind::Database;
        return is_other.then(|| {
            let kind = resource.kind.name();
            Mistake::new(format!("the suite `{suite}` uses the database `{name}`, and that is a {kind}"))
                .help(format!("write `kind = \"postgres\"` under `[resources.{name}]`"))
        });
    }
    let databases = || offered.iter().filter(|(_, of)| of.kind == ResourceKind::Database).map(|(name, _)| &**name);
    let what = format!("the suite `{suite}` uses the database `{name}`, which this machine does not have");
    Some(Mistake::new(what).help(match nearest(name, databases()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!(
            "write `[resources.{name}]` with `kind = \"postgres\"` (or mysql, redis, sqlite), or run where it is with `--on URL`"
        ),
    }))
}

/// Why a database of another engine is not leased on first use.
fn not_lazy(suite: &str, name: &str, engine: Engine) -> Mistake {
    let engine = engine.name();
    Mistake::new(format!("the suite `{suite}` leases the database `{name}` on first use, and that is {engine}"))
        .help("`lazy` is for PostgreSQL: leave it out")
}

/// What is offered, in words.
fn told(offered: &Resources) -> String {
    offered.iter().map(|(name, resource)| format!("{name}={}", resource.total())).collect::<Vec<_>>().join(", ")
}

/// What is offered, and as much more as `rules` ask for: enough to look at tests without running them. No hook is run for it.
pub(crate) fn enough_for(rules: &Resolved, offered: Resources) -> Resources {
    let needs = rules.rules.iter().flat_map(|rule| &rule.needs).flat_map(|needs| needs.iter());
    let bare = |(name, resource)| (name, Resource { hooks: Hooks::default(), ..resource });
    let known = offered.into_iter().filter(|(_, resource)| !is_open(resource)).map(bare);
    enough(needs, known.collect())
}

/// As much as is needed at once of everything. Where items are asked for that are not there, there are some that fit.
pub(crate) fn enough<'a>(needs: impl Iterator<Item = &'a Need>, mut offered: Resources) -> Resources {
    for need in needs.filter(|need| !need.resource.starts_with(OF_WORKERS)) {
        let seats = need.of(1).clamp(1, MAX_SEATS);
        let known = offered.entry(Arc::clone(&need.resource)).or_insert_with(|| Resource::of_seats(seats));
        if known.suffices(need) {
            continue;
        }
        if need.wants.is_empty() && known.items.is_empty() {
            *known = Resource::of_seats(seats);
        } else {
            *known = Resource::pool(std::mem::take(&mut known.items));
            let from = known.items.len();
            known.items.extend((from..from + seats as usize).map(|at| fitting(&format!("any-{at}"), need)));
        }
    }
    offered
}

/// An item that is as the need wants it, as far as one can be.
fn fitting(name: &str, need: &Need) -> Item {
    let wanted = need.wants.iter().filter(|want| want.relation != Relation::IsNot);
    let labels = wanted.map(|want| (Arc::clone(&want.label), Arc::clone(&want.value))).collect();
    Item { name: name.into(), labels, values: BTreeMap::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::File;
    use crate::config::resolve::Given;

    fn rules(text: &str) -> (Config, Resolved, Resources) {
        let (name, text): (Arc<str>, Arc<str>) = ("regatta.toml".into(), text.into());
        let file = File::parse(&name, &text, &|_| true).expect("the file makes sense");
        let base = std::path::PathBuf::from("/project");
        let config = Config { file, path: Some(base.join("regatta.toml")), base, assumed: Vec::new(), name, text };
        let rules = config.resolve("default", Given::default()).expect("the profile is there");
        let resources = config.resources();
        (config, rules, resources)
    }

    const FILE: &str = "\
[resources]
db = 1

[[profile.default.override]]
filter = \"tag(db)\"
needs = [\"db:2\", \"licence\"]
";

    #[test]
    fn a_need_that_nobody_offers_is_told_with_its_place_and_what_to_do() {
        let (config, rules, offered) = rules(FILE);
        let told = refuse_unoffered(&config, &rules, &[], &offered).expect_err("there is too little").render(false);
        let first = "error: the tests of `tag(db)` need 2 seats of `db`, and this machine has 1 (regatta.toml:5 \
                     [profile.default.override])";
        let second = "error: the tests of `tag(db)` need a seat of `licence`, and this machine offers db=1";
        assert!(told.contains(first) && told.contains(second), "{told}");
        assert!(told.contains("write `licence = 1` under `[resources]`"), "{told}");
    }

    #[test]
    fn to_look_at_tests_there_is_always_enough() {
        let (config, rules, offered) = rules(FILE);
        let enough = enough_for(&rules, offered);
        assert_eq!(told(&enough), "db=2, licence=1");
        assert_eq!(refuse_unoffered(&config, &rules, &[], &enough), Ok(()));
    }
}
