//! How many slots a target takes, or why it cannot be met.

use super::{Binds, MOST_SLOTS, Prospect};
use crate::render::{safe, words};
use regatta_domain::Micros;

/// What becomes of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The least number of slots that reach it, and the time on those.
    On(u32, Micros),
    /// It cannot be met: something takes longer by itself.
    Never(Binds),
    /// It cannot be met: so many slots do not, and more do not help.
    Best(u32, Micros),
}

/// The least number of slots on which a plan ends in time.
pub(crate) fn reach(prospect: &Prospect<'_>, target: Micros) -> Reach {
    let bound = super::Bound::of(prospect, 1);
    if bound.start + bound.however_many() > target
        && let Some(binds) = bound.firm()
    {
        return Reach::Never(binds);
    }
    let most = u32::try_from(prospect.count()).unwrap_or(u32::MAX).clamp(1, MOST_SLOTS);
    // No number below that has time for all the work.
    let work = (prospect.work().0).div_ceil(target.0.max(1));
    let mut low = u32::try_from(work).unwrap_or(u32::MAX).clamp(1, most);
    let (mut high, mut time) = (low, prospect.makespan(low));
    let mut best = (high, time);
    while time > target {
        if high == most {
            return Reach::Best(best.0, best.1);
        }
        low = high + 1;
        high = (high * 2).min(most);
        time = prospect.makespan(high);
        if time < best.1 {
            best = (high, time);
        }
    }
    while low < high {
        let middle = low.midpoint(high);
        let there = prospect.makespan(middle);
        if there <= target {
            (high, time) = (middle, there);
        } else {
            low = middle + 1;
        }
    }
    Reach::On(high, time)
}

impl Reach {
    /// What becomes of a target, in one line.
    pub(crate) fn line(&self, prospect: &Prospect<'_>, target: Micros) -> String {
        let target = words::span(target);
        match self {
            Self::On(slots, time) => {
                let (slots, time) = (words::count_of(*slots as usize, "slot"), words::span(*time));
                format!("target {target}: {slots} reach it ({time} predicted)")
            }
            Self::Never(Binds::Test(test, takes)) => format!(
                "target {target} cannot be met: {} alone takes {}",
                safe::one_line(&prospect.view().id(*test)),
                words::span(*takes)
            ),
            Self::Never(Binds::Resource(name, busy)) => format!(
                "target {target} cannot be met: the tests that need {} keep it busy for {}",
                safe::one_line(name),
                words::span(*busy)
            ),
            Self::Never(Binds::Work(_)) => format!("target {target} cannot be met"),
            Self::Best(slots, time) => format!(
                "target {target} cannot be met: {} take {}, and more do not help",
                words::count_of(*slots as usize, "slot"),
                words::span(*time)
            ),
        }
    }
}

/// What a target asks of the slots that there are, in one line: for before a run.
pub(crate) fn before(prospect: &Prospect<'_>, target: Micros) -> String {
    let slots = prospect.fleet().slots;
    let there = prospect.makespan(slots);
    let on = words::count_of(slots as usize, "slot");
    if there <= target {
        return format!("target {}: {} predicted on {on}", words::span(target), words::span(there));
    }
    let reach = reach(prospect, target).line(prospect, target);
    format!("{reach}; {} predicted on {on}", words::span(there))
}
