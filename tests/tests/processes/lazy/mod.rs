//! Databases on first use: whole suites go through their ports, and whoever connects to nothing costs nothing.

mod managed;

use managed::Managed;
use regatta_tests::harness::{Client, Ended, Project, test_python};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The suite of a shop whose truth is known, in a directory of its own; its databases are leased on first use. Tests that touch
/// none do not say so.
fn shop() -> Project {
    let project = Project::empty();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/pytest-postgres");
    for entry in fs::read_dir(suite).expect("the suite is there") {
        let path = entry.expect("the suite is there").path();
        if path.is_file() {
            let name = path.file_name().and_then(|name| name.to_str()).expect("names are text").to_owned();
            let text = fs::read_to_string(&path).expect("the suite is text");
            project.write(&name, &text.replace("pytestmark = pytest.mark.regatta(level=\"none\")\n", ""));
        }
    }
    let python = test_python().display().to_string();
    let config = fs::read_to_string(project.path().join("regatta.toml")).expect("it was copied");
    let config = config.replace("\"python3\"", &format!("\"{python}\""));
    let config = config.replace("runner = \"pytest\"", &format!("runner = \"pytest\"\npython = \"{python}\""));
    project.write("regatta.toml", &config.replace("resource = \"app\"", "resource = \"app\"\nlazy = true"));
    project
}

#[track_caller]
fn run(project: &Project, words: &[&str]) -> Ended {
    let ended = Client::start(project.path(), [&["run"], words].concat()).end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

#[test]
fn a_suite_goes_through_its_ports_and_is_seen_as_it_is() {
    let ended = run(&shop(), &["--slots", "8"]);
    assert_eq!(ended.count("passed"), 400, "{}", ended.stderr);
    let mut seen: [u32; 5] = [0; 5];
    for event in ended.all("test_finished") {
        let id = event["id"].as_str().expect("a test has an id");
        let told = event["database"]["seen"].as_str().unwrap_or_else(|| panic!("nothing was seen of {id}: {event}"));
        let levels = ["none", "read", "transaction", "isolated", "exclusive"];
        let known = levels.iter().position(|level| id.starts_with(&format!("test_{level}"))).expect("a module a level");
        let told = levels.iter().position(|level| *level == told).expect("a level");
        // Two kinds differ from all others: who connects to nothing, and who wants the whole server.
        assert_eq!(told == 0, known == 0, "{event}");
        seen[told] += 1;
    }
    assert_eq!(seen[0], 60, "{seen:?}");
}

/// A suite of lines for the shell whose template cannot be built.
fn broken(lazy: bool, lines: &[&str]) -> Project {
    let project = Project::empty();
    let lines: Vec<String> = lines.iter().map(|line| format!("{line:?}")).collect();
    let config = format!(
        "[suite.line]\nrunner = \"exec\"\ncommand = [\"sh\", \"-c\", \"eval {{id}}\"]\nlist = [\"printf\", \"%s\\\\n\", {}]\n\
         [suite.line.database]\nresource = \"app\"\nlazy = {lazy}\nbuild = [\"sh\", \"-c\", \"echo broken; exit 1\"]\n\
         [resources.app]\nkind = \"postgres\"\n",
        lines.join(", ")
    );
    project.write("regatta.toml", &config);
    project
}

#[test]
fn where_nobody_connects_nothing_is_built() {
    let lines = ["true", "test -n \"$DATABASE_URL\"", "test $PGHOST = 127.0.0.1"];
    let ended = run(&broken(true, &lines), &["--slots", "2"]);
    assert_eq!(ended.count("passed"), 3, "{}", ended.stderr);
    let ahead = Client::start(broken(false, &lines).path(), ["run", "--slots", "2"]).end();
    assert_ne!(ahead.code, 0, "what is leased ahead is built ahead: {}", ahead.stderr);
    assert!(ahead.stderr.contains("broken"), "{}", ahead.stderr);
}

#[test]
fn whoever_connects_is_told_why_there_is_no_database() {
    let line = "psql -Atc 'SELECT 1'";
    let ended = Client::start(broken(true, &["true", line]).path(), ["run", "--slots", "1"]).end();
    assert_ne!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("could not be built"), "{}", ended.stderr);
    assert_eq!(ended.verdict("line::true").0, "passed");
}

#[test]
fn only_databases_of_postgresql_are_leased_on_first_use() {
    let project = broken(true, &["true"]);
    let config = fs::read_to_string(project.path().join("regatta.toml")).expect("it was written");
    project.write("regatta.toml", &config.replace("kind = \"postgres\"", "kind = \"sqlite\""));
    let ended = Client::start(project.path(), ["run"]).end();
    let told = "the suite `line` leases the database `app` on first use, and that is sqlite";
    assert!(ended.code != 0 && ended.stderr.contains(told), "{}", ended.stderr);
    assert!(ended.stderr.contains("`lazy` is for PostgreSQL: leave it out"), "{}", ended.stderr);
}

#[test]
fn on_a_managed_server_what_nobody_else_tells_is_seen_on_the_way() {
    let server = Managed::start();
    let project = Project::empty();
    let tests = [
        ("nothing", "true"),
        ("reads", "psql -qc 'SELECT 1'"),
        ("locks", "psql -qc 'SELECT pg_advisory_lock(1)'"),
        ("listens", "psql -qc 'LISTEN words'"),
        ("grows", "psql -qc 'CREATE ROLE grown'"),
    ];
    let script: String = tests.iter().map(|(name, does)| format!("{name}) {does};;\n")).collect();
    project.write("test.sh", &format!("case \"$1\" in\n{script}esac\n"));
    let names = tests.map(|(name, _)| format!("{name:?}")).join(", ");
    let config = format!(
        "[suite.line]\nrunner = \"exec\"\ncommand = [\"sh\", \"test.sh\", \"{{id}}\"]\nlist = [\"printf\", \"%s\\\\n\", {names}]\n\
         [suite.line.database]\nresource = \"app\"\nlazy = true\n[resources.app]\nkind = \"postgres\"\nurl = {:?}\n\
         [[profile.default.override]]\nfilter = \"all()\"\nlevel = \"transaction\"\n",
        server.url()
    );
    project.write("regatta.toml", &config);
    let ended = run(&project, &["--slots", "2"]);
    let of = |event: &serde_json::Value| {
        let seen = event["database"]["seen"].as_str().unwrap_or_else(|| panic!("nothing was seen: {event}"));
        (event["id"].as_str().expect("an id").replace("line::", ""), (seen.to_owned(), event["attempts"].as_u64()))
    };
    let seen: BTreeMap<String, (String, Option<u64>)> = ended.all("test_finished").map(of).collect();
    let wanted = [
        ("grows", "exclusive", 2),
        ("listens", "isolated", 1),
        ("locks", "isolated", 1),
        ("nothing", "none", 1),
        ("reads", "read", 1),
    ];
    let wanted = wanted.map(|(name, level, attempts)| (name.to_owned(), (level.to_owned(), Some(attempts))));
    assert_eq!(seen, BTreeMap::from(wanted), "{}", ended.stderr);
}
