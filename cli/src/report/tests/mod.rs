//! Reports of scripted runs.

mod ctrf;
mod github;
mod junit;
mod stream;
mod target;

use crate::exit::Exit;
use crate::render::Ending;
use crate::view::script::story::erred;
use crate::view::script::{Came, Script, came};
use regatta_domain::{Outcome, Verdict};
use regatta_wire::v1;
use std::path::Path;

pub(super) const ENDING: Ending<'_> =
    Ending { exit: Exit::TestsFailed, slots: 4, fleet: None, selection: None, flags: &[], usual: None, reports: &[] };

pub(super) fn told<'a>(story: impl FnOnce(&mut Script<'_>)) -> Script<'a> {
    let mut script = Script::new(&[("api", "pytest"), ("core", "rust")], |_, _, _| {});
    story(&mut script);
    script
}

/// Many tests of one file, each of which failed and printed this.
pub(super) fn many(tests: usize, printed: &[u8]) -> Script<'static> {
    told(|script| {
        let names: Vec<String> = (0..tests).map(|n| format!("test_{n}")).collect();
        let planned: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 10)).collect();
        script.file(0, "tests/test_a.py", &planned);
        let token = script.lease(0, &[]);
        for (n, name) in names.iter().enumerate() {
            let printed = if printed.is_empty() { Vec::new() } else { [printed, n.to_string().as_bytes()].concat() };
            let failed = Came { because: "boom", printed: &printed, ..came(Outcome::Failed, 1) };
            script.result(token, &format!("tests/test_a.py::{name}"), failed, Some(Verdict::Failed));
        }
        script.end(v1::RunOutcome::Red);
    })
}

/// Names, reasons and outputs that nobody should have to print.
pub(super) fn hostile(script: &mut Script<'_>) {
    let name = "test_x[\u{0}\u{1b}[31m<&\"'>\n\u{fffe}]]>|`*_é]";
    script.file(0, "tests/test_a.py", &[(name, 10), ("", 10)]);
    let printed: Vec<u8> = (0..=255).chain(*b"]]> ```` </details> <script> \x1b[2J\xff").collect();
    let failed = Came { because: "]]> ` | <b>\u{7}", printed: &printed, ..came(Outcome::Failed, 1) };
    script.run(&format!("tests/test_a.py::{name}"), failed, Some(Verdict::Failed));
    script.run("tests/test_a.py", came(Outcome::Passed, 1), Some(Verdict::Passed));
    erred(script, v1::RunErrorKind::Runner, "x\u{1b}y", "]]>\u{0}\n````\n");
    script.end(v1::RunOutcome::Red);
}

pub(super) fn in_folder<T>(act: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().expect("a folder");
    act(folder.path())
}
