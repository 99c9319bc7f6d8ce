use super::table::{object, table};
use regatta_domain::{Item, Resource};
use regatta_wire::resource::Named;
use regatta_wire::v1;
use std::collections::BTreeMap;

const NOW: u64 = 1_000_000_000;

fn phones() -> v1::ResourceStatus {
    let item = |name: &str| Item { name: name.into(), labels: BTreeMap::new(), values: BTreeMap::new() };
    let resource = Resource::pool(["p1", "p2", "p3", "p4"].map(item).to_vec());
    let reserved =
        v1::Withheld { item: Some("p2".to_owned()), seats: 1, until: Some(NOW + 60_000_000), by: "ann".to_owned() };
    let ill = v1::ItemHealth {
        item: Some("p3".to_owned()),
        health: v1::Health::Ill.into(),
        since: NOW - 5_000_000,
        reason: "`sh`: it ended with exit code 3:\u{1b}[31m no cable".to_owned(),
    };
    v1::ResourceStatus {
        resource: Some((&Named { name: "phone".into(), resource }).into()),
        total: 4,
        taken: 1,
        holds: vec![v1::ResourceHold {
            run: "0189aaaa-0000".to_owned(),
            token: 7,
            worker: "0189bbbb-0000".to_owned(),
            slot: 2,
            seats: 1,
            items: vec!["p1".to_owned()],
            since: NOW - 12_000_000,
        }],
        waits: vec![v1::ResourceWait {
            run: "0189aaaa-0000".to_owned(),
            suite: "app".to_owned(),
            tests: 3,
            estimate: 9_000_000,
            bypassed: 2,
        }],
        withheld: vec![reserved],
        health: vec![ill],
        utilisation: 125,
        ..Default::default()
    }
}

#[test]
fn the_table_tells_who_holds_who_waits_and_what_is_wrong() {
    let text = table(&[phones()], NOW);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "NAME   KIND  FREE  HELD BY       WAITING  HEALTH  USED");
    assert_eq!(lines[1], "phone  pool  1/4   run 0189aaaa  3 tests  1 ill   12.5%");
    assert!(lines[2].contains("p1: run 0189aaaa on worker 0189bbbb, slot 2, for") && lines[2].contains("(token 7)"));
    assert!(lines[3].contains("waiting: 3 tests of app in run 0189aaaa") && lines[3].contains("passed over 2 times"));
    assert!(lines[4].contains("p2: reserved by ann, for another"), "{text}");
    assert!(lines[5].contains("p3: ill for") && lines[5].contains("no cable"), "{text}");
    assert!(!text.contains('\u{1b}'), "what others wrote does not reach the terminal as it is");
}

#[test]
fn a_tool_is_told_the_same() {
    let object = object(&phones());
    assert_eq!((object["free"].as_u64(), object["utilisation"].as_f64()), (Some(1), Some(0.125)));
    assert_eq!(object["holds"][0]["items"], serde_json::json!(["p1"]));
    assert_eq!(object["health"][0]["health"], "ill");
}
