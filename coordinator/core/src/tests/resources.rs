//! What the fleet shares: taken with the shard, all of it at once, and free again when the lease has ended.

use super::*;
use crate::ledger::Health;
use regatta_domain::database::Observation;
use regatta_domain::resource::{Hook, Hooks, Withheld};
use regatta_domain::{Item, Need, Needs, Offer, Relation, Resource, Want};
use std::sync::Arc;

fn phone(name: &str, os: &str) -> Item {
    Item { name: name.into(), labels: BTreeMap::from([("os".into(), os.into())]), values: BTreeMap::new() }
}

fn phones() -> Resource {
    Resource::pool(vec![phone("p1", "android"), phone("p2", "ios"), phone("p3", "android")])
}

fn android(seats: u32) -> Need {
    let want = Want { label: "os".into(), relation: Relation::Is, value: "android".into() };
    Need { wants: vec![want], ..Need::new("phone", seats) }
}

/// A run of one file: each test takes a second, and has the needs at its place.
fn needing(needs: &[&[Need]]) -> Submission {
    let tests: Vec<TestDraft> = (1..=needs.len())
        .map(|at| {
            let needs = if needs[at - 1].is_empty() { 0 } else { u16::try_from(at).unwrap() };
            TestDraft { needs: NeedsIx(needs), ..test(&format!("t{at}"), 90_000) }
        })
        .collect();
    let file = FileDraft { tests: Some(tests), digest: 77, ..unlisted("a") };
    Submission { needs: needs.iter().map(|needs| Needs::all(needs.iter().cloned())).collect(), ..run(vec![file]) }
}

fn scene(resources: &[(&str, Resource)]) -> Scene {
    let offers = |(name, resource): &(&str, Resource)| ((*name).into(), Offer::from(resource.clone()));
    let mut scene = Scene::new();
    let _step = scene.take(Command::Offer { resources: resources.iter().map(offers).collect() });
    scene
}

/// What these slots were granted, in the order in which they asked.
fn granted(scene: &mut Scene, worker: WorkerId, slots: std::ops::Range<u16>) -> Vec<String> {
    let mut shown = Vec::new();
    for slot in slots {
        let ask = scene.ask(worker, slot);
        let step = scene.take(ask);
        shown.extend(show::step(&step, scene.now).into_iter().filter(|line| line.starts_with("leased")));
    }
    shown
}

fn joined(scene: &mut Scene, slots: u16) -> Vec<String> {
    let attach = scene.attach(A, &[]);
    let _step = scene.take(attach);
    granted(scene, A, 0..slots)
}

fn offer(scene: &mut Scene, name: &str, offer: Offer) -> Vec<String> {
    let step = scene.take(Command::Offer { resources: BTreeMap::from([(name.into(), offer)]) });
    show::step(&step, scene.now)
}

#[test]
fn a_need_takes_an_item_that_is_as_it_must_be_and_frees_it_with_the_lease() {
    let mut scene = scene(&[("phone", phones())]);
    let _step = scene.submit(needing(&[&[android(1)], &[android(1)], &[Need::new("phone", 1)]]));
    let shown = joined(&mut scene, 2);
    assert_eq!(shown, ["leased 1 to A0: run [0] with phone:1(p1)", "leased 2 to A1: run [1] with phone:1(p3)"]);
    let _step = scene.told(A, vec![passed(1, 0)]);
    assert!(scene.core.state().held["phone"].items.contains_key("p1"), "the last result does not free it");
    let _step = scene.told(A, vec![released(1)]);
    assert_eq!(granted(&mut scene, A, 0..1), ["leased 3 to A0: run [2] with phone:1(p1)"]);
}

#[test]
fn several_needs_of_one_pool_are_matched_so_that_all_of_them_are_met() {
    let mut scene = scene(&[("phone", phones())]);
    let _step = scene.submit(needing(&[&[Need::new("phone", 1), android(2)]]));
    assert_eq!(joined(&mut scene, 1), ["leased 1 to A0: run [0] with phone:3(p2 p3 p1)"]);
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    let rw = Resource { kind: regatta_domain::ResourceKind::ReadersWriter, ..Resource::of_seats(0) };
    let (read, write) = (Need::new("cache", 1), Need::new("cache", Need::ALL));
    let mut scene = scene(&[("cache", rw)]);
    let _step = scene.submit(needing(&[std::slice::from_ref(&read), &[write]]));
    assert_eq!(joined(&mut scene, 2), ["leased 1 to A0: run [0] with cache:1"]);
    let step = scene.told(A, vec![passed(1, 0), released(1)]);
    let writes = format!("leased 2 to A1: run [1] with cache:{}", Resource::READERS);
    assert!(show::step(&step, scene.now).contains(&writes));
}

#[test]
fn what_is_drained_or_kept_is_granted_to_nobody_until_it_is_free_again() {
    let mut scene = scene(&[("db", Resource::of_seats(2))]);
    let _step = scene.submit(needing(&[&[Need::new("db", 1)], &[Need::new("db", 2)]]));
    let until = Some(scene.now + Micros::from_secs(60));
    let kept = Withheld { item: None, seats: 2, until, by: "somebody".into() };
    let reserved = Offer { withheld: vec![kept], ..Resource::of_seats(2).into() };
    let _step = offer(&mut scene, "db", reserved);
    assert_eq!(joined(&mut scene, 1), Vec::<String>::new());
    // While its worker gives signs of life, a minute passes.
    for _ in 0..5 {
        let shown = scene.pass(Micros::from_secs(10));
        assert!(!shown.iter().any(|line| line.starts_with("leased")), "{shown:?}");
        let _step = scene.told(A, Vec::new());
    }
    let shown = scene.pass(Micros::from_secs(12));
    assert!(shown.contains(&"leased 1 to A0: run [0] with db:1".to_owned()), "{shown:?}");
    let drained = Offer { drained: true, ..Resource::of_seats(2).into() };
    let _step = offer(&mut scene, "db", drained);
    let _step = scene.told(A, vec![passed(1, 0), released(1)]);
    assert_eq!(granted(&mut scene, A, 0..1), Vec::<String>::new());
    let shown = offer(&mut scene, "db", Resource::of_seats(2).into());
    assert_eq!(shown[0], "leased 2 to A0: run [1] with db:2");
}

#[test]
fn what_is_taken_back_by_force_fences_its_holder() {
    let mut scene = scene(&[("db", Resource::of_seats(1))]);
    let _step = scene.submit(needing(&[&[Need::new("db", 1)]]));
    assert_eq!(joined(&mut scene, 2), ["leased 1 to A0: run [0] with db:1"]);
    let revoke = Command::Revoke { resource: "db".into(), item: None, reply: ReplyTo(9) };
    scene.check(
        revoke,
        &[
            "lease 1 ended: Revoked",
            "leased 2 to A1: run [0] with db:1",
            "A < kill 1",
            "reply: ok",
            "A < grant 2 on 1: run [0#1]",
        ],
    );
    let late = scene.report(A, vec![passed(1, 0)]);
    scene.check(late, &["refused A under 1: 0 Passed", "A < ack 1"]);
    assert_eq!(scene.verdict(0), None);
}

#[test]
fn a_resource_is_reset_before_anybody_else_has_it() {
    let hook = Hook { argv: vec!["reset".into()], timeout: Micros(1), retries: 0, every: Micros(1) };
    let hooks = Hooks { reset: Some(hook), ..Hooks::default() };
    let mut scene = scene(&[("phone", Resource { hooks, ..Resource::pool(vec![phone("p1", "ios")]) })]);
    let _step = scene.submit(needing(&[&[Need::new("phone", 1)], &[Need::new("phone", 1)]]));
    assert_eq!(joined(&mut scene, 2), ["leased 1 to A0: run [0] with phone:1(p1)"]);
    let done = scene.report(A, vec![passed(1, 0), released(1)]);
    scene.check(
        done,
        &["accepted under 1: 0 passed", "lease 1 ended: Released", "reset phone(p1) after 1", "A < ack 1"],
    );
    let examined = |health, after| Command::Examined {
        resource: "phone".into(),
        item: Some("p1".into()),
        health,
        after: Token(after),
    };
    // Somebody who looked before the lease ended has not seen it brought into order.
    scene.check(examined(Health::Well, 0), &[]);
    scene.check(examined(Health::Ill, 1), &[]);
    scene
        .check(examined(Health::Well, 1), &["leased 2 to A1: run [1] with phone:1(p1)", "A < grant 2 on 1: run [1#1]"]);
}

#[test]
fn a_test_that_fails_while_its_resource_is_ill_runs_anew_and_is_not_flaky() {
    let mut scene = scene(&[("db", Resource::of_seats(1))]);
    let _step = scene.submit(needing(&[&[Need::new("db", 1)]]));
    assert_eq!(joined(&mut scene, 1), ["leased 1 to A0: run [0] with db:1"]);
    let examined = |health| Command::Examined { resource: "db".into(), item: None, health, after: Token(9) };
    let _step = scene.take(examined(Health::Ill));
    let step = scene.told(A, vec![failed(1, 0), released(1)]);
    assert_eq!(show::step(&step, scene.now)[0], "accepted under 1: 0 anew, Unwell");
    assert_eq!(granted(&mut scene, A, 0..1), Vec::<String>::new(), "it waits, and does not fail");
    let shown = scene.take(examined(Health::Well));
    assert_eq!(show::step(&shown, scene.now)[0], "leased 2 to A0: run [0] with db:1");
    let _step = scene.told(A, vec![again(passed(2, 0), 2), released(2)]);
    assert_eq!(scene.verdict(0), Some(Verdict::Passed));
}

/// A lease of four tests that hold `db`, of which the first one runs, and a slot that asks for more.
fn a_shard_that_holds() -> Scene {
    let mut scene = Scene::tuned(Tuning { shard_min: Micros::from_secs(60), ..Tuning::LOCAL });
    let _step = scene.take(Command::Offer { resources: BTreeMap::from([("db".into(), Resource::of_seats(1).into())]) });
    let draft = |at: u32| TestDraft { needs: NeedsIx(1), ..test(&format!("t{at}"), 900) };
    let file = FileDraft { tests: Some((0..4).map(draft).collect()), digest: 77, ..unlisted("a") };
    let needs = vec![Needs::all([Need::new("db", 1)])];
    let _step = scene.submit(Submission { needs, ..run(vec![file]) });
    assert_eq!(joined(&mut scene, 1), ["leased 1 to A0: run [0 1 2 3] with db:1"]);
    let _step = scene.told(A, vec![started(1, 0)]);
    scene
}

fn db(health: Health) -> Command {
    Command::Examined { resource: "db".into(), item: None, health, after: Token(9) }
}

#[test]
fn what_has_not_begun_is_asked_back_when_what_its_lease_holds_is_ill_and_goes_on_when_that_is_well() {
    let mut scene = a_shard_that_holds();
    scene.check(db(Health::Ill), &["A < steal 1: [1 2 3]"]);
    assert!(scene.pass(Micros::from_ms(500)).is_empty(), "it is asked once, until there is an answer");
    let back = scene.report(A, vec![gave_back(1, &[1, 2, 3])]);
    scene.check(back, &["given back under 1: [1 2 3]", "A < ack 2"]);
    let step = scene.told(A, vec![failed(1, 0), released(1)]);
    assert_eq!(show::step(&step, scene.now)[0], "accepted under 1: 0 anew, Unwell");
    assert_eq!(granted(&mut scene, A, 0..1), Vec::<String>::new(), "nothing of it begins meanwhile");
    let shown = scene.take(db(Health::Well));
    assert!(show::step(&shown, scene.now)[0].starts_with("leased 2 to A0: run ["), "{shown:?}");
}

#[test]
fn of_what_is_asked_back_in_vain_less_is_asked_and_then_all_of_it_again() {
    let mut scene = a_shard_that_holds();
    scene.check(db(Health::Ill), &["A < steal 1: [1 2 3]"]);
    let mut asked = Vec::new();
    for _ in 0..4 {
        let _step = scene.told(A, vec![gave_back(1, &[])]);
        asked.extend(scene.pass(Micros::from_ms(200)));
    }
    assert_eq!(
        asked,
        ["A < steal 1: [2 3]", "A < steal 1: [3]", "A < steal 1: [1 2 3]", "A < steal 1: [2 3]"],
        "what it has begun is left to it"
    );
    let back = scene.report(A, vec![gave_back(1, &[2, 3])]);
    scene.check(back, &["given back under 1: [2 3]", "A < ack 6", "A < steal 1: [1]"]);
}

/// The same result, of another attempt.
fn again(entry: Entry, attempt: u16) -> Entry {
    let Entry::Finished { token, result } = entry else { panic!("{entry:?}") };
    Entry::Finished { token, result: TestResult { attempt, ..result } }
}

#[test]
fn a_test_that_was_refused_what_it_needs_runs_anew_with_more_rights() {
    let mut scene = Scene::new();
    let file = FileDraft {
        tests: Some(vec![TestDraft { level: Level::Read, ..test("t", 1_000) }]),
        digest: 77,
        ..unlisted("a")
    };
    let _step = scene.submit(run(vec![file]));
    scene.join(A, 1);
    let refused = |leased| {
        let seen = Observation { denied: true, ..Observation::new(leased, Level::Read) };
        Some(Arc::new(seen))
    };
    let seen = |entry, leased| {
        let Entry::Finished { token, result } = entry else { panic!("{entry:?}") };
        Entry::Finished { token, result: TestResult { observation: refused(leased), ..result } }
    };
    let step = scene.told(A, vec![seen(failed(1, 0), Level::Read), released(1)]);
    assert_eq!(show::step(&step, scene.now)[0], "accepted under 1: 0 anew, Promoted(Isolated)");
    assert_eq!(scene.core.state().runs[&R].test(TestIx(0)).level, Level::Isolated);
    assert_eq!(granted(&mut scene, A, 0..1), ["leased 2 to A0: run [0]"]);
    let step = scene.told(A, vec![seen(again(failed(2, 0), 2), Level::Isolated), released(2)]);
    assert_eq!(show::step(&step, scene.now)[0], "accepted under 2: 0 anew, Promoted(Exclusive)");
    assert_eq!(granted(&mut scene, A, 0..1), ["leased 3 to A0: run [0]"]);
    let _step = scene.told(A, vec![seen(again(failed(3, 0), 3), Level::Exclusive), released(3)]);
    assert_eq!(scene.verdict(0), Some(Verdict::Failed), "there are no more rights to be had");
}

#[test]
fn what_workers_have_of_their_own_is_divided_among_their_shards() {
    let mut scene = Scene::new();
    let gpu = |seats| Need::new("worker.gpu", seats);
    let _step = scene.submit(needing(&[&[gpu(1)], &[gpu(2)]]));
    assert_eq!(joined(&mut scene, 2), Vec::<String>::new(), "it has none");
    let Command::Attach { worker, session, slots, labels, holds, .. } = scene.attach(B, &[]) else { panic!() };
    let capacities = BTreeMap::from([("worker.gpu".into(), 2)]);
    let _step = scene.take(Command::Attach { worker, session, slots, labels, capacities, holds });
    let shown = granted(&mut scene, B, 0..2);
    assert_eq!(shown, ["leased 1 to B0: run [0] with worker.gpu:1"]);
    let _step = scene.told(B, vec![passed(1, 0), released(1)]);
    assert_eq!(scene.core.state().held["worker.gpu"].on[&B], 2, "the other slot has both");
}

#[test]
fn what_can_never_run_is_given_up_with_the_reason_and_not_before_it_was_waited_for() {
    let mut scene = scene(&[("db", Resource::of_seats(1))]);
    let _step = scene.submit(needing(&[&[Need::new("db", 1)], &[Need::new("worker.gpu", 1)], &[]]));
    let _step = scene.take(Command::Offer { resources: BTreeMap::new() });
    assert_eq!(joined(&mut scene, 1), ["leased 1 to A0: run [2]"]);
    let mut shown = Vec::new();
    for _ in 0..26 {
        let _step = scene.told(A, Vec::new());
        shown.extend(scene.pass(Micros::from_secs(9)));
    }
    assert_eq!(shown, Vec::<String>::new(), "workers and resources may be about to come");
    for _ in 0..5 {
        let _step = scene.told(A, Vec::new());
        shown.extend(scene.pass(Micros::from_secs(9)));
    }
    assert_eq!(
        shown,
        [
            "gave up waiting in suite 0 for 1: the resource `db` is not offered any more; declare it again \
             (`regatta resources declare`)",
            "gave up waiting in suite 0 for 2: no worker offers 1 of `worker.gpu`: 0 at most; start one that does \
             (`regatta worker --offer gpu=1`)",
        ]
    );
    assert_eq!((scene.verdict(0), scene.verdict(1)), (Some(Verdict::NotRun), Some(Verdict::NotRun)));
}

#[test]
fn a_connection_that_breaks_leaves_what_the_fleet_shares_with_its_holder_for_a_whole_lease() {
    let mut scene = scene(&[("printer", Resource::of_seats(1))]);
    let _step = scene.submit(needing(&[&[Need::new("printer", 1)]]));
    assert_eq!(joined(&mut scene, 1).len(), 1);
    assert!(scene.pass(Micros::from_secs(2)).is_empty());
    let detach = scene.detach(A);
    scene.check(detach, &[]);
    // It may not know that its connection broke, and print on.
    assert!(scene.pass(Micros(12_999_999)).is_empty());
    assert_eq!(scene.pass(Micros(1)), ["lease 1 ended: WorkerLost"]);
}
