//! What tests ask of their databases: counted to the statement, and a test that asks for each row by itself is named.

use regatta_tests::harness::{Client, Ended, Project, Said, test_python};
use serde_json::{Value, json};

const TESTS: &str = r#"
import os, psycopg, pytest, shop

@pytest.fixture
def db():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
        yield db

@pytest.mark.regatta(level="read")
def test_list(db):
    assert sum(total for _, total in shop.orders(db)) == 820

@pytest.mark.regatta(level="transaction")
def test_change(db):
    with db.transaction(force_rollback=True):
        db.execute("UPDATE orders SET total = 0")

@pytest.mark.regatta(level="isolated")
def test_commit(db):
    for _ in range(3):
        db.execute("UPDATE orders SET total = total + 1 WHERE id = 1")
"#;

const ALL_AT_ONCE: &str = r#"
def orders(db):
    return db.execute("SELECT id, total FROM orders ORDER BY id LIMIT 40").fetchall()
"#;

const ONE_BY_ONE: &str = r#"
def orders(db):
    ids = db.execute("SELECT id FROM orders ORDER BY id LIMIT 40").fetchall()
    return [db.execute("SELECT id, total\n  FROM orders\n  WHERE id = %s", id).fetchone() for id in ids]
"#;

const MIGRATE: &str = r#"
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
    db.execute("CREATE TABLE orders AS SELECT n AS id, n AS total FROM generate_series(1, 100) n")
"#;

fn shop() -> Project {
    let build = format!("build = [\"{}\", \"migrate.py\"]", test_python().display());
    let config = format!(
        "[suite.py.database]\nresource = \"app\"\n{build}\ninputs = [\"migrate.py\"]\n\
         [resources.app]\nkind = \"postgres\"\n[profile.counting]\nstatements = true\n"
    );
    Project::pytest(&[("test_shop.py", TESTS), ("shop.py", ALL_AT_ONCE), ("migrate.py", MIGRATE)], &config)
}

#[track_caller]
fn run(project: &Project, words: &[&str]) -> Ended {
    let ended = Client::start(project.path(), [&["run", "--slots", "2"], words].concat()).end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

/// What a test asked of its databases in a run.
fn asked<'a>(ended: &'a Ended, id: &str) -> &'a Value {
    let event = ended.all("test_finished").find(|event| event["id"] == id);
    &event.unwrap_or_else(|| panic!("{id} did not finish"))["database"]["asked"]
}

#[test]
fn a_test_that_begins_to_ask_for_each_row_is_named_until_that_is_usual() {
    let project = shop();
    let mut named = Vec::new();
    for at in 0..10 {
        project.write("shop.py", if at < 5 { ALL_AT_ONCE } else { ONE_BY_ONE });
        let ended = run(&project, &["--profile", "counting"]);
        let calls = |name: &str| asked(&ended, &format!("test_shop.py::{name}"))["calls"].as_u64();
        let of_list = if at < 5 { 1 } else { 41 };
        assert_eq!(["test_list", "test_change", "test_commit"].map(calls), [Some(of_list), Some(3), Some(3)], "{at}");
        let more: Vec<&Value> = ended.all("test_asked_more").filter(|event| event["more_calls"] == true).collect();
        let ids: Vec<&Value> = more.iter().map(|event| &event["id"]).collect();
        assert!(more.is_empty() || ids == [&json!("test_shop.py::test_list")], "{ids:?}");
        assert_eq!(ended.stderr.contains("Asks more py test_shop.py::test_list: sends 41"), !more.is_empty());
        named.push(!more.is_empty());
        if at == 5 {
            assert_eq!((&more[0]["usual"]["calls"], &more[0]["now"]["calls"]), (&json!(1), &json!(41)));
            let line = "40 times, ";
            assert!(ended.stderr.contains(line) && ended.stderr.contains("FROM orders WHERE id = $1"), "{ended:?}");
            let shown = Said::by(project.path(), ["history", "show"]).stdout;
            assert!(shown.contains("sends 41 statements, and 1 was usual"), "{shown}");
            let told = Said::by(project.path(), ["explain", "test_shop.py::test_list"]).stdout;
            assert!(told.contains("asked     41 statements") && told.contains("40x  SELECT id, total FROM"), "{told}");
        }
    }
    assert_eq!(named, [false, false, false, false, false, true, true, true, true, false]);
}

#[test]
fn nothing_is_counted_where_nobody_asks() {
    let project = shop();
    let ended = run(&project, &[]);
    assert_eq!(*asked(&ended, "test_shop.py::test_list"), Value::Null);
    assert!(!ended.stderr.contains("Statements"), "{}", ended.stderr);
    let ended = run(&project, &["--statements", "test_shop.py::test_commit"]);
    let asked = asked(&ended, "test_shop.py::test_commit");
    assert_eq!((&asked["calls"], &asked["whole"]), (&json!(3), &json!(true)));
    let update = &asked["top"][0];
    assert_eq!(update["text"], "UPDATE orders SET total = total + $1 WHERE id = $2");
    assert_eq!((&update["calls"], &update["rows"]), (&json!(3), &json!(3)));
    let none = run(&project, &["--profile", "counting", "--statements=false"]);
    assert!(!none.stderr.contains("Statements"), "{}", none.stderr);
}
