//! What the tests of a run asked of their databases, all of them together.

use super::View;
use regatta_domain::database::Observation;
use regatta_domain::{Micros, TestIx};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What they asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asking<'a> {
    /// How many statements they sent, in all their attempts.
    pub(crate) calls: u64,
    /// How long the servers worked at them.
    pub(crate) time: Micros,
    /// How many tests were counted.
    pub(crate) tests: usize,
    /// The statements that are told of them, the slowest first. Of each attempt only its slowest are known.
    pub(crate) statements: Vec<Slow<'a>>,
    /// What servers lack that do not count statements.
    pub(crate) uncounted: BTreeSet<&'a str>,
    /// How many tests asked more than was counted.
    pub(crate) dropped: usize,
}

/// A statement, over all tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slow<'a> {
    /// How it reads.
    pub(crate) text: &'a str,
    /// How often it was executed.
    pub(crate) calls: u64,
    /// How many rows it returned or changed.
    pub(crate) rows: u64,
    /// How long the servers worked at it.
    pub(crate) time: Micros,
    /// Who sent it, who took longest first.
    pub(crate) by: Vec<(TestIx, Micros)>,
}

impl View {
    /// What an attempt was seen to do, in texts that are held once for all tests.
    pub(super) fn once(&mut self, mut seen: Arc<Observation>) -> Arc<Observation> {
        // Nobody else has it yet: it has just been read.
        let Some(asked) = Arc::get_mut(&mut seen).and_then(|seen| seen.asked.as_mut()) else { return seen };
        for statement in &mut asked.top {
            match self.texts.get(&statement.text) {
                Some(known) => statement.text = Arc::clone(known),
                None => {
                    self.texts.insert(Arc::clone(&statement.text));
                }
            }
        }
        seen
    }

    /// What its tests asked of their databases, as far as that was counted.
    pub(crate) fn asking(&self) -> Asking<'_> {
        let mut asking = Asking::default();
        let mut by_text: HashMap<&str, Slow<'_>> = HashMap::new();
        for (ix, test) in self.planned() {
            let seen = || test.attempts.iter().filter_map(|attempt| attempt.observation.as_deref());
            asking.uncounted.extend(seen().flat_map(|seen| &seen.notes).filter_map(|note| lacks(note)));
            let counted = || seen().filter_map(|seen| Some((seen, seen.asked.as_ref()?)));
            asking.tests += usize::from(counted().next().is_some());
            asking.dropped += usize::from(counted().any(|(seen, _)| seen.asked_in_all().is_none()));
            for (_, asked) in counted() {
                asking.calls += asked.calls;
                asking.time += asked.time;
                for statement in &asked.top {
                    let slow = by_text.entry(&statement.text).or_default();
                    slow.text = &statement.text;
                    slow.calls += statement.calls;
                    slow.rows += statement.rows;
                    slow.time += statement.time;
                    match slow.by.last_mut() {
                        Some((last, time)) if *last == ix => *time += statement.time,
                        _ => slow.by.push((ix, statement.time)),
                    }
                }
            }
        }
        asking.statements = by_text.into_values().collect();
        asking.statements.iter_mut().for_each(|slow| slow.by.sort_by_key(|&(ix, time)| (Reverse(time), ix)));
        // Of those that took equally long, always the same ones come first.
        asking.statements.sort_by(|a, b| (b.time, b.calls, a.text).cmp(&(a.time, a.calls, b.text)));
        asking
    }
}

/// What a server lacks that does not count, from the note that tells it.
fn lacks(note: &str) -> Option<&str> {
    note.split_once(Observation::UNCOUNTED).map(|(_, lacks)| lacks)
}

#[cfg(test)]
mod tests {
    use crate::view::script::{Script, asked, came};
    use regatta_domain::{Outcome, Verdict};
    use std::sync::Arc;

    #[test]
    fn a_statement_of_many_tests_is_held_once() {
        let mut script = Script::new(&[("api", "pytest")], |_, _, _| {});
        script.file(0, "a", &[("x", 10), ("y", 10)]);
        for id in ["a::x", "a::y"] {
            script.seen = Some(asked(&[("SELECT 1", 2, 3)]));
            script.run(id, came(Outcome::Passed, 10), Some(Verdict::Passed));
        }
        let text = |at: usize| {
            let seen = script.view.tests[at].attempts[0].observation.as_deref().expect("it was seen");
            Arc::clone(&seen.asked.as_ref().expect("it was counted").top[0].text)
        };
        assert!(Arc::ptr_eq(&text(0), &text(1)));
        let asking = script.view.asking();
        assert_eq!((asking.calls, asking.tests, asking.statements.len()), (4, 2, 1));
        assert_eq!((asking.statements[0].calls, asking.statements[0].by.len()), (4, 2));
    }
}
