//! How far a host may be ahead: enough that it never waits, little enough that nothing worth stealing is out of reach.
//!
//! Estimates of new tests are guesses, and a guess of 100 ms for a test of 100 µs would make a host wait for the worker
//! after every test. So estimates are scaled by what came of the last ones.

use super::limits::{AHEAD, AHEAD_BYTES, AHEAD_TESTS, AHEAD_TESTS_MIN};
use regatta_domain::Micros;
use std::time::Duration;

/// How much of the past still counts after one more test: the last ten or so decide.
const MEMORY: f64 = 0.9;

/// What is ahead of a host, and how the estimates do.
#[derive(Debug, Default)]
pub(super) struct Window {
    tests: usize,
    bytes: usize,
    estimate: Micros,
    /// What the last tests took, and what they were estimated to take, in microseconds.
    took: f64,
    guessed: f64,
}

impl Window {
    /// Whether a test may be sent now.
    pub(super) fn takes(&self, estimate: Micros, name: &str) -> bool {
        if self.tests == 0 {
            return true;
        }
        let ahead = (self.estimate + estimate).as_secs_f64() * self.scale();
        self.bytes + name.len() <= AHEAD_BYTES
            && self.tests < AHEAD_TESTS
            && (self.tests < AHEAD_TESTS_MIN || ahead <= AHEAD.as_secs_f64())
    }

    /// A test was sent.
    pub(super) fn sent(&mut self, estimate: Micros, name: &str) {
        self.tests += 1;
        self.bytes += name.len();
        self.estimate += estimate;
    }

    /// A test that was sent is over: it took so long, or was never run.
    pub(super) fn over(&mut self, estimate: Micros, name: &str, took: Option<Duration>) {
        self.tests -= 1;
        self.bytes -= name.len();
        self.estimate = self.estimate - estimate;
        if let Some(took) = took {
            self.took = self.took * MEMORY + took.as_secs_f64();
            self.guessed = self.guessed * MEMORY + estimate.as_secs_f64();
        }
    }

    /// By how much estimates exceed what they estimate. Never more than 1: a test that may be long is not sent early.
    fn scale(&self) -> f64 {
        if self.guessed > 0.0 { (self.took / self.guessed).min(1.0) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many tests of this estimate fit.
    fn fits(window: &mut Window, estimate: Micros) -> usize {
        let before = window.tests;
        while window.takes(estimate, "test_name") {
            window.sent(estimate, "test_name");
        }
        window.tests - before
    }

    #[test]
    fn short_tests_are_sent_many_at_a_time_and_long_ones_two() {
        assert_eq!(fits(&mut Window::default(), Micros(100)), AHEAD_TESTS);
        assert_eq!(fits(&mut Window::default(), Micros::from_ms(4)), 5);
        assert_eq!(fits(&mut Window::default(), Micros::from_secs(3)), AHEAD_TESTS_MIN);
    }

    #[test]
    fn guesses_that_prove_far_too_long_open_the_window() {
        let mut window = Window::default();
        let guess = Micros::from_ms(100);
        assert_eq!(fits(&mut window, guess), 2);
        for _ in 0..2 {
            window.over(guess, "test_name", Some(Duration::from_micros(150)));
        }
        assert_eq!(fits(&mut window, guess), AHEAD_TESTS);
    }

    #[test]
    fn a_long_test_waits_behind_short_ones_where_it_can_be_stolen() {
        let mut window = Window::default();
        assert_eq!(fits(&mut window, Micros(200)), AHEAD_TESTS);
        for _ in 0..AHEAD_TESTS - AHEAD_TESTS_MIN {
            window.over(Micros(200), "test_name", Some(Duration::from_micros(200)));
        }
        assert!(!window.takes(Micros::from_secs(3), "test_long"));
    }

    #[test]
    fn names_in_flight_have_a_bound() {
        let mut window = Window::default();
        let name = "x".repeat(AHEAD_BYTES / 4);
        let mut sent = 0;
        while window.takes(Micros(1), &name) {
            window.sent(Micros(1), &name);
            sent += 1;
        }
        assert_eq!(sent, 4);
    }
}
