//! What a shard has asked for of databases, was handed and uses. No IO: it says what is to be asked for, and others do.
//!
//! The invariant: at most [`TAKEN`] tests of a slot have databases or wait for theirs, the one that runs and the one that
//! follows it; more would keep databases idle.

use crate::databases::Claim;
use crate::runner::TestWork;
use regatta_domain::{Level, TestIx, Token};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tests whose databases are asked for, or there: the one that runs, and the one that follows it.
const TAKEN: usize = 2;

/// What whoever has databases is told.
pub(super) type Variables = Arc<[(String, String)]>;

/// How it stands with what a test needs before it can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runner) enum Standing {
    /// Everything is there.
    Ready,
    /// Something is not there yet, and was asked for, or will be.
    Waiting,
    /// The shard's databases are there for a weaker level: to be taken anew, once nothing uses them.
    Weak,
    /// It will not get what it needs, and is not to be begun.
    Refused,
}

/// What a shard has asked for.
#[derive(Debug)]
pub(super) struct Ledger {
    token: Token,
    /// Each attempt has databases of its own; the shard has some for all.
    own: bool,
    shared: bool,
    /// The strongest level of the shard's tests, as far as they are known.
    strongest: Level,
    /// By test; `None` for the shard.
    claims: BTreeMap<Option<TestIx>, Asked>,
    /// Tests that have databases, or wait for theirs, or of which giving back has not begun.
    taken: usize,
    refused: bool,
    /// Counts how often the shard's databases were asked for, and handed out.
    asked: u16,
    generation: u32,
}

#[derive(Debug)]
struct Asked {
    claim: Claim,
    handed: Option<Variables>,
}

impl Ledger {
    pub(super) fn new(token: Token, own: bool, shared: bool) -> Self {
        Self {
            token,
            own,
            shared,
            strongest: Level::None,
            claims: BTreeMap::new(),
            taken: 0,
            refused: false,
            asked: 0,
            generation: 0,
        }
    }

    /// Takes note of tests of the shard.
    pub(super) fn expect<'a>(&mut self, tests: impl IntoIterator<Item = &'a TestWork>) {
        self.strongest = tests.into_iter().map(|test| test.level).fold(self.strongest, Level::max);
    }

    /// Whether a test has databases of its own.
    pub(super) fn is_own(&self, test: &TestWork) -> bool {
        self.own && test.level > Level::None
    }

    /// Whether a test uses those of the shard.
    pub(super) fn is_shared(&self, test: &TestWork) -> bool {
        self.shared && test.level > Level::None
    }

    /// How often the shard's databases were handed out.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// How it stands with `test`, and what is to be asked for now.
    pub(super) fn seek(&mut self, test: &TestWork) -> (Standing, Vec<Claim>) {
        if !self.is_own(test) && !self.is_shared(test) {
            return (Standing::Ready, Vec::new());
        }
        let (mut standing, mut asks) = (Standing::Ready, Vec::new());
        if self.is_shared(test) {
            self.strongest = self.strongest.max(test.level);
            match self.claims.get(&None) {
                Some(asked) if asked.handed.is_none() => standing = Standing::Waiting,
                Some(asked) if asked.claim.level < test.level => return (Standing::Weak, asks),
                Some(_) => {}
                None if self.refused => return (Standing::Refused, asks),
                None => {
                    standing = Standing::Waiting;
                    // What went back is not handed out again under the same number.
                    asks.push(self.ask(None, self.asked, self.strongest));
                    self.asked += 1;
                }
            }
        }
        if self.is_own(test) {
            match self.claims.get(&Some(test.test)) {
                Some(asked) if asked.handed.is_some() => {}
                Some(_) => standing = Standing::Waiting,
                None if self.refused => return (Standing::Refused, asks),
                None => {
                    standing = Standing::Waiting;
                    if self.taken < TAKEN {
                        asks.push(self.ask(Some(test.test), test.attempt, test.level));
                    }
                }
            }
        }
        (standing, asks)
    }

    fn ask(&mut self, test: Option<TestIx>, attempt: u16, level: Level) -> Claim {
        self.taken += usize::from(test.is_some());
        let claim = Claim { token: self.token, test, attempt, level };
        self.claims.insert(test, Asked { claim, handed: None });
        claim
    }

    /// Whether somebody waits for what `claim` asks for.
    pub(super) fn is_wanted(&self, claim: &Claim) -> bool {
        !self.refused && self.claims.get(&claim.test).is_some_and(|asked| asked.claim == *claim)
    }

    /// It was handed out, to somebody who waits for it. `false` where nobody does any more: to be given back.
    pub(super) fn handed(&mut self, claim: &Claim, variables: Variables) -> bool {
        let wanted = self.is_wanted(claim);
        if let Some(asked) = self.claims.get_mut(&claim.test).filter(|_| wanted) {
            asked.handed = Some(variables);
            self.generation += u32::from(claim.test.is_none());
        }
        wanted
    }

    /// What asks for `claim` has ended, and nothing of it is there.
    pub(super) fn dropped(&mut self, claim: &Claim) {
        self.claims.remove(&claim.test);
        self.given(claim);
    }

    /// Nothing that needs databases is begun any more. Whether this is news.
    pub(super) fn refuse(&mut self) -> bool {
        !std::mem::replace(&mut self.refused, true)
    }

    /// What `test` is told of what it was handed, and the shard's.
    pub(super) fn variables(&self, test: Option<TestIx>) -> Option<Variables> {
        self.claims.get(&test).and_then(|asked| asked.handed.clone())
    }

    /// These tests will not run here: what they were handed, to be given back. What was only asked for ends by itself, since
    /// nobody wants it.
    pub(super) fn forget(&mut self, tests: &[TestIx]) -> Vec<Claim> {
        tests.iter().filter_map(|&test| self.take(Some(test))).collect()
    }

    /// As [`Ledger::forget`], for all tests but these.
    pub(super) fn forget_but(&mut self, is_kept: impl Fn(TestIx) -> bool) -> Vec<Claim> {
        let gone: Vec<TestIx> = self.claims.keys().copied().flatten().filter(|&test| !is_kept(test)).collect();
        self.forget(&gone)
    }

    /// Takes out what was handed out to a test, or to the shard: to be given back.
    pub(super) fn take(&mut self, test: Option<TestIx>) -> Option<Claim> {
        let asked = self.claims.remove(&test)?;
        // Who still asks sees that it is not wanted, and says when nothing is left of it.
        asked.handed.map(|_| asked.claim)
    }

    /// Giving it back has begun: another may be asked for.
    pub(super) fn given(&mut self, claim: &Claim) {
        self.taken -= usize::from(claim.test.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::Micros;
    use regatta_domain::policy::TestPolicy;

    fn test(ix: u32, level: Level) -> TestWork {
        TestWork {
            test: TestIx(ix),
            attempt: 1,
            name: "t".into(),
            estimate: Micros::ZERO,
            policy: Arc::new(TestPolicy::default()),
            level,
        }
    }

    fn seek(ledger: &mut Ledger, of: &TestWork) -> (Standing, Vec<Option<TestIx>>) {
        let (standing, claims) = ledger.seek(of);
        (standing, claims.iter().map(|claim| claim.test).collect())
    }

    fn claim(ledger: &mut Ledger, of: &TestWork) -> Claim {
        let (_, claims) = ledger.seek(of);
        claims[0]
    }

    fn nothing() -> Variables {
        Vec::new().into()
    }

    #[test]
    fn at_most_two_tests_of_a_slot_have_databases_or_wait_for_theirs() {
        let mut ledger = Ledger::new(Token(1), true, false);
        let [one, two, three] = [1, 2, 3].map(|ix| test(ix, Level::Isolated));
        let first = claim(&mut ledger, &one);
        assert!(ledger.handed(&first, nothing()));
        assert_eq!(seek(&mut ledger, &one), (Standing::Ready, vec![]));
        assert_eq!(seek(&mut ledger, &two), (Standing::Waiting, vec![Some(TestIx(2))]));
        assert_eq!(seek(&mut ledger, &two), (Standing::Waiting, vec![]), "it is asked for once");
        assert_eq!(seek(&mut ledger, &three), (Standing::Waiting, vec![]));
        assert_eq!(ledger.take(Some(TestIx(1))), Some(first));
        assert_eq!(seek(&mut ledger, &three), (Standing::Waiting, vec![]), "the first is not on its way back yet");
        ledger.given(&first);
        assert_eq!(seek(&mut ledger, &three), (Standing::Waiting, vec![Some(TestIx(3))]));
        assert_eq!(seek(&mut ledger, &test(4, Level::None)), (Standing::Ready, vec![]));
    }

    #[test]
    fn what_nobody_wants_any_more_is_not_taken() {
        let mut ledger = Ledger::new(Token(1), true, false);
        let (one, two) = (test(1, Level::Read), test(2, Level::Read));
        let (first, second) = (claim(&mut ledger, &one), claim(&mut ledger, &two));
        assert!(ledger.handed(&second, nothing()));
        assert_eq!(ledger.forget(&[TestIx(1), TestIx(2), TestIx(9)]), [second], "the first is not there yet");
        assert!(!ledger.handed(&first, nothing()), "and is to be given back when it comes");
        ledger.given(&first);
        ledger.given(&second);
        assert_eq!(ledger.taken, 0);
    }

    #[test]
    fn a_shard_is_asked_for_once_with_the_strongest_level_of_its_tests() {
        let mut ledger = Ledger::new(Token(1), false, true);
        let [weak, strong, stronger] = [test(1, Level::Read), test(2, Level::Transaction), test(3, Level::Isolated)];
        ledger.expect([&weak, &strong]);
        let whole = claim(&mut ledger, &weak);
        assert_eq!((whole.test, whole.level), (None, Level::Transaction));
        assert_eq!(seek(&mut ledger, &strong), (Standing::Waiting, vec![]));
        assert!(ledger.handed(&whole, nothing()));
        assert_eq!(seek(&mut ledger, &strong).0, Standing::Ready);
        assert_eq!(seek(&mut ledger, &stronger).0, Standing::Weak, "a file was listed meanwhile");
        assert_eq!(ledger.take(None), Some(whole));
        let anew = claim(&mut ledger, &weak);
        assert_eq!(anew.level, Level::Isolated);
        assert_ne!(anew.attempt, whole.attempt, "what went back is not handed out again under the same number");
    }

    #[test]
    fn after_a_refusal_only_what_has_its_databases_is_begun() {
        let mut ledger = Ledger::new(Token(1), true, false);
        let (zero, one) = (test(0, Level::Read), test(1, Level::Read));
        let before = claim(&mut ledger, &zero);
        assert!(ledger.handed(&before, nothing()));
        let first = claim(&mut ledger, &one);
        assert!(ledger.refuse() && !ledger.refuse());
        assert!(!ledger.is_wanted(&first));
        ledger.dropped(&first);
        assert_eq!(seek(&mut ledger, &one), (Standing::Refused, vec![]));
        assert_eq!(seek(&mut ledger, &zero).0, Standing::Ready);
        assert_eq!(seek(&mut ledger, &test(2, Level::None)).0, Standing::Ready);
    }
}
