//! Runs share the fleet.

use super::*;

#[test]
fn the_run_that_holds_the_fewest_slots_is_served_first() {
    let mut scene = Scene::new();
    let files = || vec![file("a", &[("x", 90_000)]), file("b", &[("y", 90_000)]), file("c", &[("z", 90_000)])];
    let _step = scene.submit(run(files()));
    scene.wait(Micros(1));
    let _step = scene.submit(Submission { run: SECOND, ..run(files()) });
    let attach = scene.attach(A, &[]);
    let _step = scene.take(attach);
    let ask = |slot| Command::Ask { worker: A, session: SessionId(1), slot: SlotIx(slot) };
    scene.check(ask(0), &["leased 1 to A0: run [0]", "A < grant 1 on 0: run [0#1]"]);
    scene.check(ask(1), &["run 2: leased 2 to A1: run [0]", "A < run 2: grant 2 on 1: run [0#1]"]);
    scene.check(ask(0), &["leased 3 to A0: run [1]", "A < grant 3 on 0: run [1#1]"]);
    scene.check(ask(1), &["run 2: leased 4 to A1: run [1]", "A < run 2: grant 4 on 1: run [1#1]"]);
}

#[test]
fn a_cancelled_run_leaves_the_other_alone() {
    let mut scene = Scene::new();
    let _step = scene.submit(run(vec![file("a", &[("x", 90_000)])]));
    let _step = scene.submit(Submission { run: SECOND, ..run(vec![file("a", &[("x", 90_000)])]) });
    scene.check(cancel(false), &["cancelled: Asked", "closing", "ended: Cancelled", "reply: ok"]);
    scene.join(A, 0);
    let ask = scene.ask(A, 0);
    scene.check(ask, &["run 2: leased 1 to A0: run [0]", "A < run 2: grant 1 on 0: run [0#1]"]);
}
