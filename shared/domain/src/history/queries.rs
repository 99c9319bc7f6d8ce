//! How much a test asked of its databases lately, and whether it asks much more now.

use crate::database::Observation;
use crate::{Micros, Verdict};

/// How many runs are remembered.
const KEPT: usize = 8;

/// Fewer say nothing of what is usual.
const KNOWN: usize = 5;

/// So many more calls are worth a word: statements around those of the test itself (what a driver sends on connecting,
/// say) come and go in fewer.
const MORE_CALLS: u64 = 10;

/// So much more time is worth a word: what a busy machine adds to some milliseconds is not.
const MORE_TIME: Micros = Micros::from_ms(20);

/// How much a test asked of its databases in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queried {
    /// How many statements it sent.
    pub calls: u64,
    /// How long the server worked at them.
    pub time: Micros,
}

/// How much it asked in its last runs, as far as those say something: it passed, and all of it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queries {
    /// Calls, and microseconds; the newest first.
    kept: [(u32, u32); KEPT],
    /// How many of them are known.
    known: usize,
}

/// A test that asks more than it used to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slower {
    /// What was usual: the medians of calls and of time.
    pub usual: Queried,
    /// What it asked now.
    pub now: Queried,
    /// It sent at least twice as many statements: that is exact, whatever else the machine did.
    pub more_calls: bool,
    /// The server worked at least twice as long.
    pub more_time: bool,
}

impl Queried {
    /// What an attempt asked that decided on this verdict; `None` where that does not compare with other runs. One that did
    /// not pass may have ended early.
    #[must_use]
    pub fn of(seen: &Observation, verdict: Verdict) -> Option<Self> {
        let asked = seen.asked_in_all().filter(|_| matches!(verdict, Verdict::Passed | Verdict::Flaky))?;
        Some(Self { calls: asked.calls, time: asked.time })
    }
}

impl Queries {
    /// It ran once more. The oldest of eight is forgotten.
    pub fn push(&mut self, queried: Queried) {
        let clamped = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        self.kept.rotate_right(1);
        self.kept[0] = (clamped(queried.calls), clamped(queried.time.0));
        self.known = (self.known + 1).min(KEPT);
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Queried> + '_ {
        let known = &self.kept[..self.known];
        known.iter().rev().map(|&(calls, time)| Queried { calls: calls.into(), time: Micros(time.into()) })
    }

    /// The newest, and those before it.
    #[must_use]
    pub fn newest(&self) -> Option<(Queried, Self)> {
        let newest = self.iter().last()?;
        Some((newest, self.iter().take(self.known - 1).collect()))
    }

    /// Whether `now` is much more than was usual in the runs before.
    #[must_use]
    pub fn slower(&self, now: Queried) -> Option<Slower> {
        if self.known < KNOWN {
            return None;
        }
        let (calls, time) =
            (twice_median(self.iter().map(|one| one.calls)), twice_median(self.iter().map(|one| one.time.0)));
        // Twice the difference to the median, so that halves are told apart.
        let is_more = |now: u64, twice: u64, least: u64| now >= twice && 2 * now - twice >= 2 * least;
        let more_calls = is_more(now.calls, calls, MORE_CALLS);
        let more_time = is_more(now.time.0, time, MORE_TIME.0);
        let usual = Queried { calls: calls / 2, time: Micros(time / 2) };
        (more_calls || more_time).then_some(Slower { usual, now, more_calls, more_time })
    }

    /// As it is kept on disk: calls and microseconds of each, in four bytes each, the oldest first. Empty where nothing is
    /// known, which is the case for most tests.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let known = &self.kept[..self.known];
        known.iter().rev().flat_map(|(calls, time)| [calls.to_le_bytes(), time.to_le_bytes()].concat()).collect()
    }

    /// What was kept; what is not whole is forgotten.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut queries = Self::default();
        let (pairs, _) = bytes.as_chunks::<8>();
        for &[a, b, c, d, e, f, g, h] in pairs {
            let calls = u32::from_le_bytes([a, b, c, d]).into();
            queries.push(Queried { calls, time: Micros(u32::from_le_bytes([e, f, g, h]).into()) });
        }
        queries
    }
}

impl FromIterator<Queried> for Queries {
    /// The oldest first.
    fn from_iter<I: IntoIterator<Item = Queried>>(all: I) -> Self {
        let mut queries = Self::default();
        all.into_iter().for_each(|queried| queries.push(queried));
        queries
    }
}

/// Twice the median: a whole number also where the median lies between two.
fn twice_median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    let at = numbers.len() / 2;
    match (numbers.get(at), numbers.len() % 2) {
        (Some(&middle), 1) => 2 * middle,
        (Some(&upper), _) => numbers[at - 1] + upper,
        (None, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use crate::database::Asked;

    const fn queried(calls: u64, ms: u64) -> Queried {
        Queried { calls, time: Micros::from_ms(ms) }
    }

    fn runs(calls: &[u64]) -> Queries {
        calls.iter().map(|&calls| queried(calls, 1)).collect()
    }

    /// Numbers between 0 and 1 that look like chance, and are the same each time.
    fn chance() -> impl Iterator<Item = f64> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::iter::from_fn(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            Some(f64::from(u32::try_from(state >> 32).expect("32 bits are left")) / f64::from(u32::MAX))
        })
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positive numbers")]
    fn noise_alone_tells_nothing() {
        let mut chance = chance();
        let mut up_to = |least: f64, most: f64| least + (most - least) * chance.next().expect("there is always more");
        for (calls, ms) in [(0.0, 0.0), (3.0, 2.0), (40.0, 15.0), (900.0, 700.0), (100_000.0, 60_000.0)] {
            let mut queries = Queries::default();
            for _ in 0..2_000 {
                // Calls within a seventh, as of a test that does not always take the same way; times within a third.
                let now = queried((calls * up_to(0.86, 1.14)) as u64, (ms * up_to(0.7, 1.35)) as u64);
                assert_eq!(queries.slower(now), None, "of {queries:?}");
                queries.push(now);
            }
        }
        // Of tests that ask little, however much more it is by its share.
        assert_eq!(runs(&[1; 8]).slower(queried(10, 20)), None);
    }

    #[test]
    fn twice_the_calls_are_told_until_they_are_usual() {
        let mut queries = runs(&[25; 8]);
        let mut told = Vec::new();
        for _ in 0..10 {
            told.push(queries.slower(queried(50, 1)).is_some_and(|slower| slower.more_calls && !slower.more_time));
            queries.push(queried(50, 1));
        }
        assert_eq!(told, [true, true, true, true, false, false, false, false, false, false]);
        assert_eq!(queries.slower(queried(25, 1)), None, "less is never told");
        assert!(queries.slower(queried(100, 1)).is_some(), "but twice as many again");
    }

    #[test]
    fn a_single_outlier_is_told_and_then_forgotten() {
        let mut queries = runs(&[25; 8]);
        let slower = queries.slower(queried(400, 90)).expect("both are far off");
        assert_eq!((slower.usual, slower.more_calls, slower.more_time), (queried(25, 1), true, true));
        queries.push(queried(400, 90));
        assert_eq!(queries.slower(queried(25, 1)), None);
        assert_eq!(
            queries.slower(queried(60, 1)).map(|slower| slower.usual.calls),
            Some(25),
            "it did not become usual"
        );
    }

    #[test]
    fn what_is_usual_has_to_be_known() {
        assert_eq!(runs(&[25; 4]).slower(queried(500, 1)), None);
        assert!(runs(&[25; 5]).slower(queried(500, 1)).is_some());
        assert!(runs(&[24, 26, 24, 26, 24, 26]).slower(queried(50, 1)).is_some(), "the median lies between two");
        assert_eq!(runs(&[24, 26, 24, 26, 24, 27]).slower(queried(50, 1)), runs(&[25; 5]).slower(queried(50, 1)));
        assert_eq!(runs(&[24, 27, 24, 27, 24, 27]).slower(queried(50, 1)), None, "25.5 twice is 51");
    }

    #[test]
    fn the_newest_is_compared_with_those_before_it() {
        assert_eq!(Queries::default().newest(), None);
        let (newest, before) = runs(&[25, 25, 25, 25, 25, 50]).newest().expect("there are six");
        assert_eq!((newest, before), (queried(50, 1), runs(&[25; 5])));
        assert!(before.slower(newest).is_some());
        let (newest, before) = runs(&[25, 25, 25, 25, 50]).newest().expect("there are five");
        assert_eq!(before.slower(newest), None, "four say nothing");
    }

    #[test]
    fn the_last_eight_survive_the_disk() {
        let queries = runs(&[1, 2, 3, 4, 5, 6, 7, 8, 9, u64::MAX]);
        let calls: Vec<u64> = queries.iter().map(|one| one.calls).collect();
        assert_eq!(calls, [3, 4, 5, 6, 7, 8, 9, u64::from(u32::MAX)]);
        assert_eq!(Queries::from_bytes(&queries.to_bytes()), queries);
        assert_eq!(queries.to_bytes().len(), 64);
        assert_eq!(Queries::default().to_bytes(), [0_u8; 0]);
        assert_eq!(Queries::from_bytes(&[1, 2, 3]), Queries::default());
    }

    #[test]
    fn only_what_was_counted_whole_of_a_test_that_passed_compares() {
        let asked = Asked { calls: 7, time: Micros(3), top: Vec::new() };
        let mut seen = Observation { asked: Some(asked), ..Observation::new(Level::Read, Level::Read) };
        let is = Some(Queried { calls: 7, time: Micros(3) });
        assert_eq!(Queried::of(&seen, Verdict::Passed), is);
        assert_eq!(Queried::of(&seen, Verdict::Failed), None);
        seen.notes.push(format!("{}no room", Observation::DROPPED).into());
        assert_eq!(Queried::of(&seen, Verdict::Passed), None);
    }
}
