//! Takes the timings of other tools.

use super::super::block_on;
use super::super::place::Answering;
use super::project;
use crate::args::ImportArgs;
use crate::config::Config;
use crate::error::{Error, Mistake};
use crate::exit::Exit;
use crate::intent::Context;
use crate::timings::{self, Listing, Named, Suite, Timed, Timings};
use regatta_domain::Micros;
use regatta_domain::filter::nearest;
use regatta_wire::history::{Import, Timing};
use regatta_wire::limits::ITEMS_PER_EVENT;
use regatta_wire::v1;
use regatta_wire::v1::history_client::HistoryClient;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use tonic::transport::Channel;

/// The largest file that is read: two million tests at a hundred bytes each.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What is known of a share of a file: tests of one file differ by a factor of three, as a rule.
const SPREAD_IN_FILE: u16 = 1_000;

/// Takes the timings of other tools.
pub(super) fn import(args: &ImportArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let (project, config) = project(&args.whose, context)?;
    let mut all = Timings::default();
    for path in &args.files {
        let name = if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() };
        let bytes = bytes(path, &name, context)?;
        let read = timings::read(&name, &bytes, args.format)?;
        all.timed.extend(read.timed);
        all.clamped += read.clamped;
        all.left_out += read.left_out;
    }
    say_odd(&all);
    if all.timed.is_empty() {
        return Err(Error::new(Exit::Usage, Mistake::new("the files hold no timing at all"))
            .help("they have the right form; were they written by a run that ran nothing?"));
    }
    block_on(async {
        let answering = Answering::at(args.whose.on.as_ref(), context).await?;
        let mut client = answering.history();
        let done = hand_in(&mut client, &project, args.suite.as_deref(), config.as_ref(), &all.timed).await;
        drop(client);
        answering.end().await?;
        done
    })??;
    Ok(Exit::Ok)
}

fn bytes(path: &Path, name: &str, context: &Context<'_>) -> Result<Vec<u8>, Error> {
    let refuse = |error: &std::io::Error| Error::usage(format!("cannot read {name}")).because(error);
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(context.cwd.join(path)).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| refuse(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(
            Error::usage(format!("{name} is larger than {} MB", MAX_BYTES / 1024 / 1024)).help("hand it in as several")
        );
    }
    Ok(bytes)
}

fn say_odd(read: &Timings) {
    let times = |count| if count == 1 { "1 time that is".to_owned() } else { format!("{count} times that are") };
    if read.left_out > 0 {
        eprintln!("left out {} negative, no number, or missing", times(read.left_out));
    }
    if read.clamped > 0 {
        eprintln!("took {} zero or more than a week for the nearest that is believed", times(read.clamped));
    }
}

/// Finds the suites that are meant, and hands the timings of each in.
async fn hand_in(
    client: &mut HistoryClient<Channel>,
    project: &str,
    named: Option<&str>,
    config: Option<&Config>,
    timed: &[Timed],
) -> Result<(), Error> {
    let configured: Vec<&str> =
        config.map_or_else(Vec::new, |config| config.suites().into_iter().map(|(name, _)| name).collect());
    if let Some(named) = named {
        refuse_unknown(named, &configured)?;
    }
    let own = timed.iter().filter_map(own_suite);
    let names: BTreeSet<&str> = configured.into_iter().chain(named).chain(own).collect();
    let mut suites = Vec::new();
    for name in names {
        suites.push(suite(client, project, name, config).await?);
    }
    let place = |name: &str| suites.iter().position(|suite| suite.name == name).expect("every name has its suite");
    let mut of_suite: BTreeMap<usize, Vec<&Timed>> = BTreeMap::new();
    let mut others = Vec::new();
    for timed in timed {
        match named.or_else(|| own_suite(timed)) {
            Some(name) => of_suite.entry(place(name)).or_default().push(timed),
            None => others.push(timed),
        }
    }
    if !others.is_empty() {
        let meant = meant(&suites, &others)?;
        of_suite.entry(meant).or_default().extend(others);
    }
    for (at, timed) in of_suite {
        let matched = Matched::of(&suites[at], &timed);
        let answer = matched.hand_in(client, project, suites[at].name).await?;
        matched.say(&suites[at], answer);
        if matched.known == 0
            && let Some(other) = best(&suites, &timed).filter(|other| *other != at)
        {
            eprintln!("did you mean `--suite {}`?", suites[other].name);
        }
    }
    Ok(())
}

fn own_suite(timed: &Timed) -> Option<&str> {
    match &timed.named {
        Named::Own { suite, .. } => Some(suite),
        _ => None,
    }
}

/// A suite that is misspelt would take timings that nobody ever reads.
fn refuse_unknown(named: &str, configured: &[&str]) -> Result<(), Error> {
    if configured.is_empty() || configured.contains(&named) {
        return Ok(());
    }
    let help = match nearest(named, configured.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", configured.join(", ")),
    };
    Err(Error::usage(format!("there is no suite `{named}`")).help(help))
}

/// A suite, with what is known of its tests.
async fn suite<'a>(
    client: &mut HistoryClient<Channel>,
    project: &str,
    name: &'a str,
    config: Option<&Config>,
) -> Result<Suite<'a>, Error> {
    let unread = |status: tonic::Status| {
        Error::infrastructure(format!("what is known of the suite `{name}` cannot be read")).because(&status)
    };
    let asked = v1::KnownRequest { project: project.to_owned(), suite: name.to_owned() };
    let mut stream = client.known(asked).await.map_err(unread)?.into_inner();
    let mut listing = Listing::default();
    while let Some(part) = stream.message().await.map_err(unread)? {
        for v1::KnownFile { path, listed, tests } in part.files {
            listing.add(path, listed, tests);
        }
    }
    let configured =
        config.and_then(|config| Some((config, config.suites().into_iter().find(|(known, _)| *known == name)?.1)));
    let root = configured.map(|(config, suite)| config.root(suite));
    let is_there = move |path: &str| root.as_ref().is_some_and(|root| root.join(path).is_file());
    Ok(Suite::new(name, configured.map(|(_, suite)| suite.runner()), listing, is_there))
}

/// The suite that names of other tools belong to: the only one, or the one that knows most of them.
fn meant(suites: &[Suite<'_>], timed: &[&Timed]) -> Result<usize, Error> {
    match (suites, best(suites, timed)) {
        ([], _) => Err(Error::usage("there is no suite that these tests may belong to").help("name it with `--suite`")),
        ([_], _) => Ok(0),
        (_, Some(best)) => Ok(best),
        (_, None) => {
            let names: Vec<&str> = suites.iter().map(|suite| suite.name).collect();
            let what = format!("no suite knows a test like `{}`", timed[0].named.text());
            Err(Error::usage(what).help(format!("name the suite with `--suite`: there are {}", names.join(", "))))
        }
    }
}

/// Tests that are looked at to tell suites apart: enough, and quick also where there are a million.
const LOOKED_AT: usize = 1_000;

/// The suite that knows most of these tests, if any does.
fn best(suites: &[Suite<'_>], timed: &[&Timed]) -> Option<usize> {
    let step = timed.len().div_ceil(LOOKED_AT);
    let known = |suite: &Suite<'_>| {
        let known = timed.iter().step_by(step).filter(|timed| suite.knows(&timed.named));
        known.count()
    };
    let counted = suites.iter().enumerate().map(|(at, suite)| (known(suite), std::cmp::Reverse(at)));
    counted.max().filter(|(known, _)| *known > 0).map(|(_, std::cmp::Reverse(at))| at)
}

/// Timings, matched with the tests of a suite.
#[derive(Default)]
struct Matched {
    /// By file and name: the sum of the times, how many they are, and the spread.
    tests: BTreeMap<(String, String), (Micros, u64, Option<u16>)>,
    all: u64,
    known: u64,
    twice: u64,
    first_unknown: Option<String>,
}

impl Matched {
    fn of(suite: &Suite<'_>, timed: &[&Timed]) -> Self {
        let mut matched = Self::default();
        for timed in timed {
            let found = suite.find(&timed.named);
            matched.all += 1;
            if found.known {
                matched.known += 1;
            } else if matched.first_unknown.is_none() {
                matched.first_unknown = Some(timed.named.text());
            }
            match suite.listing.tests(&found.file).filter(|_| found.name.is_empty()) {
                // The whole file was timed, and its tests are known: each has its share.
                Some(tests) if !tests.contains("") => {
                    let share = timed.mean / tests.len() as u64;
                    let add =
                        |name: &String| matched.add(found.file.clone(), name.clone(), share, Some(SPREAD_IN_FILE));
                    tests.iter().for_each(add);
                }
                _ => matched.add(found.file, found.name, timed.mean, timed.spread),
            }
        }
        matched
    }

    fn add(&mut self, file: String, name: String, mean: Micros, spread: Option<u16>) {
        let (sum, count, _) = self.tests.entry((file, name)).or_insert((Micros::ZERO, 0, spread));
        *sum += mean;
        *count += 1;
        self.twice += u64::from(*count > 1);
    }

    async fn hand_in(
        &self,
        client: &mut HistoryClient<Channel>,
        project: &str,
        suite: &str,
    ) -> Result<v1::ImportResponse, Error> {
        let timings: Vec<Timing> = self.tests.iter().map(timing).collect();
        let (project, suite): (std::sync::Arc<str>, std::sync::Arc<str>) = (project.into(), suite.into());
        let batches: Vec<v1::ImportRequest> = timings
            .chunks(ITEMS_PER_EVENT)
            .map(|timings| Import {
                project: project.clone(),
                suite: suite.clone(),
                environment: "".into(),
                timings: timings.to_vec(),
            })
            .map(Into::into)
            .collect();
        let answer = client.import(tokio_stream::iter(batches)).await;
        let refused = |status: tonic::Status| Error::infrastructure("the timings are not taken").because(&status);
        answer.map(tonic::Response::into_inner).map_err(refused)
    }

    /// Says what became of them.
    fn say(&self, suite: &Suite<'_>, answer: v1::ImportResponse) {
        let name = suite.name;
        let v1::ImportResponse { taken, measured } = answer;
        let mut line = format!("{name}: {} taken", counted(taken));
        if measured > 0 {
            line.push_str(&format!("; {} of tests that were measured here, which count more", are(measured)));
        }
        if self.twice > 0 {
            line.push_str(&format!("; {} more than once, and their mean counts", came(self.twice)));
        }
        eprintln!("{line}");
        let Some(unknown) = &self.first_unknown else { return };
        if suite.listing.is_empty() {
            eprintln!("nothing is known of the suite `{name}` yet: they count from its first run on");
        } else {
            eprintln!(
                "{} of {} tests are known in the suite `{name}`; the first unknown is `{unknown}`",
                self.known, self.all
            );
        }
    }
}

fn timing(((file, name), (sum, count, spread)): (&(String, String), &(Micros, u64, Option<u16>))) -> Timing {
    let (file, name) = (file.as_str().into(), name.as_str().into());
    Timing { file, name, mean: *sum / *count, spread: *spread }
}

fn counted(count: u64) -> String {
    if count == 1 { "1 timing was".to_owned() } else { format!("{count} timings were") }
}

fn are(count: u64) -> String {
    if count == 1 { "1 is".to_owned() } else { format!("{count} are") }
}

fn came(count: u64) -> String {
    if count == 1 { "1 came".to_owned() } else { format!("{count} came") }
}
