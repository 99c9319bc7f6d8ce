//! One run, as plain data: what there is to do, what is known of it beforehand, and on what it runs.

/// How long nobody notices that a slot has died, in seconds: what a coordinator waits for a heartbeat, with room to spare.
pub const DETECTION: f64 = 15.0;

/// A run that is to be scheduled. What it costs beside the tests themselves is the same for every policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// In the order in which the suite lists them.
    pub tests: Vec<Test>,
    /// What the fleet has.
    pub slots: Vec<Slot>,
    /// Seconds that a process takes to start, on a slot of any speed.
    pub startup: f64,
    /// Whether the process of a slot stays alive between batches, so that it starts once a slot. Otherwise each batch has a
    /// process of its own.
    pub warm: bool,
    /// Seconds, at speed 1, that it takes to set up what the tests of a file share. Paid by a process whenever it takes up
    /// a file other than the one that it is at.
    pub fixture: f64,
    /// How many seats each resource has.
    pub capacity: Vec<u32>,
}

/// A test.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// As the suite calls it.
    pub id: String,
    /// The file that it stands in; files are numbered in the order in which they come up.
    pub file: u32,
    /// The class or other group within the file, where it has one.
    pub group: Option<String>,
    /// Seconds that it will take at speed 1. Nobody knows this beforehand.
    pub truth: f64,
    /// What is known of it beforehand, if anything is.
    pub history: Option<Known>,
    /// The resource of which it needs a seat, for as long as the batch that holds it lasts.
    pub needs: Option<u16>,
}

/// What earlier runs have taught of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// Seconds that it typically takes.
    pub mean: f64,
    /// The standard deviation of the logarithm of that.
    pub spread: f64,
}

/// Room for one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Seconds of test at speed 1 that it does in a second.
    pub speed: f64,
    /// When its machine is lost, in seconds. That is noticed [`DETECTION`] later, and what it had not finished runs again.
    pub dies_at: Option<f64>,
}

impl Slot {
    /// As slots should be.
    pub const SOUND: Self = Self { speed: 1.0, dies_at: None };
}

impl Case {
    /// How fast all slots are together.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.slots.iter().map(|slot| slot.speed).sum()
    }

    /// How many files it has.
    #[must_use]
    pub fn files(&self) -> usize {
        self.tests.iter().map(|test| test.file as usize + 1).max().unwrap_or(0)
    }
}
