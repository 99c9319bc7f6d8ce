//! The command line as a table.

use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// Every flag of `command` and those below it, with the path to it.
fn flags(path: &str, command: &clap::Command, found: &mut Vec<(String, clap::Arg)>) {
    let path = format!("{path} {}", command.get_name());
    for arg in command.get_arguments().filter(|arg| arg.get_long().is_some()) {
        found.push((path.clone(), arg.clone()));
    }
    command.get_subcommands().for_each(|below| flags(&path, below, found));
}

#[test]
fn every_flag_has_a_variable_of_its_name() {
    let mut found = Vec::new();
    flags("", &Cli::command(), &mut found);
    assert!(found.len() > 40);
    for (path, arg) in found {
        let long = arg.get_long().expect("flags are long");
        if matches!(long, "help" | "version") {
            continue;
        }
        let wanted = format!("REGATTA_{}", long.replace('-', "_").to_uppercase());
        let env = arg.get_env().map(|env| env.to_string_lossy().into_owned());
        assert_eq!(env.as_deref(), Some(wanted.as_str()), "{path} --{long}");
    }
}

fn parse(words: &[&str]) -> Result<Cli, String> {
    Cli::try_parse_from(std::iter::once("regatta").chain(words.iter().copied())).map_err(|error| error.to_string())
}

#[test]
fn switches_that_also_say_how_much_take_it_after_an_equals_sign() {
    use crate::config::value::{FailFast, Shuffle};
    let rules = |words: &[&str]| match parse(words).expect("the arguments make sense").command {
        Command::Run(run) => (run.rules.fail_fast, run.rules.shuffle, run.selection.what),
        other => panic!("{other:?}"),
    };
    let what = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(rules(&["run", "--fail-fast", "3"]), (Some(FailFast(Some(1))), None, what(&["3"])));
    assert_eq!(rules(&["run", "--fail-fast=3"]), (Some(FailFast(Some(3))), None, what(&[])));
    assert_eq!(rules(&["run", "--fail-fast=never"]), (Some(FailFast(None)), None, what(&[])));
    assert_eq!(rules(&["run", "--shuffle", "api"]), (None, Some(Shuffle::Drawn), what(&["api"])));
    assert_eq!(rules(&["run", "--shuffle=42"]), (None, Some(Shuffle::Seed(42)), what(&[])));
    assert_eq!(rules(&["run", "--shuffle=off"]), (None, Some(Shuffle::Off), what(&[])));
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_a_reason() {
    let cases: [(&[&str], &str); 14] = [
        (&["lst"], "similar subcommand exists: 'list'"),
        (&["run", "--slots", "0"], "1..=1024"),
        (&["run", "--timeout", "5"], "needs one of the units"),
        (&["run", "--timeout", "0s"], "longer than nothing"),
        (&["run", "--fail-fast=0"], "a number of failures, or `never`"),
        (&["run", "--shuffle=x"], "a seed, `random`, or `off`"),
        (&["run", "--report", "junit"], "a report is FORMAT=PATH"),
        (&["run", "--on", "ftp://a"], "http://HOST:PORT"),
        (&["run", "--on", "http://a:99999"], "http://HOST:PORT"),
        (&["run", "--fallback", "local"], "--on"),
        (&["worker"], "--on <URL>"),
        (&["watch", "latest_one", "--on", "a:1"], "how its id begins"),
        (&["run", "--no-test", "pass"], "a similar argument exists: '--no-tests'"),
        (&["explain", "filter"], "<FILTER>"),
    ];
    for (words, wanted) in cases {
        let error = parse(words).expect_err("the arguments make no sense");
        assert!(error.contains(wanted), "{words:?}: {error}");
    }
}

#[test]
fn one_or_several_coordinators_are_addressed_with_and_without_a_scheme() {
    for (given, wanted) in [("build:7420", "http://build:7420"), ("a:1,http://b/", "http://a:1,http://b")] {
        let url: ServerUrl = given.parse().unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(url.to_string(), wanted);
    }
    assert!("a:1,,b:1".parse::<ServerUrl>().is_err(), "a comma too many");
}
