//! What was typed, and what was meant by it.

use super::cases::Named;
use super::laboratory::{Plan, Scheduler};
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// How the program is used.
pub const USAGE: &str = "\
Schedules suites on a virtual clock, with Regatta's core and with what others do, and says how close each comes to the
lower bound.

schedule [--trace FILE]... [--slots N]... [--startup S]... [--case NAME]... [--policy NAME]... [--seeds N] [--json] [--quick]

  --trace FILE   a trace (.json or .json.gz, as described in tests/load/traces); without one: synthetic suites, what Regatta
                 recorded itself, and ../shared/traces/onegov.json.gz where it is there
  --slots N      how many slots, 1 to 100000 (32)
  --startup S    seconds that a process takes to start, 0 to 3600 (2)
  --case NAME    which cases (all)
  --policy NAME  which policies (all)
  --seeds N      how often each version is run, 1 to 1000 (1)
  --json         one JSON object a cell and line
  --quick        at most four versions of each suite
  --cost         what the scheduler itself costs instead, as suite and fleet grow
";

/// The most versions of a suite with `--quick`.
pub const QUICK: usize = 4;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Arguments {
    /// The traces that were named.
    pub traces: Vec<PathBuf>,
    /// What is measured.
    pub plan: Plan,
    /// Whether for machines.
    pub json: bool,
    /// Whether a few versions do.
    pub quick: bool,
    /// Whether what the scheduler itself costs is measured instead.
    pub cost: bool,
    /// Whether only the usage is asked for.
    pub help: bool,
}

impl Arguments {
    /// Reads the arguments. What is wrong with them is told in a sentence.
    pub fn parse(typed: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut given =
            Self { traces: Vec::new(), plan: Plan::nothing(), json: false, quick: false, cost: false, help: false };
        let mut typed = typed.into_iter();
        while let Some(flag) = typed.next() {
            match flag.as_str() {
                "--json" => given.json = true,
                "--quick" => given.quick = true,
                "--cost" => given.cost = true,
                "--help" | "-h" => given.help = true,
                "--trace" | "--slots" | "--startup" | "--case" | "--policy" | "--seeds" => {
                    let value = typed.next().ok_or_else(|| format!("{flag} needs a value"))?;
                    given.take(&flag, &value)?;
                }
                other => return Err(format!("`{other}` is not known")),
            }
        }
        given.plan.fill();
        Ok(given)
    }

    fn take(&mut self, flag: &str, value: &str) -> Result<(), String> {
        match flag {
            "--trace" => self.traces.push(value.into()),
            "--slots" => self.plan.slots.push(number(flag, value, 1, 100_000)?),
            "--startup" => self.plan.startups.push(number(flag, value, 0.0, 3600.0)?),
            "--seeds" => self.plan.seeds = number(flag, value, 1, 1000)?,
            "--case" => self.plan.cases.push(one_of(flag, value, &Named::ALL, |case| case.name())?),
            _ => self.plan.schedulers.push(one_of(flag, value, &Scheduler::all(), |scheduler| scheduler.name())?),
        }
        Ok(())
    }
}

impl Plan {
    const fn nothing() -> Self {
        Self { schedulers: Vec::new(), cases: Vec::new(), slots: Vec::new(), startups: Vec::new(), seeds: 1 }
    }

    /// What was not said is as usual; what was said twice is done once.
    fn fill(&mut self) {
        fill(&mut self.schedulers, Scheduler::all());
        fill(&mut self.cases, Named::ALL.to_vec());
        fill(&mut self.slots, vec![32]);
        fill(&mut self.startups, vec![2.0]);
    }
}

fn fill<T: Copy + PartialOrd>(given: &mut Vec<T>, usual: Vec<T>) {
    if given.is_empty() {
        *given = usual;
    }
    given.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    given.dedup();
}

fn number<T: FromStr + PartialOrd + Display>(flag: &str, value: &str, least: T, most: T) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("{flag} is a number from {least} to {most}, not `{value}`"))
}

fn one_of<T: Copy>(flag: &str, value: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, String> {
    let found = all.iter().copied().find(|one| name(*one) == value);
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
        format!("{flag} is one of {}, not `{value}`", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &str) -> Result<Arguments, String> {
        Arguments::parse(typed.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let given = parse("").expect("nothing is fine");
        assert_eq!((given.plan.slots, given.plan.startups, given.plan.seeds), (vec![32], vec![2.0], 1));
        assert_eq!((given.plan.cases.len(), given.plan.schedulers.len()), (Named::ALL.len(), Scheduler::all().len()));
        assert!(!given.json && !given.quick && given.traces.is_empty());
    }

    #[test]
    fn what_is_said_twice_is_done_once_and_in_order() {
        let given =
            parse("--slots 64 --slots 8 --slots 64 --case none --case clean --startup 0 --json --trace a --trace b");
        let given = given.expect("it can be read");
        assert_eq!((given.plan.slots, given.plan.startups), (vec![8, 64], vec![0.0]));
        assert_eq!(given.plan.cases, [Named::Clean, Named::None]);
        assert_eq!((given.json, given.traces.len()), (true, 2));
    }

    #[test]
    fn a_mistake_is_told_with_what_would_be_right() {
        let says = |typed: &str, part: &str| {
            let told = parse(typed).expect_err("it is a mistake");
            assert!(told.contains(part), "{told}");
        };
        says("--slots", "--slots needs a value");
        says("--slots 0", "from 1 to 100000, not `0`");
        says("--startup NaN", "from 0 to 3600, not `NaN`");
        says("--startup -1", "not `-1`");
        says("--case dirty", "one of clean, noise");
        says("--policy x", "one of regatta, count");
        says("--verbose", "`--verbose` is not known");
    }
}
