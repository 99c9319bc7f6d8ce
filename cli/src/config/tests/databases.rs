//! What a suite's database is built from, as a digest; and what is told where it cannot be.

use super::super::Config;
use super::super::file::File;
use crate::error::Error;
use regatta_domain::Digest;
use regatta_domain::plan::PlannedSuite;
use std::fs;
use std::path::Path;
use std::sync::Arc;

fn planned(base: &Path, database: &str) -> Result<PlannedSuite, Error> {
    let text: Arc<str> = format!("[suite.api]\nrunner = \"pytest\"\n{database}").into();
    let name: Arc<str> = "regatta.toml".into();
    let file = File::parse(&name, &text, &|_| true)?;
    let config = Config { file, path: None, base: base.to_owned(), assumed: Vec::new(), name, text };
    let (name, suite) = config.suites()[0];
    config.planned(name, suite)
}

fn digest(base: &Path, database: &str) -> Digest {
    planned(base, database).unwrap_or_else(|error| panic!("{}", error.render(false))).databases[0].template
}

const BUILT: &str = "[suite.api.database]\nresource = \"app\"\nbuild = [\"./migrate.sh\"]\n\
                     inputs = [\"migrations/**\", \"seed.sql\"]\nextensions = [\"b\", \"a\"]\n";

#[test]
fn a_template_is_what_its_files_its_command_and_its_extensions_say() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let base = directory.path();
    fs::create_dir(base.join("migrations")).expect("a directory");
    let write = |file: &str, text: &str| fs::write(base.join(file), text).expect("a file");
    write("migrations/1.sql", "create");
    write("seed.sql", "insert");
    write("other.txt", "1");
    let first = digest(base, BUILT);
    write("other.txt", "2");
    assert_eq!(digest(base, BUILT), first, "a file that is no input says nothing");
    assert_eq!(
        digest(base, &BUILT.replace("\"b\", \"a\"", "\"a\", \"b\"")),
        first,
        "the order of extensions says nothing"
    );
    assert_eq!(digest(base, &BUILT.replace("\"seed.sql\"", "\"*.sql\"")), first, "nor does how the files are found");
    let changes = [BUILT.replace("./migrate.sh", "./other.sh"), BUILT.replace("\"b\", ", "")];
    let mut all: Vec<Digest> = changes.iter().map(|text| digest(base, text)).collect();
    write("migrations/1.sql", "create table");
    all.push(digest(base, BUILT));
    write("migrations/2.sql", "");
    all.push(digest(base, BUILT));
    fs::rename(base.join("migrations/2.sql"), base.join("migrations/3.sql")).expect("a name");
    all.extend([digest(base, BUILT), first]);
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "each change makes another template");
}

#[test]
fn patterns_that_match_nothing_are_told_together_with_their_places() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let told = planned(directory.path(), BUILT).expect_err("nothing is there").render(false);
    assert!(told.contains("error: `migrations/**` matches no file below") && told.contains("`seed.sql`"), "{told}");
    assert!(told.contains("regatta.toml:6:11") && told.contains("2 mistakes in all"), "{told}");
}

#[test]
fn a_name_alone_is_an_empty_database() {
    let suite = planned(Path::new("/nowhere"), "database = \"app\"\n").expect("it makes sense");
    let database = &suite.databases[0];
    assert_eq!((&*database.resource, database.build.len()), ("app", 0));
    assert_eq!(database.per, regatta_domain::database::Per::Test);
    assert!(!database.lazy);
}

#[test]
fn first_use_is_asked_for_and_changes_no_template() {
    let with =
        |more: &str| planned(Path::new("/nowhere"), &format!("[suite.api.database]\nresource = \"app\"\n{more}"));
    let [lazy, ahead] = ["lazy = true\n", "lazy = false\n"].map(|more| with(more).expect("it makes sense"));
    assert!(lazy.databases[0].lazy && !ahead.databases[0].lazy);
    assert_eq!(lazy.databases[0].template, ahead.databases[0].template);
}
