//! The best schedule of a tiny case, found by trying all of them.
//!
//! Without resources only the choice of slots matters: tests are placed longest first, and a branch is left where its
//! longest slot, or an even spread of what is left, is no better than the best so far. With resources the order matters too: each schedule is tried in the order in
//! which its tests start.

use super::Case;

/// The least time in which the case can be run, in seconds. For up to twelve tests; seven where they need resources. Nobody
/// dies, every process starts once, and resources and shared set-up do not meet.
pub(super) fn optimum(case: &Case) -> f64 {
    assert!(case.slots.iter().all(|slot| slot.dies_at.is_none()), "what is lost is not looked at here");
    let contended = case.tests.iter().any(|test| test.needs.is_some());
    assert!(case.tests.len() <= if contended { 7 } else { 12 }, "all schedules of {} tests", case.tests.len());
    assert!(!contended || case.fixture == 0.0, "resources and shared set-up do not meet here");
    if contended {
        let seats: Vec<_> = case.capacity.iter().map(|seats| vec![0.0; *seats as usize]).collect();
        let mut search = Ordered { case, left: vec![true; case.tests.len()], best: f64::INFINITY };
        search.place(&mut vec![0.0; case.slots.len()], &seats, 0.0);
        case.startup + search.best
    } else {
        let mut order: Vec<usize> = (0..case.tests.len()).collect();
        order.sort_by(|a, b| case.tests[*b].truth.total_cmp(&case.tests[*a].truth));
        let mut search = Assigned { case, order, best: f64::INFINITY };
        search.place(0, &mut vec![(0.0, 0); case.slots.len()]);
        case.startup + search.best
    }
}

struct Assigned<'a> {
    case: &'a Case,
    order: Vec<usize>,
    best: f64,
}

impl Assigned<'_> {
    /// Tries every slot for the next test. A slot has a load, and the set of files that it is set up for.
    fn place(&mut self, at: usize, slots: &mut [(f64, u64)]) {
        let longest = slots.iter().map(|slot| slot.0).fold(0.0, f64::max);
        let rest: f64 = self.order[at..].iter().map(|test| self.case.tests[*test].truth).sum();
        let done: f64 = slots.iter().zip(&self.case.slots).map(|(load, slot)| load.0 * slot.speed).sum();
        if longest.max((done + rest) / self.case.speed()) >= self.best {
            return;
        }
        let Some(&test) = self.order.get(at) else {
            self.best = longest;
            return;
        };
        let test = &self.case.tests[test];
        for slot in 0..slots.len() {
            let speed = self.case.slots[slot].speed;
            let same = |other: usize| slots[other] == slots[slot] && self.case.slots[other].speed == speed;
            if (0..slot).any(same) {
                continue;
            }
            let before = slots[slot];
            let shared = if before.1 & (1 << test.file) == 0 { self.case.fixture } else { 0.0 };
            slots[slot] = (before.0 + (test.truth + shared) / speed, before.1 | 1 << test.file);
            self.place(at + 1, slots);
            slots[slot] = before;
        }
    }
}

struct Ordered<'a> {
    case: &'a Case,
    left: Vec<bool>,
    best: f64,
}

impl Ordered<'_> {
    /// Tries every test on every slot as the next one to start.
    fn place(&mut self, slots: &mut [f64], seats: &[Vec<f64>], latest: f64) {
        let longest = slots.iter().copied().fold(0.0, f64::max);
        if longest >= self.best {
            return;
        }
        if !self.left.contains(&true) {
            self.best = longest;
            return;
        }
        for at in (0..self.left.len()).filter(|at| self.left[*at]).collect::<Vec<_>>() {
            let test = &self.case.tests[at];
            for slot in 0..slots.len() {
                let mut seats = seats.to_vec();
                let seat =
                    test.needs.and_then(|needs| seats[usize::from(needs)].iter_mut().min_by(|a, b| a.total_cmp(b)));
                let start = seat.as_deref().copied().unwrap_or(0.0).max(slots[slot]);
                if start < latest {
                    continue;
                }
                let end = start + test.truth / self.case.slots[slot].speed;
                if let Some(seat) = seat {
                    *seat = end;
                }
                let before = std::mem::replace(&mut slots[slot], end);
                self.left[at] = false;
                self.place(slots, &seats, start);
                self.left[at] = true;
                slots[slot] = before;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Slot, Test};
    use super::*;

    fn case(truths: &[f64], slots: usize) -> Case {
        let test = |(at, truth): (usize, &f64)| Test {
            id: format!("t{at}"),
            file: 0,
            group: None,
            truth: *truth,
            history: None,
            needs: None,
        };
        Case {
            tests: truths.iter().enumerate().map(test).collect(),
            slots: vec![Slot::SOUND; slots],
            startup: 0.0,
            warm: true,
            fixture: 0.0,
            capacity: vec![1],
        }
    }

    #[test]
    fn grahams_example_takes_what_it_is_known_to_take() {
        // Longest first needs 11 here; the best is 9.
        assert_eq!(optimum(&case(&[5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 3.0], 3)), 9.0);
    }

    #[test]
    fn what_needs_the_one_seat_runs_one_after_another() {
        let mut case = case(&[2.0, 2.0, 2.0, 3.0], 2);
        case.tests[0].needs = Some(0);
        case.tests[1].needs = Some(0);
        assert_eq!(optimum(&case), 5.0);
        case.tests[2].needs = Some(0);
        assert_eq!(optimum(&case), 6.0);
    }

    #[test]
    fn files_stay_together_where_setting_up_twice_costs_more() {
        let mut case = case(&[1.0, 1.0, 1.0, 1.0], 2);
        (case.tests[1].file, case.tests[3].file) = (1, 1);
        case.fixture = 10.0;
        assert_eq!(optimum(&case), 12.0);
    }
}
