//! The words of the closed enums, as they were published.

use regatta_domain::report::{CancelCause as EndedBy, RunOutcome as Ended};
use regatta_domain::result::RunErrorKind;
use schemars::JsonSchema;
use serde::Serialize;

/// A closed set of words, and which of the domain's values each stands for. One that is forgotten does not compile.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident of $domain:path { $($(#[$word_doc:meta])* $word:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name {
            $($(#[$word_doc])* $word),+
        }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                use $domain as Domain;
                match value {
                    $(Domain::$word => Self::$word),+
                }
            }
        }
    };
}

words! {
    /// The one accepted outcome of a planned test.
    Verdict of regatta_domain::Verdict {
        /// Passed at the first attempt.
        Passed,
        /// Passed after attempts that did not.
        Flaky,
        /// Decided, or was told, not to run; an expected failure included.
        Skipped,
        /// Failed.
        Failed,
        /// Exceeded its limit.
        TimedOut,
        /// Lost its process, host or worker.
        Crashed,
        /// Never run to an end.
        NotRun,
    }
}
words! {
    /// How an attempt ended.
    Outcome of regatta_domain::Outcome {
        /// Nothing was wrong.
        Passed,
        /// Something was wrong.
        Failed,
        /// It decided, or was told, not to run.
        Skipped,
        /// It exceeded its limit.
        TimedOut,
        /// Its process ended under it.
        Crashed,
        /// The worker could not find it.
        Missing,
    }
}
words! {
    /// What a framework tells beyond the outcome.
    Nuance of regatta_domain::Nuance {
        /// Nothing special.
        Plain,
        /// Failed as it was expected to.
        ExpectedFailure,
        /// Passed although a failure was expected.
        UnexpectedPass,
        /// What failed was the set-up.
        SetupError,
        /// What failed was the teardown.
        TeardownError,
    }
}
words! {
    /// Why an attempt did not pass, or a test was not run.
    Cause of regatta_domain::Cause {
        /// The test itself.
        Test,
        /// It exceeded its own limit.
        Timeout,
        /// Its process ended under it.
        Crash,
        /// The system ended its process for want of memory.
        OutOfMemory,
        /// Its worker went away.
        WorkerLost,
        /// Its worker was asked to leave.
        Drained,
        /// A resource or a database that it held was not well, or was taken from it.
        Resource,
        /// What it is built on could not be set up.
        SetUp,
        /// Regatta, or the machine it ran on, could not run it.
        Infrastructure,
        /// The run was ended before it.
        Cancelled,
    }
}
words! {
    /// How a run ended.
    RunOutcome of Ended {
        /// Every planned test has one verdict, and nothing is red.
        Green,
        /// Something is red.
        Red,
        /// Ended before its time.
        Cancelled,
        /// Nothing was selected.
        Empty,
    }
}
words! {
    /// Why a run was ended before its time.
    CancelCause of EndedBy {
        /// Somebody asked for it.
        Asked,
        /// As many failures as allowed.
        FailFast,
        /// The run's own time limit.
        TimeLimit,
        /// The client that owned it went away.
        Abandoned,
    }
}
words! {
    /// What went wrong beside a test.
    ErrorKind of RunErrorKind {
        /// A file could not be collected.
        Collection,
        /// A suite could not be built.
        Build,
        /// The runner could not be started.
        Runner,
        /// A fixture that outlives a test failed in its teardown.
        Teardown,
        /// Regatta's own machinery failed.
        Infrastructure,
    }
}
