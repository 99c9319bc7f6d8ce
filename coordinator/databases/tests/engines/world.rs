//! What tests of all engines need: asks, directories, and patience.

use nix::unistd::Pid;
use regatta_databases::{Ask, Place, Wanted};
use regatta_domain::{Digest, Level, RunId, TestIx, Token};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const TEMPLATE: Digest = Digest([0xb2; 32]);
pub(crate) const RUN: RunId = RunId::from_bits(1);

pub(crate) fn ask(level: Level, token: u64) -> Ask {
    Ask {
        token: Token(token),
        run: RUN,
        test: TestIx(7),
        attempt: 1,
        level,
        template: TEMPLATE,
        application: "run:shard:test".to_owned(),
        statements: false,
    }
}

pub(crate) fn wanted(token: u64, run: RunId) -> Wanted {
    Wanted { template: TEMPLATE, place: Place::Shared, extensions: Vec::new(), token: Token(token), run }
}

/// A directory in memory, of this test alone: orphans of others are not its business.
pub(crate) fn directory() -> TempDir {
    let parent = if Path::new("/dev/shm").is_dir() { Path::new("/dev/shm").to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("rg-test-").tempdir_in(parent).unwrap()
}

/// Waits until `holds`, as long as anything here may take.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Processes that name `path` on their command line.
pub(crate) fn processes(path: &Path) -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&*path.to_string_lossy()) {
            found.push((Pid::from_raw(pid), line));
        }
    }
    found
}

/// The variable that makes a holder hold: where.
pub(crate) const HOLD: &str = "REGATTA_TEST_HOLD_ENGINE";

/// A process that holds an engine under `directory` by running the test `name`, and the directory of what it holds.
pub(crate) fn holder(name: &str, directory: &Path) -> (Child, PathBuf) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(HOLD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let home = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("home=").map(|(_, home)| home.into()))
        .expect("the holder says where it is");
    (child, home)
}
