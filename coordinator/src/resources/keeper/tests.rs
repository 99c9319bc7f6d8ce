//! What the keeper does, as a table of facts and what follows from them, on a virtual clock.

use super::*;
use regatta_domain::resource::Hooks;
use regatta_domain::{Item, Micros};
use std::cell::RefCell;
use std::time::Duration;

/// A keeper on a stage.
struct Scene {
    keeper: Keeper,
    held: RefCell<BTreeSet<String>>,
}

fn hook(name: &str) -> Option<Hook> {
    let every = Micros::from_secs(30);
    Some(Hook { argv: vec![name.into()], timeout: Micros::ZERO, retries: 2, every })
}

fn hooks(names: &str) -> Hooks {
    let given = |name: &str| if names.contains(name) { hook(name) } else { None };
    Hooks { prepare: given("prepare"), check: given("check"), reset: given("reset"), dispose: given("dispose") }
}

fn pool(items: &[&str], names: &str) -> Resource {
    let item = |name: &&str| Item { name: (*name).into(), labels: BTreeMap::new(), values: BTreeMap::new() };
    Resource { hooks: hooks(names), ..Resource::pool(items.iter().map(item).collect()) }
}

fn key(text: &str) -> Key {
    match text.split_once('/') {
        Some((name, item)) => (name.into(), Some(item.into())),
        None => (text.into(), None),
    }
}

fn shown(key: &Key) -> String {
    Subject::name(key)
}

impl Scene {
    fn new() -> Self {
        Self { keeper: Keeper::default(), held: RefCell::default() }
    }

    /// Does something with the keeper, and shows what follows: hooks that are run, with their retries, and news.
    fn act(&mut self, act: impl FnOnce(&mut Keeper, IsHeld<'_>, Instant)) -> Vec<String> {
        let held = self.held.borrow().clone();
        act(&mut self.keeper, &|key| held.contains(&shown(key)), Instant::now());
        let run = |job: Job| {
            let retries = job.hook.as_ref().map_or("no hook".to_owned(), |hook| hook.retries.to_string());
            format!("run {} {} ({retries})", job.stage.name(), shown(&job.key))
        };
        let mut lines: Vec<String> = self.keeper.jobs().into_iter().map(run).collect();
        let told = |news: News| format!("{} is {:?}", shown(&(news.resource, news.item)), news.health);
        lines.extend(self.keeper.news().into_iter().map(told));
        lines
    }

    fn declare(&mut self, resources: &[(&str, Resource)], at_start: bool) -> Vec<String> {
        let resources = resources.iter().map(|(name, resource)| ((*name).into(), Arc::new(resource.clone()))).collect();
        self.act(|keeper, is_held, now| keeper.declare(&resources, at_start, is_held, now))
    }

    fn done(&mut self, of: &str, stage: Stage, ended: Result<(), &str>) -> Vec<String> {
        let ended = ended.map_err(str::to_owned);
        self.act(|keeper, is_held, now| keeper.done(&key(of), stage, ended, is_held, now))
    }

    fn lease(&self, of: &str) {
        self.held.borrow_mut().insert(of.to_owned());
    }

    /// The lease on it ends; the core holds it back where it has to be reset.
    fn ended(&mut self, of: &str, resets: bool) -> Vec<String> {
        self.held.borrow_mut().remove(of);
        let (name, item) = key(of);
        let items: Vec<Arc<str>> = item.into_iter().collect();
        let mut lines = self.act(|keeper, is_held, now| keeper.freed(&name, &items, is_held, now));
        if resets {
            lines.extend(self.act(|keeper, is_held, now| keeper.reset(&name, &items, Token(1), is_held, now)));
        }
        lines
    }

    async fn pass(&mut self, seconds: u64) -> Vec<String> {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        self.act(|keeper, is_held, now| keeper.pass(is_held, now))
    }
}

const NOTHING: [&str; 0] = [];

#[tokio::test(start_paused = true)]
async fn an_item_is_prepared_before_its_first_lease_and_reset_between_leases() {
    let mut scene = Scene::new();
    let shown = scene.declare(&[("phone", pool(&["a"], "prepare reset"))], false);
    assert_eq!(shown, ["run prepare phone/a (2)", "phone/a is Busy"]);
    assert_eq!(scene.done("phone/a", Stage::Prepare, Ok(())), ["phone/a is Well"]);
    scene.lease("phone/a");
    // The core says itself that it is busy from the end of the lease on.
    assert_eq!(scene.ended("phone/a", true), ["run reset phone/a (2)"]);
    assert_eq!(scene.done("phone/a", Stage::Reset, Ok(())), ["phone/a is Well"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_what_nobody_holds_is_reset_once_and_what_is_held_is_left_alone() {
    let mut scene = Scene::new();
    scene.lease("phone/b");
    let shown = scene.declare(&[("phone", pool(&["a", "b"], "prepare reset"))], true);
    assert_eq!(shown, ["run prepare phone/a (2)", "phone/a is Busy"]);
    assert_eq!(scene.done("phone/a", Stage::Prepare, Ok(())), ["run reset phone/a (2)"]);
    assert_eq!(scene.done("phone/a", Stage::Reset, Ok(())), ["phone/a is Well"]);
    assert_eq!(scene.ended("phone/b", true), ["run reset phone/b (2)"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_opens_the_breaker_and_one_try_after_the_back_off_closes_it() {
    let mut scene = Scene::new();
    scene.declare(&[("db", Resource { hooks: hooks("reset"), ..Resource::of_seats(1) })], false);
    assert_eq!(scene.ended("db", true), ["run reset db (2)"]);
    assert_eq!(scene.done("db", Stage::Reset, Err("no route")), ["db is Ill"]);
    assert_eq!(scene.keeper.conditions()[&key("db")].reason, "no route");
    assert_eq!(scene.pass(4).await, NOTHING);
    assert_eq!(scene.pass(1).await, ["run reset db (0)"], "once, and no more");
    assert_eq!(scene.done("db", Stage::Reset, Err("no route")), NOTHING);
    assert_eq!(scene.pass(9).await, NOTHING, "the wait has doubled");
    assert_eq!(scene.pass(1).await, ["run reset db (0)"]);
    assert_eq!(scene.done("db", Stage::Reset, Ok(())), ["db is Well"]);
    assert_eq!(scene.keeper.conditions()[&key("db")].reason, "");
    assert_eq!(scene.ended("db", true), ["run reset db (2)"], "and all tries are there again");
}

#[tokio::test(start_paused = true)]
async fn a_check_runs_now_and_then_also_under_a_lease_and_soon_after_a_failed_test() {
    let mut scene = Scene::new();
    scene.declare(&[("db", Resource { hooks: hooks("check reset"), ..Resource::of_seats(1) })], false);
    assert_eq!(scene.pass(29).await, NOTHING);
    scene.lease("db");
    assert_eq!(scene.pass(1).await, ["run check db (2)"]);
    assert_eq!(scene.done("db", Stage::Check, Ok(())), NOTHING);
    let suspect = |scene: &mut Scene| scene.act(|keeper, is_held, now| keeper.suspect(&"db".into(), &[], is_held, now));
    assert_eq!(suspect(&mut scene), NOTHING, "it was looked at just now");
    assert_eq!(scene.pass(1).await, ["run check db (2)"]);
    assert_eq!(scene.done("db", Stage::Check, Err("gone")), ["db is Ill"]);
    // The lease ends while the check fails: both have to succeed.
    assert_eq!(scene.ended("db", true), ["db is Ill"], "the core takes it for busy now");
    assert_eq!(scene.pass(5).await, ["run reset db (0)"]);
    assert_eq!(scene.done("db", Stage::Reset, Ok(())), ["run check db (0)"]);
    assert_eq!(scene.done("db", Stage::Check, Ok(())), ["db is Well"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_withdrawn_is_disposed_of_once_nobody_holds_it() {
    let mut scene = Scene::new();
    scene.declare(&[("phone", pool(&["a", "b"], "prepare dispose"))], false);
    scene.done("phone/a", Stage::Prepare, Ok(()));
    scene.done("phone/b", Stage::Prepare, Ok(()));
    scene.lease("phone/a");
    assert_eq!(scene.declare(&[], false), ["run dispose phone/b (2)"]);
    assert_eq!(scene.done("phone/b", Stage::Dispose, Err("it was gone")), NOTHING, "that it failed is in the log");
    assert_eq!(scene.ended("phone/a", false), ["run dispose phone/a (2)"]);
    scene.done("phone/a", Stage::Dispose, Ok(()));
    assert!(scene.keeper.conditions().is_empty() && scene.keeper.next().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_never_was_prepared_is_not_disposed_of() {
    let mut scene = Scene::new();
    scene.declare(&[("phone", pool(&["a"], "prepare dispose"))], false);
    scene.done("phone/a", Stage::Prepare, Err("no"));
    assert_eq!(scene.declare(&[], false), ["phone/a is Well"], "nothing is left of it, also in the core");
    assert!(scene.keeper.conditions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_anew_is_prepared_anew_only_where_that_makes_a_difference() {
    let mut scene = Scene::new();
    scene.declare(&[("phone", pool(&["a"], "prepare dispose"))], false);
    scene.done("phone/a", Stage::Prepare, Ok(()));
    assert_eq!(scene.declare(&[("phone", pool(&["a"], "prepare dispose check"))], false), NOTHING);
    let mut other = pool(&["a"], "prepare dispose");
    other.items[0].values.insert("serial".into(), "2".into());
    assert_eq!(scene.declare(&[("phone", other)], false), ["run dispose phone/a (2)", "phone/a is Busy"]);
    assert_eq!(scene.done("phone/a", Stage::Dispose, Ok(())), ["run prepare phone/a (2)"]);
    assert_eq!(scene.done("phone/a", Stage::Prepare, Ok(())), ["phone/a is Well"]);
}

#[tokio::test(start_paused = true)]
async fn what_lost_its_hooks_while_it_was_held_is_freed_all_the_same() {
    let mut scene = Scene::new();
    scene.declare(&[("db", Resource { hooks: hooks("reset"), ..Resource::of_seats(1) })], false);
    scene.lease("db");
    scene.declare(&[("db", Resource::of_seats(1))], false);
    let shown = scene.ended("db", true);
    assert_eq!(shown, ["db is Well"], "nobody else would tell the core");
}

#[tokio::test(start_paused = true)]
async fn a_semaphore_is_reset_when_the_last_of_its_holders_is_gone() {
    let mut scene = Scene::new();
    scene.declare(&[("db", Resource { hooks: hooks("reset"), ..Resource::of_seats(2) })], false);
    scene.lease("db");
    // One of two leases ended: the core keeps it back from then on.
    let shown = scene.act(|keeper, is_held, now| keeper.reset(&"db".into(), &[], Token(1), is_held, now));
    assert_eq!(shown, NOTHING);
    assert_eq!(scene.ended("db", false), ["run reset db (2)"]);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_nobody_holds_is_disposed_of() {
    let mut scene = Scene::new();
    scene.declare(&[("phone", pool(&["a", "b"], "dispose"))], false);
    scene.lease("phone/b");
    let closed = scene.keeper.close(&|key| shown(key) == "phone/b");
    assert_eq!(closed.iter().map(|job| shown(&job.key)).collect::<Vec<_>>(), ["phone/a"]);
}
