//! What a fleet shares, with real workers, real hooks and people: devices are held by one test at a time, and come back.

use regatta_tests::harness::{Client, Cluster, Project, Said, regatta};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Two phones, as they are declared.
const PHONES: &str = "\
[resources.phone]
items = [
    { name = \"p1\", labels = { os = \"android\", api = \"34\" }, values = { serial = \"one\" } },
    { name = \"p2\", labels = { os = \"android\", api = \"30\" }, values = { serial = \"two\" } },
]
";

/// One phone.
const PHONE: &str = "\
[resources.phone]
items = [{ name = \"p1\", labels = { os = \"android\" }, values = { serial = \"one\" } }]
";

/// Waits until it is so.
#[track_caller]
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A project of scripts that need a phone, and the coordinator that has some.
struct Lab {
    project: Project,
    cluster: Cluster,
}

impl Lab {
    /// So many tests that run `script`, which finds in `$LOG` a file to write to; and so many workers of one slot.
    fn start(tests: usize, script: &str, workers: usize) -> Self {
        let project = Project::empty();
        project.write(
            "regatta.toml",
            "[suite.sh]\nrunner = \"exec\"\ntests = [\"t/*.sh\"]\ncommand = [\"sh\", \"{id}\"]\n\
             [[profile.default.override]]\nfilter = \"all()\"\nneeds = [\"phone:os=android\"]\n",
        );
        let log = format!("LOG={}\nDIR={}\n", project.path().join("log").display(), project.path().display());
        for at in 0..tests {
            project.write(&format!("t/{at:02}.sh"), &format!("{log}ME={at}\n{script}"));
        }
        let cluster = Cluster::start(project.path(), workers, 1);
        Self { project, cluster }
    }

    /// `regatta resources …` on the coordinator.
    fn resources(&self, words: &[&str]) -> Said {
        let on = ["--on", self.cluster.url.as_str(), "--by", "ann"];
        Said::by(self.project.path(), ["resources"].iter().chain(words).chain(&on))
    }

    /// The same, which goes well: what it printed.
    #[track_caller]
    fn done(&self, words: &[&str]) -> Said {
        let said = self.resources(words);
        assert_eq!(said.code, 0, "{words:?}: {}", said.stderr);
        said
    }

    /// The same, which is refused: what people are told.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let said = self.resources(words);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{words:?}: {}", said.stderr);
        said.stderr
    }

    fn declare(&self, text: &str) {
        self.project.write("lab.toml", text);
        self.done(&["declare", "lab.toml"]);
    }

    /// The first resource as tools see it.
    fn listed(&self) -> Value {
        let said = self.done(&["--format", "json"]);
        let listed: Value = serde_json::from_str(&said.stdout).expect("a document");
        listed[0].clone()
    }

    fn run(&self) -> Client {
        self.cluster.run(&[])
    }

    /// What tests wrote: a word, a token, an item, and which test.
    fn log(&self) -> Vec<(String, u64, String, String)> {
        let text = fs::read_to_string(self.project.path().join("log")).unwrap_or_default();
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let token = words[1].parse().unwrap_or_else(|_| panic!("no token: {line:?}"));
            (words[0].to_owned(), token, words[2].to_owned(), words[3].to_owned())
        };
        text.lines().map(line).collect()
    }
}

const NOTE: &str = "note() { echo \"$1 $REGATTA_RESOURCE_PHONE_TOKEN $REGATTA_RESOURCE_PHONE $ME\" >> $LOG; }\n";

/// A test that ends when it may.
const WAITING: &str = "note begin\nwhile ! test -e $DIR/go; do sleep 0.02; done\nnote end\n";

#[test]
fn no_two_tests_ever_hold_one_item_and_its_tokens_grow() {
    let lab = Lab::start(12, &format!("{NOTE}note begin\nsleep 0.05\nnote end\n"), 3);
    lab.declare(PHONES);
    let ended = lab.run().end();
    assert_eq!((ended.code, ended.count("passed")), (0, 12), "{}", ended.stderr);
    let mut items: BTreeMap<String, Vec<(String, u64, String)>> = BTreeMap::new();
    for (word, token, item, test) in lab.log() {
        items.entry(item).or_default().push((word, token, test));
    }
    assert_eq!(items.keys().collect::<Vec<_>>(), ["p1", "p2"], "both of them work");
    for (item, lines) in items {
        for pair in lines.chunks(2) {
            let [(begin, token, test), (end, same, same_test)] = pair else { panic!("{item}: {lines:?}") };
            assert_eq!((begin.as_str(), end.as_str()), ("begin", "end"), "{item}: {lines:?}");
            assert_eq!((token, test), (same, same_test), "{item} was held by two: {lines:?}");
        }
        assert!(lines.is_sorted_by_key(|(_, token, _)| *token), "{item}: {lines:?}");
    }
}

#[test]
fn a_killed_worker_frees_its_item() {
    let mut lab = Lab::start(1, &format!("{NOTE}{WAITING}"), 1);
    lab.declare(PHONE);
    let client = lab.run();
    until("the test", || lab.log().len() == 1);
    lab.cluster.kill_worker(0);
    lab.project.write("go", "");
    lab.cluster.add_worker(1);
    let ended = client.end();
    assert_eq!((ended.code, ended.count("passed")), (0, 1), "{}", ended.stderr);
    let log = lab.log();
    let last = log.last().expect("it ended");
    assert!(last.0 == "end" && last.1 > log[0].1, "another lease, with a greater token: {log:?}");
}

#[test]
fn what_is_released_by_force_fences_its_holder() {
    let lab = Lab::start(1, &format!("{NOTE}{WAITING}"), 2);
    lab.declare(PHONE);
    let client = lab.run();
    until("the test", || lab.log().len() == 1);
    let told = lab.refused(&["release", "phone"]);
    assert!(told.contains("ends the leases that hold it") && told.contains("`--force` does it"), "{told}");
    let said = lab.done(&["release", "phone/p1", "--force"]);
    assert!(said.stderr.contains("ended 1 lease on phone/p1"), "{}", said.stderr);
    until("the next holder", || lab.log().len() == 2);
    lab.project.write("go", "");
    let ended = client.end();
    assert_eq!((ended.code, ended.count("passed")), (0, 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("Released 1 lease, whose resources somebody took back by force"), "{}", ended.stderr);
    let log = lab.log();
    assert!(log[1].1 > log[0].1, "{log:?}");
    let ends: Vec<u64> = log.iter().filter(|line| line.0 == "end").map(|line| line.1).collect();
    assert_eq!(ends, [log[1].1], "the first holder was stopped: {log:?}");
}

#[test]
fn what_is_reserved_is_a_persons_until_it_is_given_back() {
    let lab = Lab::start(1, &format!("{NOTE}note begin\nnote end\n"), 1);
    lab.declare(PHONE);
    let said = lab.done(&["reserve", "phone", "--for", "10m"]);
    assert_eq!(said.stdout, "serial=one\n");
    assert!(
        said.stderr.contains("phone/p1 is yours for 10m") && said.stderr.contains("--give-back"),
        "{}",
        said.stderr
    );
    let client = lab.run();
    until("the test that waits", || lab.listed()["waits"][0]["tests"] == 1);
    assert_eq!(lab.listed()["free"], 0);
    assert_eq!(lab.log(), []);
    let why = Said::by(lab.project.path(), ["explain", "t/00.sh", "--on", &lab.cluster.url]);
    assert!(why.stdout.contains("it needs phone:os=android: reserved by ann (p1)"), "{}{}", why.stdout, why.stderr);
    lab.done(&["reserve", "phone", "--give-back"]);
    let ended = client.end();
    assert_eq!((ended.code, ended.count("passed")), (0, 1), "{}", ended.stderr);
}

#[test]
fn whoever_waits_for_what_is_held_is_next() {
    let lab = Lab::start(2, &format!("{NOTE}{WAITING}"), 1);
    lab.declare(PHONE);
    let client = lab.run();
    until("the test", || lab.log().len() == 1);
    let mut waiting = Command::new(regatta());
    waiting.args(["resources", "reserve", "phone", "--for", "10m", "--wait", "--by", "bob", "--on", &lab.cluster.url]);
    let waiting = std::thread::spawn(move || Said::by_command(waiting));
    until("the reservation", || lab.listed()["withheld"][0]["by"] == "bob");
    lab.project.write("go", "");
    let said = waiting.join().expect("it does not panic");
    assert_eq!((said.code, said.stdout.as_str()), (0, "serial=one\n"), "{}", said.stderr);
    assert!(said.stderr.contains("waits for run "), "{}", said.stderr);
    assert_eq!(
        Said::by(
            lab.project.path(),
            ["resources", "reserve", "phone", "--give-back", "--by", "bob", "--on", &lab.cluster.url]
        )
        .code,
        0
    );
    assert_eq!(client.end().code, 0);
}

/// Whether a process goes on.
fn is_there(pid: &Path) -> bool {
    let pid = fs::read_to_string(pid).unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z")
}

#[test]
fn a_hook_that_hangs_fails_or_leaves_children_harms_its_own_item_alone() {
    // All three items are held at once, so that each is reset.
    let script = "note begin\nwhile test $(grep -c begin $LOG) -lt 3; do sleep 0.02; done\nnote end\n";
    let lab = Lab::start(3, &format!("{NOTE}{script}"), 3);
    let dir = lab.project.path().display().to_string();
    let reset = lab.project.write(
        "reset.sh",
        &format!(
            "cd {dir}\ncase $REGATTA_ITEM in\n\
             hangs) echo waiting for a cable; sleep 600 ;;\n\
             fails) echo x >> tries; test $(wc -l < tries) -ge 3 ;;\n\
             leaves) sleep 600 & echo $! > child ;;\nesac\n"
        ),
    );
    let items =
        ["hangs", "fails", "leaves"].map(|name| format!("{{ name = \"{name}\", labels = {{ os = \"android\" }} }}"));
    lab.declare(&format!(
        "[resources.phone]\nitems = [{}]\nreset = {{ run = [\"sh\", \"{}\"], timeout = \"1s\", retries = 2 }}\n",
        items.join(", "),
        reset.display()
    ));
    let ended = lab.run().end();
    assert_eq!((ended.code, ended.count("passed")), (0, 3), "{}", ended.stderr);
    let health = |item: &str| {
        let listed = lab.listed();
        let of = listed["health"].as_array().expect("a list").iter().find(|of| of["item"] == item);
        of.map(|of| (of["health"].as_str().unwrap_or_default().to_owned(), of["reason"].to_string()))
            .unwrap_or_default()
    };
    until("the end of what leaves children", || health("leaves").0 == "well");
    until("the end of its child", || !is_there(&lab.project.path().join("child")));
    until("the third try", || health("fails").0 == "well");
    assert_eq!(fs::read_to_string(lab.project.path().join("tries")).expect("it was tried").lines().count(), 3);
    until("the end of what hangs", || health("hangs").0 == "ill");
    let (_, reason) = health("hangs");
    assert!(reason.contains("took longer than 1s") && reason.contains("waiting for a cable"), "{reason}");
    let table = lab.done(&[]).stdout;
    assert!(table.contains("2/3") && table.contains("1 ill"), "{table}");
}

#[test]
fn what_was_declared_and_decided_survives_the_coordinator() {
    let mut lab = Lab::start(1, &format!("{NOTE}note begin\nnote end\n"), 1);
    lab.declare(PHONES);
    lab.done(&["drain", "phone/p1"]);
    lab.cluster.restart_coordinator();
    let listed = lab.listed();
    assert_eq!((&listed["name"], &listed["free"]), (&"phone".into(), &1.into()), "{listed}");
    assert_eq!(listed["withheld"][0]["by"], "drained by ann");
    assert!(!listed.to_string().contains("\"one\""), "values are told to nobody but a holder: {listed}");
    let ended = lab.run().end();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(lab.log().iter().all(|line| line.2 == "p2"), "{:?}", lab.log());
    lab.done(&["drain", "phone/p1", "--undo"]);
    assert_eq!(lab.listed()["free"], 2);
    let said = lab.done(&["withdraw", "phone"]);
    assert!(said.stderr.contains("withdrew phone"), "{}", said.stderr);
    let acts = fs::read_to_string(lab.cluster.data().join("acts.jsonl")).expect("acts are on record");
    let acts: Vec<Value> = acts.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let did: Vec<&str> = acts.iter().filter_map(|act| act["act"].as_str()).collect();
    assert_eq!(did, ["declare", "drain", "undrain", "withdraw"]);
    assert!(acts.iter().all(|act| act["by"] == "ann"), "{acts:?}");
}

#[test]
fn a_coordinator_is_told_its_resources_in_a_file() {
    let project = Project::empty();
    project.write("regatta.toml", "[suite.sh]\nrunner = \"exec\"\ncommand = \"true\"\n");
    let file = project.write("lab/lab.toml", PHONES);
    let cluster = Cluster::start_with(project.path(), |data| {
        let mut command = Command::new(regatta());
        command.args(["coordinator", "--listen", "127.0.0.1:0", "--resource", "db=2", "--resources"]).arg(&file);
        command.arg("--data").arg(data);
        command
    });
    let table = Said::by(project.path(), ["resources", "list", "--on", &cluster.url]).stdout;
    assert!(table.contains("db     semaphore  2/2") && table.contains("phone  pool       2/2"), "{table}");
    let said = Said::by(project.path(), ["resources", "withdraw", "db", "--on", &cluster.url]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("is configured where the coordinator is started"), "{}", said.stderr);
}

#[test]
fn every_mistake_is_told_in_a_sentence() {
    let lab = Lab::start(1, "true", 1);
    lab.declare(PHONES);
    let told = lab.refused(&["drain", "phne"]);
    assert!(told.contains("there is no resource `phne`; did you mean `phone`?"), "{told}");
    let told = lab.refused(&["reserve", "phone", "--for", "25h"]);
    assert!(told.contains("24h at most, and 25h was asked for"), "{told}");
    let told = lab.refused(&["release", "phone/p9", "--force"]);
    assert!(told.contains("the pool `phone` has no item `p9`; did you mean `p1`?"), "{told}");
    lab.project.write("twice.toml", &PHONES.replace("\"p2\"", "\"p1\""));
    let told = lab.refused(&["declare", "twice.toml"]);
    assert!(told.contains("`phone` has two items called `p1`") && told.contains("twice.toml:4:14"), "{told}");
    lab.project.write("broken.json", "{\"resources\": {");
    let told = lab.refused(&["declare", "broken.json"]);
    assert!(told.contains("broken.json is not JSON") && told.contains("line 1 column 15"), "{told}");
    lab.project.write("empty.json", "{\"resources\": {\"licence\": 0}}");
    let told = lab.refused(&["declare", "empty.json"]);
    assert!(told.contains("`licence` must be between 1 and 100000"), "{told}");
    let told = lab.refused(&["declare", "nowhere.toml"]);
    assert!(told.contains("cannot read nowhere.toml"), "{told}");
    let said = Said::by(lab.project.path(), ["resources"]);
    assert!(said.code == 2 && said.stderr.contains("`--on http://HOST:PORT`"), "{}", said.stderr);

    let config = fs::read_to_string(lab.project.path().join("regatta.toml")).expect("it is there");
    let with = |need: &str| {
        lab.project.write("regatta.toml", &config.replace("phone:os=android", need));
        lab.run().end()
    };
    for (need, why) in [
        ("phone:os=ios", "need phone:os=ios, and of the 2 items of `phone` 0 are so"),
        ("phone:2,api>=34", "and of the 2 items of `phone` 1 are so"),
        ("phnoe", "there is no `phnoe` (did you mean `phone`?)"),
    ] {
        let ended = with(need);
        assert!(ended.code > 0 && ended.stderr.contains(why), "{need}: {} {}", ended.code, ended.stderr);
    }
}

#[test]
fn on_one_machine_a_hook_makes_the_items_and_what_it_left_running_ends_with_the_run() {
    let project = Project::empty();
    project.write(
        "regatta.toml",
        "[suite.sh]\nrunner = \"exec\"\ntests = [\"t/*.sh\"]\ncommand = [\"sh\", \"{id}\"]\n\
         [resources.server]\nkind = \"pool\"\nprepare = { run = [\"./servers.sh\"] }\n\
         [[profile.default.override]]\nfilter = \"all()\"\nneeds = [\"server\"]\n",
    );
    let dir = project.path().display();
    let hook = project.write(
        "servers.sh",
        &format!(
            "#!/bin/sh\necho x >> {dir}/prepared\nsleep 600 > /dev/null 2>&1 &\necho $! > {dir}/pid\n\
             echo '{{\"pid\": '$!', \"resources\": [{{\"PORT\": \"5001\"}}, {{\"PORT\": \"5002\"}}]}}'\n"
        ),
    );
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("it may be executed");
    for at in 0..4 {
        project
            .write(&format!("t/{at}.sh"), &format!("echo $REGATTA_RESOURCE_SERVER_PORT >> {dir}/ports\nsleep 0.05\n"));
    }
    let listed = Said::by(project.path(), ["list"]);
    assert_eq!((listed.code, listed.stdout.lines().count()), (0, 4), "{}", listed.stderr);
    assert!(!project.path().join("prepared").exists(), "to look at tests, no hook is run");
    let ended = Client::start(project.path(), ["run", "--slots", "2"]).end();
    assert_eq!((ended.code, ended.count("passed")), (0, 4), "{}", ended.stderr);
    let ports = fs::read_to_string(project.path().join("ports")).expect("tests were told");
    assert!(ports.lines().count() == 4 && ports.lines().all(|port| ["5001", "5002"].contains(&port)), "{ports}");
    assert_eq!(fs::read_to_string(project.path().join("prepared")).expect("it ran"), "x\n");
    until("the end of the server", || !is_there(&project.path().join("pid")));

    fs::write(&hook, "#!/bin/sh\necho no room\nexit 1\n").expect("room for a file");
    let refused = Client::start(project.path(), ["run"]).end();
    assert_eq!(refused.code, 3);
    let why = &refused.stderr;
    assert!(why.contains("the pool `server`") && why.contains("no room") && why.contains("exit code 1"), "{why}");
}

#[test]
fn on_one_machine_what_is_not_declared_is_told_before_anything_runs() {
    let project = Project::empty();
    project.write(
        "regatta.toml",
        "[suite.sh]\nrunner = \"exec\"\ncommand = \"echo x >> ran\"\n\
         [suite.sh.database]\nresource = \"ap\"\nbuild = \"true\"\n\
         [resources.app]\nkind = \"sqlite\"\n[resources.phone]\nitems = [{ name = \"p1\" }]\n\
         [[profile.default.override]]\nfilter = \"all()\"\nneeds = [\"phone:os=ios\", \"phon\", \"worker.gpu\"]\n",
    );
    let refused = Client::start(project.path(), ["run"]).end();
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for why in [
        "uses the database `ap`, which this machine does not have",
        "did you mean `app`?",
        "need `phone:os=ios`, and of its 1 items on this machine 0 are so",
        "did you mean `phone`?",
        "need worker.gpu, and the worker on this machine has worker.cpu=",
        "4 mistakes in all",
    ] {
        assert!(refused.stderr.contains(why), "{why}: {}", refused.stderr);
    }
    assert!(!project.path().join("ran").exists());
}
