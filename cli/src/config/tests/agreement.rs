//! The schema and the reader accept and refuse the same files.

use super::super::schema;
use super::parse;
use serde_json::Value;

/// A TOML document as JSON, for the validator.
fn json(text: &str) -> Value {
    let table: toml::Table = text.parse().expect("the examples are TOML");
    serde_json::to_value(table).expect("the examples have no dates")
}

/// The whole notation, once.
const EVERYTHING: &str = r#"
[project]
name = "shop"

[suite.api]
runner = "pytest"
root = "services/api"
env = { DATABASE_URL = "postgres://", EMPTY = "" }
default = false
requires = ["gpu", "os:windows"]
database = "app"
python = ".venv/bin/python"
args = ["-q", "--strict-markers"]
recycle-after = 500
memory = "2GB"

[suite.core]
runner = "rust"
packages = ["a", "b"]
workspace = true
features = ["x"]
all-features = false
no-default-features = true
profile = "release"
doc = false
ignored = "only"
cargo-args = ["--locked"]
cargo = "cargo"
isolation = "binary"
args = ["--nocapture"]

[suite.shell]
runner = "exec"
command = ["sh", "-c", "./run {id}"]
tests = ["tests/*.sh"]
result = "tap"
batch = 10

[suite.shell.database]
resource = "app"
build = ["./migrate.sh"]
inputs = ["migrations/**", "seed.sql"]
extensions = ["pg_trgm"]
timeout = "2m"
per = "shard"
lazy = true

[suite.line]
runner = "exec"
command = "./run {file}"
list = ["./list"]
result = "junit"

[[suite.line.database]]
resource = "app"
[[suite.line.database]]
resource = "queue"
per = "test"

[profile.default]
suites = ["core", "api"]
slots = 4
retries = 2
timeout = "5m"
slow = "30s"
fail-fast = true
shuffle = 42
order = "risk"
priority = "interactive"
target = "5m"
speculate = true
statements = true
flaky = "fail"
filter = "all() - tag(slow)"

[profile.ci]
inherits = "default"
retries = { count = 2, backoff = "exponential", delay = "1s", jitter = true, timeout = 0, out-of-memory = 2, worker-lost = 5 }
timeout = { kill-after = "1h30m", grace = "0s" }
run-timeout = "2h"
fail-fast = 5
shuffle = true
uncompleted-retries = 0
retry-cap = 100
report = [{ format = "junit", path = "out/junit.xml" }, { format = "github", path = "summary.md" }]

[[profile.ci.override]]
filter = 'suite(api) & tag(db)'
timeout = "250ms"
slow = "1s"
retries = 0
priority = -50
group = "postgres"
level = "transaction"
needs = ["db", "licence:2", "phone:2,os=android,api>=34", "cache:read", "cache:write", "db:all", "worker.gpu"]

[resources]
db = 1

[resources.licence]
seats = 4
[resources.cache]
kind = "readers-writer"
[resources.door]
kind = "mutex"
[resources.phone]
items = [
    { name = "pixel-8", labels = { os = "android", api = "34" }, values = { serial = "abc" } },
    { name = "iphone" },
]
prepare = { run = "./boot.sh" }
reset = { run = ["./reset.sh"], timeout = "20s", retries = 2 }
check = { run = ["./check.sh"], every = "30s" }
dispose = { run = ["./off.sh"] }
[resources.emulator]
kind = "pool"
prepare = { run = ["./emulators.sh"] }
[resources.app]
kind = "postgres"
url = "postgres://admin@db:5432/postgres"
seats = 10
programs = "/usr/lib/postgresql/15/bin"
[resources.queue]
kind = "redis"

[group.postgres]
max = 4
"#;

/// Files that neither may accept. What only shows across sections, or in the file system, no schema can say.
const WRONG: [&str; 68] = [
    "x = 1",
    "project = 1",
    "[project]\nname = \"a b\"",
    "[project]\ntitle = \"a\"",
    "[suite.a]",
    "[suite.a]\nrunner = \"go\"",
    "[suite.\"a/b\"]\nrunner = \"rust\"",
    "[suite.a]\nrunner = \"rust\"\nroot = \"\"",
    "[suite.a]\nrunner = \"rust\"\npython = \"x\"",
    "[suite.a]\nrunner = \"rust\"\npackages = \"a\"",
    "[suite.a]\nrunner = \"rust\"\npackages = [\"\"]",
    "[suite.a]\nrunner = \"rust\"\nisolation = \"thread\"",
    "[suite.a]\nrunner = \"rust\"\nignored = \"no\"",
    "[suite.a]\nrunner = \"rust\"\ndefault = \"no\"",
    "[suite.a]\nrunner = \"rust\"\nenv = { A = 1 }",
    "[suite.a]\nrunner = \"pytest\"\nrecycle-after = 0",
    "[suite.a]\nrunner = \"pytest\"\nrecycle_after = 1",
    "[suite.a]\nrunner = \"pytest\"\nmemory = \"1\"",
    "[suite.a]\nrunner = \"pytest\"\nmemory = \"0MB\"",
    "[suite.a]\nrunner = \"exec\"",
    "[suite.a]\nrunner = \"exec\"\ncommand = []",
    "[suite.a]\nrunner = \"exec\"\ncommand = \"\"",
    "[suite.a]\nrunner = \"exec\"\ncommand = \"t\"\nresult = \"xml\"",
    "[suite.a]\nrunner = \"exec\"\ncommand = \"t\"\nbatch = 0",
    "[profile.a]\nslots = 0",
    "[profile.a]\nslots = \"4\"",
    "[profile.a]\nretries = -1",
    "[profile.a]\nretries = { counts = 1 }",
    "[profile.a]\nretries = { out_of_memory = 1 }",
    "[profile.a]\nretries = { cancelled = 1 }",
    "[profile.a]\ntimeout = 5",
    "[profile.a]\ntimeout = \"0s\"",
    "[profile.a]\ntimeout = { grace = \"1\" }",
    "[profile.a]\nslow = \"\"",
    "[profile.a]\nfail-fast = 0",
    "[profile.a]\nflaky = \"ignore\"",
    "[profile.a]\nsuites = \"a\"",
    "[profile.a]\nreport = [{ format = \"junit\" }]",
    "[[profile.a.override]]\npriority = 1",
    "[[profile.a.override]]\nfilter = \"all()\"\nretries = { count = 1 }",
    "[[profile.a.override]]\nfilter = \"all()\"\npriority = 101",
    "[[profile.a.override]]\nfilter = \"all()\"\nlevel = \"write\"",
    "[group.a]\nmax = \"4\"",
    "[suite.a]\nrunner = \"rust\"\nrequires = [\"a b\"]",
    "[suite.a]\nrunner = \"rust\"\nrequires = \"gpu\"",
    "[profile.a]\norder = \"fast\"",
    "[profile.a]\npriority = 5",
    "[profile.a]\ntarget = \"0s\"",
    "[profile.a]\nspeculate = \"yes\"",
    "[[profile.a.override]]\nfilter = \"all()\"\nneeds = [\"db:0\"]",
    "[[profile.a.override]]\nfilter = \"all()\"\nneeds = []",
    "[resources]\ndb = 0",
    "resources = 1",
    "[resources.a]\nkind = \"gate\"",
    "[resources.a]\nseats = 0",
    "[resources.a]\nitems = []",
    "[resources.a]\nitems = [{ labels = {} }]",
    "[resources.a]\nitems = [{ name = \"b\", values = { c = 1 } }]",
    "[resources.a]\nseats = 1\nreset = { timeout = \"1s\" }",
    "[resources.a]\nseats = 1\nreset = { run = [\"x\"], every = \"1s\" }",
    "[resources.a]\nseats = 1\ncheck = { run = [\"x\"], every = \"0s\" }",
    "[resources.a]\nkind = \"postgres\"\nurl = \"\"",
    "[suite.a]\nrunner = \"rust\"\ndatabase = 1",
    "[suite.a]\nrunner = \"rust\"\ndatabase = []",
    "[suite.a]\nrunner = \"rust\"\ndatabase = {}",
    "[suite.a]\nrunner = \"rust\"\ndatabase = { resource = \"b\", per = \"run\" }",
    "[suite.a]\nrunner = \"rust\"\ndatabase = { resource = \"b\", lazy = \"yes\" }",
    "[suite.a]\nrunner = \"rust\"\ndatabase = { resource = \"b\", build = [] }",
];

#[test]
fn the_schema_and_the_reader_agree() {
    let schema = schema().to_value();
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    for text in [EVERYTHING, "", "[profile.a]", "[suite.a]\nrunner = \"rust\""] {
        let errors: Vec<String> = validator.iter_errors(&json(text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "the schema refuses {text}: {errors:?}");
        parse(text).unwrap_or_else(|error| panic!("the reader refuses {text}: {}", error.render(false)));
    }
    for text in WRONG {
        assert!(!validator.is_valid(&json(text)), "the schema accepts {text}");
        assert!(parse(text).is_err(), "the reader accepts {text}");
    }
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn walk(path: &str, schema: &Value, missing: &mut Vec<String>) {
        for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let described = property.get("description").is_some() || property.get("const").is_some();
            if !described {
                missing.push(format!("{path}.{key}"));
            }
        }
        match schema {
            Value::Object(object) => {
                object.iter().for_each(|(key, value)| walk(&format!("{path}/{key}"), value, missing))
            }
            Value::Array(items) => items.iter().for_each(|value| walk(path, value, missing)),
            _ => {}
        }
    }
    let mut missing = Vec::new();
    walk("", &schema().to_value(), &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_example_in_the_documentation_makes_sense() {
    let page = include_str!("../../../../docs/configuration.md");
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        parse(block).unwrap_or_else(|error| panic!("{block}\n{}", error.render(false)));
    }
}
