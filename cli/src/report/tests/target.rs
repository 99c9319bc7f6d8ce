//! Reports as files.

use super::{ENDING, in_folder, told};
use crate::exit::Exit;
use crate::report::{Target, exit_without_report};
use crate::view::script::story::mixed;
use std::fs;

#[test]
fn a_step_summary_is_added_to_and_any_other_report_replaces() {
    in_folder(|folder| {
        let script = told(mixed);
        let path = folder.join("summary.md");
        fs::write(&path, "before\n").expect("written");
        Target::StepSummary(path.clone()).write(&script.view, &script.outputs, &ENDING).expect("written");
        assert!(fs::read_to_string(&path).expect("text").starts_with("before\n### 🚫 Regatta"));
        Target::Github(path.clone()).write(&script.view, &script.outputs, &ENDING).expect("written");
        assert!(fs::read_to_string(&path).expect("text").starts_with("### 🚫 Regatta"));
    });
}

#[test]
fn a_report_that_cannot_be_written_is_told_and_hides_nothing_worse() {
    in_folder(|folder| {
        let script = told(mixed);
        fs::write(folder.join("file"), "").expect("written");
        let target = Target::Junit(folder.join("file/junit.xml"));
        let error = target.write(&script.view, &script.outputs, &ENDING).expect_err("a file is no folder");
        let error = crate::error::Error::from(error);
        assert_eq!(error.exit(), Exit::Infrastructure);
        let text = error.render(false);
        assert!(
            text.starts_with("error: cannot write the JUnit report to ") && text.contains("regatta report"),
            "{text}"
        );
    });
    assert_eq!(exit_without_report(Exit::Ok), Exit::Infrastructure);
    assert_eq!(exit_without_report(Exit::TestsFailed), Exit::TestsFailed);
}
