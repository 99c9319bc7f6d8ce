//! One pool that takes tests in the order in which they are listed, each in a process of its own: cargo-nextest, if all slots
//! were one machine. Its test groups are semaphores: a test whose group is full stands aside, and others go ahead.
//!
//! nextest's processes are test binaries, which start at once; so with a warm runner they cost a start-up once a slot, like
//! everybody's, and with a cold one they cost it each time.

use super::Case;
use super::floor::{Lost, Policy, Start};
use super::pull::Pull;

pub(super) struct Inorder(Pull);

impl Inorder {
    pub(super) fn new(case: &Case) -> Self {
        Self(Pull::in_order(case, &(0..case.tests.len()).collect::<Vec<_>>()))
    }
}

impl Policy for Inorder {
    fn next(&mut self, slot: usize, free: &[u32]) -> Option<Start> {
        self.0.next(slot, free)
    }

    fn lost(&mut self, slot: usize, running: Option<usize>) -> Lost {
        self.0.lost(slot, running)
    }
}
