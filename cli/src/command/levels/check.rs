//! `levels check`: where what the tests of a run did differs from what they were leased for.
//!
//! Dangerous is what was done beyond a lease. What was refused was not done, and what was left behind was cleared away before
//! anybody else came: both are told apart from it. Slow is a lease that was stronger than what was seen, where that is sure.

use super::seen::{Attempt, Seen};
use crate::args::{CheckArgs, TableFormat};
use crate::command::place::{Answering, find};
use crate::command::{block_on, print};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use crate::render::safe;
use regatta_domain::database::Observation;
use regatta_domain::{Confidence, Level, Micros, TestIx};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

/// How a note begins that tells a statement.
const BY: &str = "by: ";

/// Checks the levels of a run.
pub(super) fn check(args: &CheckArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let seen = block_on(async {
        let answering = Answering::at(args.on.as_ref(), context).await?;
        let mut client = answering.runs();
        let read = async {
            let run = find(&mut client, &args.run).await?;
            Seen::read(&mut client, run).await
        };
        let seen = read.await;
        drop(client);
        answering.end().await?;
        seen
    })??;
    let checked = Checked::of(&seen);
    print(&match args.format {
        TableFormat::Human => checked.text(),
        TableFormat::Json => format!("{}\n", checked.document()),
    })?;
    Ok(if checked.dangerous.is_empty() { Exit::Ok } else { Exit::TestsFailed })
}

/// What a database of a level costs beside the test, in microseconds: a connection; that and a look at what was done; a
/// clone made and dropped; a server copied, started and removed.
const fn cost(level: Level) -> Micros {
    Micros(match level {
        Level::None => 0,
        Level::Read => 2_000,
        Level::Transaction => 4_000,
        Level::Isolated => 36_000,
        Level::Exclusive => 96_000,
    })
}

/// What is to be said of the levels of a run.
struct Checked {
    run: String,
    /// Every test had a server of its own: no lease says anything.
    observed: bool,
    /// Nothing was seen of any test.
    blind: bool,
    dangerous: Vec<Line>,
    refused: Vec<Line>,
    slow: Vec<Line>,
    leaks: Vec<Line>,
}

/// A test, and what is said of it.
struct Line {
    suite: String,
    id: String,
    leased: Level,
    seen: Level,
    /// What it did.
    because: String,
    /// Statements, or what was left behind, or what was refused.
    notes: Vec<Arc<str>>,
}

impl Checked {
    fn of(seen: &Seen) -> Self {
        let observed = seen.view.policy.observe;
        let mut checked = Self {
            run: seen.view.run.to_string(),
            observed,
            blind: seen.is_blind(),
            dangerous: Vec::new(),
            refused: Vec::new(),
            slow: Vec::new(),
            leaks: Vec::new(),
        };
        for (ix, test) in seen.view.planned() {
            let attempts = seen.attempts(ix);
            let Some(last) = attempts.last() else { continue };
            let line = |attempt: &Attempt, notes: Vec<Arc<str>>| Line::of(seen, ix, attempt, notes);
            // The strongest of its attempts: each of them may have done it.
            if let Some(attempt) =
                attempts.iter().filter(|attempt| attempt.observation.exceeds()).max_by_key(|one| one.seen())
            {
                checked.dangerous.push(line(attempt, notes(attempt, |note| !note.starts_with(Observation::LEFT))));
            }
            if let Some(attempt) = attempts.iter().find(|attempt| was_refused(attempt)) {
                let reason = attempt.reason.clone().unwrap_or_else(|| "it went on, and passed all the same".into());
                let statements = notes(attempt, |note| note.starts_with(BY));
                checked.refused.push(line(attempt, std::iter::once(reason).chain(statements).collect()));
            }
            let sure = last.confidence() > Confidence::Low && attempts.len() == 1;
            let passed = test.verdict.is_some_and(|verdict| verdict.is_ok());
            if !observed && sure && passed && last.seen() < last.observation.leased {
                checked.slow.push(line(last, Vec::new()));
            }
            for attempt in attempts {
                let left = notes(attempt, |note| note.starts_with(Observation::LEFT));
                if !left.is_empty() {
                    checked.leaks.push(line(attempt, left));
                }
            }
        }
        checked.slow.sort_by_key(|line| std::cmp::Reverse(line.won()));
        checked
    }

    /// What all leases that were too strong cost together.
    fn won(&self) -> Micros {
        self.slow.iter().map(Line::won).sum()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if self.observed {
            text.push_str("the run was under observation: every test had a server of its own, whatever its level\n");
        }
        if self.blind {
            text.push_str("no test of the run had a database that was watched\n");
            return text;
        }
        // The first note says it in more words than are kept of the evidence.
        let says = |line: &Line| match line.notes.is_empty() {
            true => {
                format!("leased as {}, did what belongs to {}: {}", line.leased.name(), line.seen.name(), line.because)
            }
            false => String::new(),
        };
        section(&mut text, "did more than their lease was for", &self.dangerous, says);
        section(&mut text, "refused what they asked for; those that did not pass ran anew", &self.refused, |line| {
            format!("leased {}, asked for what belongs to {}", line.leased.name(), asks_for(line).name())
        });
        section(&mut text, "left something behind", &self.leaks, |line| format!("leased {}", line.leased.name()));
        section(&mut text, "could do with less", &self.slow, |line| {
            let (leased, seen, won) = (line.leased.name(), line.seen.name(), line.won().0 / 1_000);
            format!("leased {leased}, only did what belongs to {seen}: {won} ms to be won")
        });
        let Self { dangerous, refused, slow, leaks, .. } = self;
        let _infallible = writeln!(
            text,
            "{} dangerous, {} refused, {} left something behind, {} too strong ({:.1} s of the servers to be won)",
            dangerous.len(),
            refused.len(),
            leaks.len(),
            slow.len(),
            self.won().as_secs_f64(),
        );
        text
    }

    fn document(&self) -> Value {
        let lines = |lines: &[Line]| lines.iter().map(Line::document).collect::<Vec<_>>();
        json!({
            "run": self.run,
            "observed": self.observed,
            "dangerous": lines(&self.dangerous),
            "refused": lines(&self.refused),
            "leaks": lines(&self.leaks),
            "too_strong": lines(&self.slow),
            "won_s": self.won().as_secs_f64(),
        })
    }
}

impl Line {
    fn of(seen: &Seen, ix: TestIx, attempt: &Attempt, notes: Vec<Arc<str>>) -> Self {
        Self {
            suite: seen.view.suite_of(ix).name.clone(),
            id: seen.view.id(ix),
            leased: attempt.observation.leased,
            seen: attempt.seen(),
            because: attempt.evidence().because(),
            notes,
        }
    }

    /// What a weaker lease would have spared.
    fn won(&self) -> Micros {
        cost(self.leased).saturating_sub(cost(self.seen))
    }

    fn document(&self) -> Value {
        json!({
            "suite": self.suite,
            "id": self.id,
            "leased": self.leased.name(),
            "seen": self.seen.name(),
            "because": self.because,
            "notes": self.notes,
            "won_ms": self.won().as_secs_f64() * 1_000.0,
        })
    }
}

/// What was asked for where only the refusal shows it: the level under which it is tried again.
fn asks_for(line: &Line) -> Level {
    line.seen.max(if line.leased == Level::Read { Level::Transaction } else { Level::Exclusive })
}

/// Whether an attempt was refused what it has no right to.
fn was_refused(attempt: &Attempt) -> bool {
    attempt.observation.denied && attempt.observation.leased < Level::Exclusive
}

fn notes(attempt: &Attempt, which: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
    attempt.observation.notes.iter().filter(|note| which(note)).cloned().collect()
}

fn section(text: &mut String, title: &str, lines: &[Line], says: impl Fn(&Line) -> String) {
    if lines.is_empty() {
        return;
    }
    let _infallible = writeln!(text, "{title} ({}):", lines.len());
    for line in lines {
        let _infallible = writeln!(text, "  {}", safe::one_line(&line.id));
        let said = says(line);
        for note in std::iter::once(&*said).filter(|said| !said.is_empty()).chain(line.notes.iter().map(|note| &**note))
        {
            let _infallible = writeln!(text, "      {}", safe::one_line(note));
        }
    }
    text.push('\n');
}
