//! What a coordinator keeps, looked after from outside: by people who type, on stores of real coordinators.

use regatta_tests::harness::{Cluster, Project, Said, regatta, root};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn store(dir: &Path, args: &[&str]) -> Said {
    let mut command = Command::new(regatta());
    command.arg("store").args(args).current_dir(dir);
    Said::by_command(command)
}

/// A coordinator of a project with a run that has ended: one test that passes, and one that fails and prints.
fn served(project: &Project) -> Cluster {
    let cluster = Cluster::start(project.path(), 1, 1);
    let ended = cluster.run(&[]).end();
    assert_eq!((ended.code, ended.count("passed"), ended.count("failed")), (1, 1, 1), "{}", ended.stderr);
    cluster
}

fn project() -> Project {
    let text = "def test_sound(): pass\ndef test_red():\n    print('a word before')\n    assert False\n";
    Project::pytest(&[("test_some.py", text)], "")
}

#[test]
fn a_store_is_checked_backed_up_and_restored_while_its_coordinator_works() {
    let project = project();
    let cluster = served(&project);
    let data = cluster.data().to_str().unwrap();
    let checked = store(project.path(), &["check", "--data", data, "--blobs"]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    for wanted in
        ["✓ journal: ", "✓ projection: 1 run, up to commit", "✓ outputs: 1 output, all in", "The store is sound."]
    {
        assert!(checked.stdout.contains(wanted), "{}", checked.stdout);
    }
    let refused = store(project.path(), &["migrate", "--data", data]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("is a coordinator that works in"), "{}", refused.stderr);

    let taken = store(project.path(), &["backup", "taken", "--data", data]);
    assert_eq!(taken.code, 0, "{}", taken.stderr);
    assert!(taken.stdout.contains("/taken: 1 run and 1 output, up to commit"), "{}", taken.stdout);
    let refused = store(project.path(), &["restore", "taken", "--data", data]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("is not empty, and nothing is overwritten"), "{}", refused.stderr);
    drop(cluster);

    let back = store(project.path(), &["restore", "taken", "--data", "back", "--format", "json"]);
    assert_eq!(back.code, 0, "{}", back.stderr);
    let back: Value = serde_json::from_str(&back.stdout).unwrap();
    assert_eq!((&back["runs"], &back["outputs_copied"]), (&1.into(), &1.into()));
    let migrated = store(project.path(), &["migrate", "--data", "back"]);
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    assert!(migrated.stdout.contains("journal: version 1 already\nprojection: version "), "{}", migrated.stdout);

    let dir = project.path().to_owned();
    let cluster = Cluster::start_with(project.path(), |_| coordinator(&dir.join("back"), &[]));
    let mut command = Command::new(regatta());
    command.args(["report", "latest", "--on", &cluster.url]).current_dir(project.path());
    let report = Said::by_command(command);
    let told = format!("{}{}", report.stdout, report.stderr);
    assert!(told.contains("test_red") && told.contains("a word before"), "{told}");
}

#[test]
fn a_damaged_journal_is_told_with_its_place_and_saved_up_to_there() {
    let project = project();
    let mut cluster = served(&project);
    cluster.kill_coordinator();
    let data = cluster.data().to_str().unwrap();
    let journal = cluster.data().join("journal.db");
    for suffix in ["-wal", "-shm"] {
        // Not all of them are there.
        let _gone = fs::remove_file(cluster.data().join(format!("journal.db{suffix}")));
    }
    fs::write(&journal, b"This was a journal once.").unwrap();
    let checked = store(project.path(), &["check", "--data", data]);
    assert_eq!(checked.code, 3, "{}", checked.stdout);
    assert!(
        checked.stdout.contains("✗ journal: ") && checked.stdout.contains("journal.db is damaged"),
        "{}",
        checked.stdout
    );
    assert!(checked.stdout.contains("1 thing is not as it should be."), "{}", checked.stdout);
    let nothing = store(project.path(), &["check", "--data", data, "--salvage", "saved"]);
    assert_eq!(nothing.code, 3, "{}", nothing.stderr);
    assert!(!project.path().join("saved").exists());

    let nowhere = store(project.path(), &["check", "--data", "nowhere"]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("it has no journal.db"), "{}", nowhere.stderr);
    let server = store(project.path(), &["backup", "taken", "--store", "postgres://localhost/regatta"]);
    assert_eq!(server.code, 2, "{}", server.stderr);
    assert!(server.stderr.contains("pg_dump"), "{}", server.stderr);
}

fn coordinator(data: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(regatta());
    command.args(["coordinator", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    command.envs(environment.iter().copied());
    command
}

/// An S3-compatible server with one bucket, `outputs`; its directory.
struct Server {
    child: Child,
    url: String,
    root: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let program = std::env::var_os("REGATTA_TEST_S3")
            .map_or_else(|| root().join("tests/.cache/tools/bin/s3s-fs"), PathBuf::from);
        assert!(program.exists(), "there is no S3 server for tests: run `tests/setup/tool s3s-fs 0.12.0 binary` once");
        let root = tempfile::tempdir().expect("room for a directory");
        fs::create_dir(root.path().join("outputs")).expect("room for a directory");
        let mut child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0", "--access-key", "key", "--secret-key", "secret"])
            .arg(root.path())
            .envs([("RUST_LOG", "s3s_fs=info"), ("NO_COLOR", "1")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()));
        // Whatever it says from now on is read, so that it never waits for somebody who does.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://{}", address.expect("it says where it listens")), root }
    }

    /// The objects in the bucket.
    fn objects(&self) -> usize {
        let shelves = fs::read_dir(self.root.path().join("outputs/ci")).into_iter().flatten().flatten();
        shelves
            .filter(|shelf| shelf.path().is_dir())
            .map(|shelf| fs::read_dir(shelf.path()).map_or(0, Iterator::count))
            .sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn outputs_arrive_in_a_bucket_and_a_coordinator_that_may_not_write_there_does_not_start() {
    let (project, server) = (project(), Server::start());
    let environment = [
        ("REGATTA_BLOBS", "s3://outputs/ci"),
        ("AWS_ENDPOINT_URL", &*server.url),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let mut cluster = Cluster::start_with(project.path(), |data| coordinator(data, &environment));
    cluster.add_worker(1);
    let ended = cluster.run(&[]).end();
    assert_eq!((ended.code, ended.count("failed")), (1, 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("a word before"), "output is shown, wherever it is: {}", ended.stderr);
    let data = cluster.data().to_str().unwrap();
    let mut check = Command::new(regatta());
    check.args(["store", "check", "--data", data]).envs(environment).current_dir(project.path());
    let checked = Said::by_command(check);
    assert!(checked.stdout.contains("✓ outputs: 1 output, all in s3://outputs/ci"), "{}", checked.stdout);
    assert_eq!(cluster.end_coordinator_in_order(), 0);
    assert_eq!(server.objects(), 1, "what waits is carried over before the end");

    let mut wrong = environment;
    wrong[4].1 = "wrong";
    let refused = Said::by_command(coordinator(&project.path().join("other"), &wrong));
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    let wanted = "s3://outputs/ci refuses: SignatureDoesNotMatch";
    assert!(refused.stderr.contains(wanted), "{}", refused.stderr);
    assert!(refused.stderr.contains("look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"), "{}", refused.stderr);
    wrong[2] = ("AWS_ALLOW_HTTP", "");
    let refused = Said::by_command(coordinator(&project.path().join("other"), &wrong));
    assert!(refused.stderr.contains("AWS_ALLOW_HTTP=true"), "{}", refused.stderr);
}
