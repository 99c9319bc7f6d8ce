//! What tests need beside a slot, and what this machine offers of it: a need that nobody offers is told before anything runs.

use crate::config::resolve::{Resolved, Rule};
use crate::error::{Error, Mistake};
use crate::exit::Exit;
use regatta_domain::Need;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Resources by name, with their seats.
pub(crate) type Seats = BTreeMap<Arc<str>, u32>;

/// Refuses rules that need what this machine does not offer; tells all of them together.
///
/// # Errors
/// When there are such rules.
pub(crate) fn refuse_unoffered(rules: &Resolved, offered: &Seats) -> Result<(), Error> {
    let needs = rules
        .rules
        .iter()
        .flat_map(|rule| rule.needs.iter().flat_map(|needs| needs.iter()).map(move |need| (rule, need)));
    let lacking = needs.filter(|(_, need)| offered.get(&need.resource).copied().unwrap_or_default() < need.seats);
    let mistakes: Vec<Mistake> = lacking.map(|(rule, need)| mistake(rule, need, offered)).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(Error::all(Exit::Usage, mistakes)) }
}

fn mistake(rule: &Rule, need: &Need, offered: &Seats) -> Mistake {
    let Need { resource, seats, .. } = need;
    let has = match offered.get(resource) {
        Some(has) => format!("this machine has {has}"),
        None if offered.is_empty() => "this machine offers no resources".to_owned(),
        None => format!("this machine offers {}", told(offered)),
    };
    let of = if *seats == 1 { "a seat".to_owned() } else { format!("{seats} seats") };
    let what = format!("the tests of `{}` need {of} of `{resource}`, and {has} ({})", rule.filter, rule.origin);
    Mistake::new(what)
        .help(format!("write `{resource} = {seats}` under `[resources]`, or run where it is with `--on URL`"))
}

/// What is offered, in words.
fn told(offered: &Seats) -> String {
    offered.iter().map(|(name, seats)| format!("{name}={seats}")).collect::<Vec<_>>().join(", ")
}

/// What is offered, and as much more as `rules` ask for: enough to look at tests without running them.
pub(crate) fn enough_for(rules: &Resolved, mut offered: Seats) -> Seats {
    for need in rules.rules.iter().flat_map(|rule| &rule.needs).flat_map(|needs| needs.iter()) {
        let seats = offered.entry(Arc::clone(&need.resource)).or_default();
        *seats = need.seats.max(*seats);
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::file::File;
    use crate::config::resolve::Given;

    fn rules(text: &str) -> (Resolved, Seats) {
        let (name, text): (Arc<str>, Arc<str>) = ("regatta.toml".into(), text.into());
        let file = File::parse(&name, &text, &|_| true).expect("the file makes sense");
        let base = std::path::PathBuf::from("/project");
        let config = Config { file, path: Some(base.join("regatta.toml")), base, assumed: Vec::new(), name, text };
        (config.resolve("default", Given::default()).expect("the profile is there"), config.resources())
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
        let (rules, offered) = rules(FILE);
        let told = refuse_unoffered(&rules, &offered).expect_err("there is too little").render(false);
        let first = "error: the tests of `tag(db)` need 2 seats of `db`, and this machine has 1 (regatta.toml:5 \
                     [profile.default.override])";
        let second = "error: the tests of `tag(db)` need a seat of `licence`, and this machine offers db=1";
        assert!(told.contains(first) && told.contains(second), "{told}");
        assert!(told.contains("write `licence = 1` under `[resources]`"), "{told}");
    }

    #[test]
    fn to_look_at_tests_there_is_always_enough() {
        let (rules, offered) = rules(FILE);
        let enough = enough_for(&rules, offered);
        assert_eq!(told(&enough), "db=2, licence=1");
        assert_eq!(refuse_unoffered(&rules, &enough), Ok(()));
    }
}
