//! Deliberate faults, one a line, to show that the tests notice them: see `docs/testing.md`.
//!
//! Without the feature `mutants`, which nothing but that proof turns on, [`is`] is `false` and the compiler drops each of
//! them. A mutant that nobody notices is a blind spot of the simulation.

macro_rules! mutants {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// A deliberate fault.
        #[cfg_attr(not(feature = "mutants"), expect(unreachable_pub, reason = "only the proof reaches it"))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mutant {
            $($(#[doc = $what])+ $name,)+
        }

        #[cfg(feature = "mutants")]
        impl Mutant {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What is wrong.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($what),+).trim_ascii(),)+
                }
            }
        }
    };
}

mutants! {
    /// A result is accepted although its test is in the hands of another lease.
    StaleResult,
    /// A result is accepted although its lease has ended.
    EndedLease,
    /// A result is accepted although its test has its verdict.
    SecondVerdict,
    /// A late result is acknowledged, and that it was refused is not recorded.
    RefusalUnrecorded,
    /// A late result is recorded each time that it is told.
    RefusedAgain,
    /// Results are acknowledged and not recorded, now and then.
    AckUnrecorded,
    /// The retries of a test are not counted against its policy.
    RetriesUnbounded,
    /// The retries of a run are not counted against its cap.
    RunCapIgnored,
    /// A test may lose as many workers as it likes.
    LossesUnbounded,
    /// A test may run out of memory as often as it likes.
    OutOfMemoryUnbounded,
    /// A test that exceeds its limit spends what it has for failures.
    BudgetOfAnother,
    /// A test whose worker is asked to leave is charged as if it had lost it.
    DrainedCharged,
    /// A grant that never arrived is not returned.
    UnreceivedKept,
    /// A worker that is given up keeps its connection.
    NoHangup,
    /// A run ends while leases are open.
    EndsWithLeases,
    /// Tests that were not run do not make a run red.
    NotRunIsGreen,
    /// The first unfinished test of a lost lease stays with it.
    LossForgetsTest,
    /// Tests are taken from a slot before it has given them back.
    TakesUnasked,
    /// A token is granted again when its lease has ended.
    TokenReused,
    /// A listing that is told again is not answered again.
    ListingUnanswered,
    /// After a restart, workers have no time to come back.
    NoGrace,
    /// A worker whose connection broke has no time to connect again.
    NoReconnect,
    /// The silence of a worker is not noticed.
    SilenceUnnoticed,
    /// A coordinator that could hear nobody for a while gives nobody time to be heard.
    HeldUpUnnoticed,
    /// Files that discovery finds are forgotten.
    FilesForgotten,
    /// New tests of a file that was remembered are forgotten.
    TestsForgotten,
    /// A test that is not there passes.
    MissingPasses,
    /// A test that failed first and passed then is called passed.
    FlakyPasses,
    /// A test that failed first and skipped then is called skipped.
    SkipForgives,
    /// A cancelled run drops what waits in its first suite only.
    CancelKeepsWaiting,
    /// A file that cannot be collected does not make its run red.
    CollectionErrorForgotten,
    /// A test is blamed although its worker never received it.
    BlamesUnreceived,
    /// A worker that is lost over a restart is charged to a file, though nobody knows what it was at.
    GuessesAtRestart,
    /// A worker is lost on a file once for each of its slots.
    LossesBySlot,
    /// Resources are granted beyond their seats.
    SeatsUncounted,
    /// Work that needs resources may be passed over for ever.
    BypassesUncounted,
    /// Work that was passed over too often keeps its resources from all others that were, too.
    KeptByAll,
    /// What a lease held goes to the next one as it was left.
    LeftAsItWas,
    /// Whoever examined a resource before its last lease ended is believed after it.
    StaleWordBelieved,
    /// Any item does, whatever was asked for.
    AnyItemDoes,
    /// What workers have of their own is divided without end.
    OwnUncounted,
    /// Groups are cut apart.
    GroupsTorn,
    /// The oldest run has everything.
    SharesIgnored,
}

#[cfg(feature = "mutants")]
thread_local! {
    static ON: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Turns one on, for this thread, or all of them off.
#[cfg(feature = "mutants")]
pub fn turn_on(mutant: Option<Mutant>) {
    ON.set(mutant);
}

/// Whether this one is on.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    ON.get() == Some(mutant)
}

/// Whether this one is on: never.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
