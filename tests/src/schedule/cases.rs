//! The named cases: what may be different from a fleet of equal slots that knows its suite.
//!
//! Each begins with a version of a suite as truth and the earlier versions as history, changes one thing, and is the same for
//! the same seed.

use super::chance::Chance;
use super::{Case, Slot, Test, bound};

/// A named case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// As it is.
    Clean,
    /// The truth is off by a factor with deviation 0.3 on the log scale, and one test in a thousand takes ten times as long.
    Noise,
    /// That, and one slot in ten runs at half speed.
    Slow,
    /// Of 30 % of the tests nothing is known.
    Unknown,
    /// Of no test anything is known.
    None,
    /// A database for one test at a time, and a thing with four seats, at three levels of contention.
    Resources,
    /// The tests of a file share a second of set-up; on 16 slots, or fewer where fewer are asked for.
    Fixtures,
    /// The history is the truth.
    Perfect,
    /// Of 10 % of the tests nothing is known.
    New,
    /// 1 % of the tests are behind two exclusive resources.
    FewExclusive,
    /// 5 % of the tests are behind two exclusive resources.
    ManyExclusive,
    /// 5 % of the slots are lost halfway. The bound does not know how long that goes unnoticed, so in a suite that takes no
    /// longer than that nobody comes close to it.
    Lost,
    /// Slots differ by up to 30 %.
    Speeds,
}

/// Set-up that the tests of a file share, in seconds, in the case about it.
const FIXTURE: f64 = 1.0;

/// The slots of the case about set-up that tests share.
const FIXTURE_SLOTS: usize = 16;

/// How contended the database and the four seats are: the work behind each over its seats, as a share of the time that all
/// work takes on all slots.
const CONTENTION: [[f64; 2]; 3] = [[0.5, 0.5], [0.9, 0.6], [1.2, 0.9]];

impl Named {
    /// Every case, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::Clean,
        Self::Noise,
        Self::Slow,
        Self::Unknown,
        Self::None,
        Self::Resources,
        Self::Fixtures,
        Self::Perfect,
        Self::New,
        Self::FewExclusive,
        Self::ManyExclusive,
        Self::Lost,
        Self::Speeds,
    ];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Noise => "noise",
            Self::Slow => "slow",
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Resources => "resources",
            Self::Fixtures => "fixtures",
            Self::Perfect => "perfect",
            Self::New => "new10",
            Self::FewExclusive => "resources-1",
            Self::ManyExclusive => "resources-5",
            Self::Lost => "lost",
            Self::Speeds => "speeds",
        }
    }

    /// How many slots it has where that many are asked for.
    #[must_use]
    pub fn slots(self, asked: usize) -> usize {
        if self == Self::Fixtures { asked.min(FIXTURE_SLOTS) } else { asked }
    }

    /// The cases of this name: the tests of a version on that many slots.
    #[must_use]
    pub fn build(self, tests: &[Test], slots: usize, startup: f64, warm: bool, seed: u64) -> Vec<Case> {
        let slots = vec![Slot::SOUND; self.slots(slots)];
        let base = Case { tests: tests.to_vec(), slots, startup, warm, fixture: 0.0, capacity: Vec::new() };
        if self == Self::Resources {
            return CONTENTION.iter().map(|shares| contended(base.clone(), *shares, seed)).collect();
        }
        vec![self.change(base, seed)]
    }

    fn change(self, mut case: Case, seed: u64) -> Case {
        match self {
            Self::Clean | Self::Resources => {}
            Self::Noise => disturb(&mut case, seed),
            Self::Slow => {
                disturb(&mut case, seed);
                choose(case.slots.len(), 0.1, seed).for_each(|at| case.slots[at].speed = 0.5);
            }
            Self::Unknown => forget(&mut case, 0.3, seed),
            Self::New => forget(&mut case, 0.1, seed),
            Self::None => forget(&mut case, 1.0, seed),
            Self::Fixtures => case.fixture = FIXTURE,
            Self::Perfect => {
                for test in &mut case.tests {
                    test.history = Some(super::Known { mean: test.truth.max(1e-6), spread: 0.0 });
                }
            }
            Self::FewExclusive => exclude(&mut case, 0.01, seed),
            Self::ManyExclusive => exclude(&mut case, 0.05, seed),
            Self::Lost => {
                let halfway = bound::seconds(&case) / 2.0;
                let lost = choose(case.slots.len(), 0.05, seed).take(case.slots.len().saturating_sub(1));
                lost.for_each(|at| case.slots[at].dies_at = Some(halfway));
            }
            Self::Speeds => {
                let mut chance = Chance::of(seed, "speeds");
                case.slots.iter_mut().for_each(|slot| slot.speed = 0.7 + 0.6 * chance.uniform());
            }
        }
        case
    }
}

/// What runs is not quite what was measured.
fn disturb(case: &mut Case, seed: u64) {
    let mut chance = Chance::of(seed, "noise");
    for test in &mut case.tests {
        let stuck = if chance.uniform() < 0.001 { 10.0 } else { 1.0 };
        test.truth *= chance.log_normal(0.0, 0.3) * stuck;
    }
}

/// Of that share of the tests nothing is known.
fn forget(case: &mut Case, share: f64, seed: u64) {
    let mut chance = Chance::of(seed, "unknown");
    for test in &mut case.tests {
        if chance.uniform() < share {
            test.history = None;
        }
    }
}

/// That share of the slots, at least one, in random order.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few slots")]
fn choose(slots: usize, share: f64, seed: u64) -> impl Iterator<Item = usize> {
    let count = (slots as f64 * share).round().max(1.0) as usize;
    Chance::of(seed, "slots").order(slots).into_iter().take(count)
}

/// That share of the tests needs one of two resources, each of which has one seat.
fn exclude(case: &mut Case, share: f64, seed: u64) {
    let mut chance = Chance::of(seed, "exclusive");
    case.capacity = vec![1, 1];
    for test in &mut case.tests {
        let which = u16::from(chance.uniform() < 0.5);
        test.needs = (chance.uniform() < share).then_some(which);
    }
}

/// Puts tests behind the database and the four seats, at random, until each has its share of the work.
fn contended(mut case: Case, shares: [f64; 2], seed: u64) -> Case {
    let ideal = bound::work(&case) / case.speed();
    case.capacity = vec![1, 4];
    let mut order = Chance::of(seed, "resources").order(case.tests.len()).into_iter();
    for ((resource, seats), share) in (0..).zip([1.0, 4.0]).zip(shares) {
        let mut left = share * ideal * seats;
        while left > 0.0 {
            let Some(at) = order.next() else { break };
            case.tests[at].needs = Some(resource);
            left -= case.tests[at].truth;
        }
    }
    case
}

#[cfg(test)]
mod tests {
    use super::super::synth::{Shape, suite};
    use super::*;

    fn tests() -> Vec<Test> {
        suite(Shape::LogNormal, 2_000, 1).points().pop().expect("a version")
    }

    fn built(named: Named) -> Case {
        named.build(&tests(), 32, 2.0, true, 9).pop().expect("a case")
    }

    #[test]
    fn names_are_different_and_the_same_seed_gives_the_same_case() {
        let mut names: Vec<_> = Named::ALL.iter().map(|named| named.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Named::ALL.len());
        Named::ALL.iter().for_each(|named| assert_eq!(built(*named), built(*named)));
    }

    #[test]
    fn a_case_changes_what_its_name_says() {
        let known = |case: &Case| case.tests.iter().filter(|test| test.history.is_some()).count();
        assert_eq!(known(&built(Named::Clean)), 2_000);
        assert_eq!(known(&built(Named::None)), 0);
        assert!((1_300..1_500).contains(&known(&built(Named::Unknown))));
        assert!((1_750..1_850).contains(&known(&built(Named::New))));
        let slow = built(Named::Slow);
        assert_eq!(slow.slots.iter().filter(|slot| slot.speed == 0.5).count(), 3);
        assert_eq!(slow.tests, built(Named::Noise).tests, "slow slots come on top of the same noise");
        let lost = built(Named::Lost);
        let dying: Vec<f64> = lost.slots.iter().filter_map(|slot| slot.dies_at).collect();
        assert_eq!(dying, [bound::seconds(&lost) / 2.0; 2]);
        let fixtures = built(Named::Fixtures);
        assert_eq!((fixtures.slots.len(), fixtures.fixture), (16, 1.0));
        assert!(built(Named::Speeds).slots.iter().all(|slot| (0.7..1.3).contains(&slot.speed)));
    }

    #[test]
    fn of_two_slots_one_is_lost_and_of_one_none() {
        let dying = |slots| {
            let case = Named::Lost.build(&tests(), slots, 2.0, true, 9).pop().expect("a case");
            case.slots.iter().filter(|slot| slot.dies_at.is_some()).count()
        };
        assert_eq!((dying(1), dying(2)), (0, 1));
    }

    #[test]
    fn resources_are_contended_as_much_as_was_asked() {
        let cases = Named::Resources.build(&tests(), 32, 2.0, false, 9);
        assert_eq!(cases.len(), 3);
        for (case, shares) in cases.iter().zip(CONTENTION) {
            let ideal = bound::work(case) / 32.0;
            for (resource, (seats, share)) in (0..).zip([1.0, 4.0].into_iter().zip(shares)) {
                let needing = case.tests.iter().filter(|test| test.needs == Some(resource));
                let work: f64 = needing.map(|test| test.truth).sum::<f64>() / seats / ideal;
                assert!(work >= share && work < share + 0.5, "{work} for {share}");
            }
        }
    }

    #[test]
    fn few_tests_are_behind_exclusive_resources_or_somewhat_more() {
        let needing = |named| built(named).tests.iter().filter(|test| test.needs.is_some()).count();
        assert!((5..40).contains(&needing(Named::FewExclusive)));
        assert!((70..130).contains(&needing(Named::ManyExclusive)));
    }
}
