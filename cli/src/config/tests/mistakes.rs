//! How mistakes read.

use super::parse;

fn told(text: &str) -> String {
    parse(text).expect_err("the file has mistakes").render(false)
}

#[test]
fn all_mistakes_are_told_together_in_the_order_of_the_file() {
    let file = r#"
[suite.api]
runner = "pytst"

[suite.core]
runner = "rust"
isolation = "thread"
pakages = ["a"]

[profile.default]
slots = 0
retries = { count = -1, backof = "fixed" }
timeout = "5 minutes"

[profile.ci]
inherits = "defualt"
suites = ["api", "cora"]

[[profile.ci.override]]
filter = 'suite(api) && tag(db)'
"#;
    let wanted = r"error: `runner` cannot be `pytst`
 --> regatta.toml:3:10
  |
3 | runner = 'pytst'
  |          ^^^^^^^
  |
  = help: did you mean `pytest`?

error: `isolation` cannot be `thread`
 --> regatta.toml:7:13
  |
7 | isolation = 'thread'
  |             ^^^^^^^^
  |
  = help: possible values: process, binary

error: there is no key `pakages` in a suite
 --> regatta.toml:8:1
  |
8 | pakages = ['a']
  | ^^^^^^^
  |
  = help: did you mean `packages`?

error: `slots` must be between 1 and 1024
  --> regatta.toml:11:9
   |
11 | slots = 0
   |         ^

error: `count` must be between 0 and 1000
  --> regatta.toml:12:21
   |
12 | retries = { count = -1, backof = 'fixed' }
   |                     ^^

error: there is no key `backof` in `retries`
  --> regatta.toml:12:25
   |
12 | retries = { count = -1, backof = 'fixed' }
   |                         ^^^^^^
   |
   = help: did you mean `backoff`?

error: `timeout`: a duration needs one of the units h, m, s, ms, us after each number
  --> regatta.toml:13:11
   |
13 | timeout = '5 minutes'
   |           ^^^^^^^^^^^
   |
   = help: for example '250ms', '30s' or '1h30m'

error: there is no profile `defualt`
  --> regatta.toml:16:12
   |
16 | inherits = 'defualt'
   |            ^^^^^^^^^
   |
   = help: did you mean `default`?

error: there is no suite `cora`
  --> regatta.toml:17:18
   |
17 | suites = ['api', 'cora']
   |                  ^^^^^^
   |
   = help: did you mean `core`?

error: this operator is not part of the filter language
  --> regatta.toml:20:22
   |
20 | filter = 'suite(api) && tag(db)'
   |                      ^^
   |
   = help: write `&`

10 mistakes in all. Exit code 2 (usage): see `regatta explain 2`.
";
    assert_eq!(told(file).replace('"', "'"), wanted);
}

#[test]
fn a_file_that_is_not_toml_is_told_with_every_broken_line() {
    let wanted = "\
error: this is not TOML: unclosed table, expected `]`
 --> regatta.toml:1:11
  |
1 | [suite.api
  |           ^

error: this is not TOML: string values must be quoted, expected literal string
 --> regatta.toml:3:8
  |
3 | name = shop
  |        ^^^^

error: this is not TOML: key with no value, expected `=`
 --> regatta.toml:4:3
  |
4 | x 1
  |   ^

3 mistakes in all. Exit code 2 (usage): see `regatta explain 2`.
";
    assert_eq!(told("[suite.api\n[project]\nname = shop\nx 1\n"), wanted);
}

/// The first line of each mistake, and its help.
fn gist(text: &str) -> Vec<String> {
    told(text)
        .lines()
        .filter_map(|line| {
            let what = line.strip_prefix("error: ");
            what.or_else(|| line.trim_start().strip_prefix("= help: ")).map(str::to_owned)
        })
        .collect()
}

#[test]
fn each_mistake_says_what_to_do() {
    let cases: [(&str, &[&str]); 31] = [
        ("suits = 1", &["there is no key `suits` in regatta.toml", "did you mean `suite`?"]),
        ("[suite]\napi = 1", &["`suite.api` must be a table, not a number"]),
        ("suite = 1", &["`suite` must be a table of named tables", "write `[suite.NAME]`"]),
        ("[suite.api]", &["a suite needs the key `runner`", "for example `runner = \"pytest\"`"]),
        (
            "[suite.api]\nrunner = \"exec\"",
            &["a suite needs the key `command`", "for example `command = [\"make\", \"test\"]`"],
        ),
        (
            "[suite.\"a b\"]\nrunner = \"rust\"",
            &[
                "`a b` cannot be the name of a suite",
                "a name is made of letters, digits, `_`, `-` and `.`, begins with a letter, a digit or `_`, and has at most 64 of them",
            ],
        ),
        (
            "[suite.a]\nrunner = \"rust\"\nroot = \"services/apo\"",
            &["there is no directory `services/apo`", "a root is relative to the directory of regatta.toml"],
        ),
        (
            "[suite.a]\nrunner = \"rust\"\npython = \"x\"",
            &[
                "there is no key `python` in a suite",
                "the keys are runner, root, env, default, requires, database, packages, workspace, features, all-features, no-default-features, profile, doc, ignored, isolation, args, cargo-args, cargo",
            ],
        ),
        ("[suite.a]\nrunner = \"rust\"\npackages = [\"a\", 1]", &["`packages` must be a string, not a number"]),
        ("[suite.a]\nrunner = \"rust\"\ndoc = \"no\"", &["`doc` must be true or false, not a string"]),
        ("[suite.a]\nrunner = \"rust\"\n[suite.a.env]\nA = 1", &["`env.A` must be a string, not a number"]),
        (
            "[suite.a]\nrunner = \"exec\"\ncommand = \"t\"\nlist = \"l\"\ntests = [\"*\"]",
            &[
                "`list` and `tests` exclude each other",
                "`list` asks a command for ids, `tests` takes each file as a test",
            ],
        ),
        (
            "[suite.a]\nrunner = \"pytest\"\nmemory = \"2 TB\"",
            &["`memory` must be a whole number of MB or GB", "for example \"512MB\" or \"2GB\""],
        ),
        ("[profile.a]\nslow = \"0s\"", &["`slow` must be longer than nothing"]),
        ("[profile.a]\nfail-fast = 0", &["`fail-fast` must be between 1 and 4294967295"]),
        (
            "[profile.a]\nreport = [{ format = \"juni\", path = \"\" }]",
            &["`format` cannot be `juni`", "did you mean `junit`?", "`path` must not be empty"],
        ),
        (
            "[profile.default]\ninherits = \"a\"\n[profile.a]",
            &["the profile `default` cannot inherit", "every profile inherits `default` in the end"],
        ),
        (
            "[profile.a]\ninherits = \"b\"\n[profile.b]\ninherits = \"c\"\n[profile.c]\ninherits = \"a\"\n[profile.d]\ninherits = \"a\"",
            &["profiles inherit in a circle: a -> b -> c -> a"],
        ),
        ("[profile.a]\ninherits = \"a\"", &["profiles inherit in a circle: a -> a"]),
        (
            "[[profile.a.override]]\nfilter = \"all()\"\ngroup = \"pg\"",
            &["there is no group `pg`", "describe it under `[group.pg]`"],
        ),
        ("[group.db]\nmax = 0", &["`max` must be between 1 and 100000"]),
        (
            "[resources.a]",
            &["`a` does not say what it is", "write `seats = 3`, `items = [...]`, or `kind = \"readers-writer\"`"],
        ),
        (
            "[resources.a]\nkind = \"pool\"",
            &[
                "the pool `a` has no items",
                "write `items = [{ name = \"a\" }]`, or a `prepare` hook that prints them as JSON",
            ],
        ),
        (
            "[resources.a]\nkind = \"mutex\"\nurl = \"x\"\nseats = 2",
            &[
                "`url` belongs to a database server, and to nothing else",
                "`seats` belongs to a semaphore, or to a database server, and to nothing else",
            ],
        ),
        ("[resources.a]\nitems = [{ name = \"b\" }, { name = \"b\" }]", &["`a` has two items called `b`"]),
        (
            "[resources.a]\nkind = \"semaphore\"",
            &["the semaphore `a` needs the key `seats`", "for example `seats = 3`"],
        ),
        ("[resources.a]\nkind = \"postgre\"", &["`kind` cannot be `postgre`", "did you mean `postgres`?"]),
        (
            "[suite.a]\nrunner = \"rust\"\ndatabase = { resource = \"b\", inputs = [\"[x\"] }",
            &["`[x` in `inputs` is no glob: unclosed character class; missing ']'"],
        ),
        (
            "[suite.a]\nrunner = \"rust\"\ndatabase = { resource = \"b\", inputs = [\"x\"] }",
            &[
                "`inputs` say what a template is built from, and there is no `build`",
                "for example `build = [\"./migrate.sh\"]`",
            ],
        ),
        (
            "[suite.a]\nrunner = \"rust\"\ndatabase = [{ resource = \"b\" }, { resource = \"b\" }]",
            &["the suite uses the database `b` twice", "a test has one database of each resource"],
        ),
        (
            "[suite.a]\nrunner = \"rust\"\ndatabase = [{ resource = \"b\", lazy = true }, { resource = \"c\" }]",
            &[
                "of the databases of a suite, some are leased on first use and some are not",
                "write `lazy = true` for each of them, or for none",
            ],
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(gist(text), wanted, "{text}");
    }
}

#[test]
fn a_filter_with_escapes_is_pointed_at_as_a_whole() {
    let wanted = "\
error: there is no predicate `sute`
 --> regatta.toml:2:10
  |
2 | filter = \"sute(\\u0061)\"
  |          ^^^^^^^^^^^^^^
  |
  = help: did you mean `suite`?

Exit code 2 (usage): see `regatta explain 2`.
";
    assert_eq!(told("[profile.a]\nfilter = \"sute(\\u0061)\"\n"), wanted);
}
