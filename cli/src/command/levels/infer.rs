//! `levels infer`: tells the level of each test that was observed, and writes it down where that is asked for.

use super::declared::{Declared, Key, Test};
use super::markers::{self, Marked};
use super::observe::{Observed, observe};
use super::seen::{Attempt, Seen};
use super::{block, told};
use crate::args::{InferArgs, Rules, TableFormat, Where, Write};
use crate::command::{block_on, print};
use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::{Context, Place};
use regatta_domain::database::Per;
use regatta_domain::{Confidence, Level, RunnerKind, TestIx, Verdict};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Infers levels.
pub(super) fn infer(args: InferArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let rules = Rules { slots: args.slots, timeout: args.timeout, ..Rules::default() };
    let plan = context.plan(&args.selection, &rules, None)?;
    let config = plan.config.clone();
    for line in &config.assumed {
        eprintln!("note: {line}");
    }
    if args.write == Write::Config && config.path.is_none() {
        return Err(Error::usage("there is no regatta.toml to write levels into").help("`regatta init` writes one"));
    }
    // Before anything runs: a block that cannot be replaced would be found too late.
    block::find(&config.text, &config.name)?;
    let Where { on, fallback } = args.place;
    let place = on.map_or(Place::Here, |url| Place::On { url, fallback });
    let watched = observe(plan, place, args.selection.no_tests, args.show_progress, context);
    let Observed { seen, declared, exit } = block_on(watched)??;
    let found = Found::of(&seen, &declared, &config);
    let levels = found.to_write();
    let block = block::text(&levels, &declared, config.suites().len());
    let (patch, lost) =
        if args.write == Write::Markers { patch(&levels, &declared, &config)? } else { Default::default() };
    let wrote = args.write == Write::Config && write(&config, &block)?;
    let table = told::table(&found);
    match (args.format, args.write) {
        (TableFormat::Json, write) => {
            let mut document = told::document(&found);
            document["config"] = block.into();
            if write == Write::Markers {
                document["patch"] = patch.into();
            }
            print(&format!("{document}\n"))?;
        }
        (TableFormat::Human, Write::Markers) => {
            eprint!("{table}");
            print(&patch)?;
        }
        (TableFormat::Human, Write::Config) => print(&table)?,
        (TableFormat::Human, Write::None) if block.is_empty() => print(&table)?,
        (TableFormat::Human, Write::None) => {
            print(&format!("{table}\n`--write config` writes into {}:\n\n{block}", config.name))?;
        }
    }
    for function in lost {
        eprintln!("warning: no marker for {function}: its definition was not found where it stands");
    }
    match args.write {
        Write::Config if wrote => eprintln!("wrote the levels into {}", config.name),
        Write::Config => eprintln!("{} says all of it already", config.name),
        _ => {}
    }
    Ok(exit)
}

/// What was found of the tests of a run.
pub(super) struct Found {
    /// The run.
    pub(super) run: String,
    /// The tests with a level, by suite and id.
    pub(super) tests: Vec<Row>,
    /// Those without.
    pub(super) without: Vec<Without>,
}

/// A test with a level.
pub(super) struct Row {
    /// Its suite and id.
    pub(super) key: Key,
    /// The level.
    pub(super) level: Level,
    /// How far it may be trusted.
    pub(super) confidence: Confidence,
    /// What it did, in a sentence.
    pub(super) because: String,
    /// What was seen, by the names of the facts.
    pub(super) facts: Vec<String>,
    /// What is to be told beside.
    pub(super) notes: Vec<Arc<str>>,
    /// What is declared of it, and by whom.
    pub(super) declared: Option<(Level, &'static str)>,
}

/// A test without a level.
pub(super) struct Without {
    /// Its suite and id.
    pub(super) key: Key,
    /// How it ended.
    pub(super) verdict: Option<Verdict>,
    /// Why it has no level.
    pub(super) reason: String,
}

impl Found {
    fn of(seen: &Seen, declared: &Declared, config: &Config) -> Self {
        let (mut tests, mut without) = (Vec::new(), Vec::new());
        for (ix, test) in seen.view.planned() {
            let key = (seen.view.suite_of(ix).name.clone(), seen.view.id(ix));
            match why_none(seen, ix, config) {
                Some(reason) => without.push(Without { key, verdict: test.verdict, reason }),
                None => tests.push(Row::of(key, seen.attempts(ix), declared)),
            }
        }
        // They ended in any order; people look for a file.
        tests.sort_by(|one: &Row, other| one.key.cmp(&other.key));
        without.sort_by(|one: &Without, other| one.key.cmp(&other.key));
        Self { run: seen.view.run.to_string(), tests, without }
    }

    /// The levels that are sure enough to be written down: what was out of sight cannot be more than exclusive.
    fn to_write(&self) -> BTreeMap<Key, Level> {
        let is_sure = |row: &&Row| row.confidence > Confidence::Low || row.level == Level::Exclusive;
        let sure = self.tests.iter().filter(is_sure);
        sure.map(|row| (row.key.clone(), row.level)).collect()
    }
}

impl Row {
    fn of(key: Key, attempts: &[Attempt], declared: &Declared) -> Self {
        // A test that passed at a later attempt did less in those before, perhaps, but never anything else.
        let strongest = attempts.iter().max_by_key(|attempt| (attempt.seen(), attempt.number));
        let strongest = strongest.expect("a test without attempts has no level");
        let evidence = strongest.evidence();
        let confidence = attempts.iter().map(Attempt::confidence).min().unwrap_or_default();
        Self {
            declared: declared.tests.get(&key).and_then(by_whom),
            key,
            level: strongest.seen(),
            confidence,
            because: evidence.because(),
            facts: evidence.facts.iter().map(|fact| format!("{fact:?}")).collect(),
            notes: strongest.observation.notes.clone(),
        }
    }
}

/// What is declared of a test, and by whom: an override counts before a marker.
fn by_whom(test: &Test) -> Option<(Level, &'static str)> {
    let said = [(test.by_people, "override"), (test.inferred, "an earlier inference"), (test.by_marker, "marker")];
    said.into_iter().find_map(|(level, by)| Some((level?, by)))
}

/// Why a test has no level; nothing where it has one.
fn why_none(seen: &Seen, ix: TestIx, config: &Config) -> Option<String> {
    let test = seen.view.test(ix);
    let reason = || test.last().and_then(|last| last.reason.as_deref()).unwrap_or("it told no reason").to_owned();
    match test.verdict {
        None | Some(Verdict::NotRun) => Some("it was not run".to_owned()),
        Some(Verdict::Passed | Verdict::Flaky) if seen.attempts(ix).is_empty() => {
            let suite = config.suites().into_iter().find(|(name, _)| *name == seen.view.suite_of(ix).name);
            let databases = suite.and_then(|(_, suite)| suite.database.as_ref());
            let shares = |per: &Per| *per == Per::Shard;
            Some(match databases {
                None => "its suite uses no database".to_owned(),
                Some(of) if of.value.0.iter().all(|of| of.per.as_ref().is_some_and(|per| shares(&per.value))) => {
                    "its database is that of the whole shard: what it did cannot be told from what others did"
                        .to_owned()
                }
                Some(_) => "nothing was seen of it".to_owned(),
            })
        }
        Some(Verdict::Passed | Verdict::Flaky) => {
            let lost = seen.attempts(ix).iter().any(|attempt| attempt.observation.lost);
            lost.then(|| "its server was lost while it ran".to_owned())
        }
        Some(Verdict::Skipped) => Some(format!("it was skipped: {}", reason())),
        Some(_) => Some(reason()),
    }
}

/// Puts the block into the file; whether that changed it.
fn write(config: &Config, block: &str) -> Result<bool, Error> {
    let Some(path) = &config.path else { return Ok(false) };
    let refuse = |error: std::io::Error| {
        Error::usage(format!("cannot write the levels into {}", config.name))
            .because(&error)
            .help("without `--write config` they are printed")
    };
    // People may have edited it while the tests ran.
    let text: Arc<str> = fs::read_to_string(path).map_err(refuse)?.into();
    let old = block::find(&text, &config.name)?;
    let new = block::replace(&text, old.as_ref(), block);
    if *new == *text {
        return Ok(false);
    }
    let new: Arc<str> = new.into();
    crate::config::file::File::parse(&config.name, &new, &|dir| config.base.join(dir).is_dir())?;
    // Beside it first, and then in its place: whatever happens, there is a whole file. A link stays one.
    let path = fs::canonicalize(path).map_err(refuse)?;
    let beside = path.with_extension(format!("toml.{}", std::process::id()));
    let placed = fs::write(&beside, new.as_bytes())
        .and_then(|()| fs::set_permissions(&beside, fs::metadata(&path)?.permissions()))
        .and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = placed {
        let _never_there_or_of_no_use = fs::remove_file(&beside);
        return Err(refuse(error));
    }
    Ok(true)
}

/// The patch that marks the tests, and the functions that it cannot mark.
fn patch(levels: &BTreeMap<Key, Level>, declared: &Declared, config: &Config) -> Result<(String, Vec<String>), Error> {
    let mut files: BTreeMap<(&str, &str), BTreeMap<String, Marked>> = BTreeMap::new();
    for (key, &level) in levels {
        let Some(test) = declared.tests.get(key).filter(|test| test.runner == RunnerKind::Pytest.name()) else {
            continue;
        };
        let function = test.name.split('[').next().unwrap_or_default();
        let name = function.rsplit("::").next().unwrap_or_default().to_owned();
        let line = test.line as usize;
        let of = files.entry((&test.root, &test.path)).or_default();
        let marked = of.entry(function.to_owned()).or_insert(Marked { name, line, level });
        marked.level = marked.level.max(level);
    }
    let (mut patch, mut lost) = (String::new(), Vec::new());
    for ((root, path), marked) in files {
        let file = Path::new(root).join(path);
        let shown = file.strip_prefix(&config.base).unwrap_or(&file).display().to_string();
        let text = fs::read_to_string(&file)
            .map_err(|error| Error::usage(format!("cannot read {shown} to mark its tests")).because(&error))?;
        let (diff, not_found) = markers::patch(&shown, &text, &marked.into_values().collect::<Vec<_>>());
        patch.push_str(&diff);
        lost.extend(not_found.into_iter().map(|name| format!("{shown}::{name}")));
    }
    Ok((patch, lost))
}
