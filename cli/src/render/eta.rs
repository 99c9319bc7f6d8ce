//! How long a run may still take: guessed from what history says of the tests that are left, and from how well it has been
//! right so far.

use crate::view::View;
use regatta_domain::{Micros, Time};

/// History is trusted as if it had been seen to be right for this long.
const TRUST: Micros = Micros::from_secs(2);

/// How long the tests that are left may take on this many slots; `None` where too little is known.
pub(super) fn left(view: &View, now: Time, slots: u32) -> Option<Micros> {
    let first = view.first_lease?;
    if view.left == Micros::ZERO || view.files_to_list() > 0 {
        return None;
    }
    let slots = u64::from(slots.max(1));
    // What runs is partly done; and the run lasts at least until the longest of what runs has ended.
    let (mut begun, mut longest) = (Micros::ZERO, Micros::ZERO);
    for (test, running) in &view.running {
        let estimate = view.test(*test).estimate;
        let elapsed = now.since(running.since);
        begun += estimate.min(elapsed);
        longest = longest.max(estimate - elapsed);
    }
    let done = view.estimated - view.left + begun;
    let elapsed = now.since(first);
    let weight = (elapsed + TRUST).as_secs_f64();
    // Seconds of estimated work that a second brings, over all slots.
    #[expect(clippy::cast_precision_loss, reason = "slots are few")]
    let speed = (TRUST.as_secs_f64() * slots as f64 + done.as_secs_f64()) / weight;
    let seconds = (view.left - begun).as_secs_f64() / speed;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and as long as it may be"
    )]
    let guess = Micros((seconds * 1e6) as u64);
    Some(guess.max(longest))
}
