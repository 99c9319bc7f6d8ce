use super::decide::RESERVED_AT_MOST;
use super::kept::{Broken, Shelf};
use super::*;
use crate::store::papers::Papers;
use regatta_domain::{Micros, Need};
use std::fs;

const NOW: Time = Time(1_000_000_000);

fn phone(name: &str) -> Item {
    let values = BTreeMap::from([("serial".into(), format!("secret-{name}").into())]);
    Item { name: name.into(), labels: BTreeMap::new(), values }
}

fn phones() -> Resource {
    Resource::pool(["p1", "p2", "p3"].map(phone).to_vec())
}

/// A pool that is configured, and a semaphore that was declared.
fn catalogue() -> Catalogue {
    let configured = BTreeMap::from([("phone".into(), Arc::new(phones()))]);
    let mut catalogue = Catalogue::new(configured, Said::default());
    catalogue.declare(&"licence".into(), Resource::of_seats(3), &"ann".into(), NOW).unwrap();
    catalogue
}

fn reserve(name: &str, item: Option<&str>, seats: u32, by: &str) -> Reserve {
    Reserve { name: name.into(), item: item.map(Arc::from), seats, time: Micros::from_secs(60), by: by.into() }
}

fn free(_: &Item) -> Standing {
    Standing::default()
}

fn withheld(catalogue: &Catalogue, name: &str, now: Time) -> Vec<String> {
    let offer = &catalogue.offers(now)[name];
    let mut told: Vec<String> = offer
        .withheld
        .iter()
        .map(|kept| format!("{} {} {}", kept.item.as_deref().unwrap_or("-"), kept.seats, kept.by))
        .collect();
    told.extend(offer.drained.then(|| "drained".to_owned()));
    told
}

fn refusal<T: std::fmt::Debug>(refused: Result<T, Failure>) -> String {
    refused.expect_err("it is refused").to_string()
}

#[test]
fn what_is_configured_is_changed_where_it_is_configured() {
    let mut catalogue = catalogue();
    let told = refusal(catalogue.declare(&"phone".into(), phones(), &"ann".into(), NOW));
    assert!(told.contains("`--resources`") && told.contains("cannot be declared anew"), "{told}");
    assert!(refusal(catalogue.withdraw("phone")).contains("cannot be withdrawn"));
    catalogue.withdraw("licence").unwrap();
    assert_eq!(refusal(catalogue.withdraw("phnoe")), "there is no resource `phnoe`; did you mean `phone`?");
    assert_eq!(refusal(catalogue.withdraw("x")), "there is no resource `x`; there are `phone`");
}

#[test]
fn a_name_that_no_test_could_need_is_refused() {
    let mut catalogue = catalogue();
    let mut declare = |name: &str| refusal(catalogue.declare(&name.into(), Resource::of_seats(1), &"ann".into(), NOW));
    for name in ["", "a b", "-a", "a:b", &"a".repeat(65)] {
        assert!(declare(name).contains("cannot be the name of a resource"), "{name}");
    }
    assert!(declare("worker.gpu").contains("what each worker has of its own"));
}

#[test]
fn what_is_drained_is_offered_to_nobody_until_that_is_undone() {
    let mut catalogue = catalogue();
    let (name, item, by) = ("phone".into(), "p2".into(), "ann".into());
    for _ in 0..2 {
        catalogue.drain((&name, Some(&item)), false, &by, NOW).unwrap();
        assert_eq!(withheld(&catalogue, "phone", NOW), ["p2 1 drained by ann"], "twice is once");
    }
    catalogue.drain((&name, None), false, &by, NOW).unwrap();
    assert_eq!(withheld(&catalogue, "phone", NOW), ["p2 1 drained by ann", "drained"]);
    catalogue.drain((&name, Some(&item)), true, &by, NOW).unwrap();
    catalogue.drain((&name, None), true, &by, NOW).unwrap();
    assert_eq!(withheld(&catalogue, "phone", NOW), [""; 0]);
    let told = refusal(catalogue.drain((&name, Some(&"p22".into())), false, &by, NOW));
    assert_eq!(told, "the pool `phone` has no item `p22`; did you mean `p2`?");
    let told = refusal(catalogue.drain((&"licence".into(), Some(&item)), false, &by, NOW));
    assert_eq!(told, "`licence` is a semaphore, and has no items; name it without `/p2`");
}

#[test]
fn an_item_that_nobody_holds_and_that_is_well_is_reserved_rather_than_another() {
    let mut catalogue = catalogue();
    let standing = |item: &Item| Standing { held: &*item.name == "p1", ill: &*item.name == "p2" };
    let mut next = |by: &str| catalogue.reserve(&reserve("phone", None, 0, by), NOW, standing).map(|kept| kept.item);
    let name = |item: Option<Item>| item.unwrap().name.to_string();
    assert_eq!(name(next("ann").unwrap()), "p3");
    assert_eq!(name(next("ann").unwrap()), "p3", "whoever asks again keeps the same");
    assert_eq!(name(next("bob").unwrap()), "p1", "rather one that will be free than one that is ill");
    assert_eq!(name(next("cid").unwrap()), "p2");
    let told = refusal(next("dan"));
    assert!(told.contains("all 3 items of `phone`") && told.contains("(by `ann`, `bob`, `cid`)"), "{told}");
}

#[test]
fn what_is_reserved_is_kept_until_it_is_given_back_or_its_time_is_over() {
    let mut catalogue = catalogue();
    catalogue.reserve(&reserve("phone", Some("p1"), 0, "ann"), NOW, free).unwrap();
    let told = refusal(catalogue.reserve(&reserve("phone", Some("p1"), 0, "bob"), NOW, free));
    assert_eq!(told, "ann keeps `phone/p1` for another 1m; ask them, or reserve another item");
    assert_eq!(withheld(&catalogue, "phone", NOW), ["p1 1 ann"]);
    assert_eq!(withheld(&catalogue, "phone", NOW + Micros::from_secs(60)), [""; 0]);
    assert_eq!(catalogue.give_back(&reserve("phone", None, 0, "bob"), NOW), Ok(0));
    assert_eq!(catalogue.give_back(&reserve("phone", None, 0, "ann"), NOW), Ok(1));
    assert_eq!(withheld(&catalogue, "phone", NOW), [""; 0]);
    let long = Reserve { time: RESERVED_AT_MOST + Micros(1), ..reserve("phone", None, 0, "ann") };
    let told = refusal(catalogue.reserve(&long, NOW, free));
    assert!(told.contains("24h at most, and 24h1us was asked for"), "{told}");
}

#[test]
fn seats_are_reserved_as_long_as_there_are_enough_of_them() {
    let mut catalogue = catalogue();
    catalogue.reserve(&reserve("licence", None, 2, "ann"), NOW, free).unwrap();
    let told = refusal(catalogue.reserve(&reserve("licence", None, 2, "bob"), NOW, free));
    assert_eq!(told, "`licence` has 3 seats, 2 of them reserved by others; 2 cannot be reserved");
    catalogue.reserve(&reserve("licence", None, 3, "ann"), NOW, free).unwrap();
    assert_eq!(withheld(&catalogue, "licence", NOW), ["- 3 ann"], "another number takes the place of the first");
}

#[test]
fn what_was_said_is_there_again_and_a_broken_file_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(Papers::at(Some(directory.path())));
    assert_eq!(shelf.read().unwrap(), Said::default());
    let mut catalogue = catalogue();
    catalogue.drain((&"phone".into(), None), false, &"ann".into(), NOW).unwrap();
    catalogue.reserve(&reserve("licence", None, 1, "bob"), NOW, free).unwrap();
    shelf.write(catalogue.said()).unwrap();
    assert_eq!(shelf.read().unwrap(), *catalogue.said());
    let file = directory.path().join("resources.json");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "values may be secrets");

    let text = fs::read_to_string(&file).unwrap();
    let broken = |text: &str| {
        fs::write(&file, text).unwrap();
        shelf.read().unwrap_err()
    };
    let told = broken(&text.replace("\"kind\": \"semaphore\"", "\"kind\": \"semafore\"")).to_string();
    assert!(told.starts_with(&format!("{}:", file.display())) && told.contains("mend the file"), "{told}");
    let cut = broken(&text[..text.len() / 2]);
    assert!(matches!(cut, Broken::Malformed { .. }), "{cut:?}");
    let told = broken(&text.replace("\"version\": 1", "\"version\": 2")).to_string();
    assert!(told.contains("its version is 2, this one knows up to 1"), "{told}");
}

#[test]
fn in_memory_nothing_is_kept() {
    let shelf = Shelf::new(Papers::Nowhere);
    shelf.write(catalogue().said()).unwrap();
    assert_eq!(shelf.read().unwrap(), Said::default());
}

#[test]
fn what_a_need_lacks_is_told_with_what_there_is() {
    let offers = catalogue().offers(NOW);
    let lack = |need: &Need| crate::resources::steward::lack(&offers, need).unwrap_or_default();
    assert_eq!(lack(&Need::new("phone", 3)), "");
    assert_eq!(lack(&Need::new("phone", 4)), "`phone` has 3 in all");
    assert_eq!(lack(&Need::new("licenc", 1)), "there is no `licenc` (did you mean `licence`?)");
    assert_eq!(lack(&Need::new("gpu", 1)), "there is no `gpu` among `licence`, `phone`");
    let want = regatta_domain::Want { label: "os".into(), relation: regatta_domain::Relation::Is, value: "ios".into() };
    let wanting = |name: &str| Need { wants: vec![want.clone()], ..Need::new(name, 1) };
    assert_eq!(lack(&wanting("phone")), "of the 3 items of `phone` 0 are so");
    assert_eq!(lack(&wanting("licence")), "`licence` is a semaphore and has no items to choose from");
}
