//! A unified diff of changes to a file, as `patch -p1` and `git apply` read it.

use std::fmt::Write as _;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Lines of a file that are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// Before which line, from 0.
    pub(super) at: usize,
    /// How many lines go.
    pub(super) gone: usize,
    /// The lines that come, each with its end.
    pub(super) come: Vec<String>,
}

/// The diff of a file; `edits` come in order and do not touch each other. Empty where there are none.
pub(super) fn diff(path: &str, text: &str, edits: &[Edit]) -> String {
    if edits.is_empty() {
        return String::new();
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // A path with spaces ends at a tab, for those who read on behind it.
    let end = if path.contains(' ') { "\t" } else { "" };
    let mut diff = format!("--- a/{path}{end}\n+++ b/{path}{end}\n");
    // How many lines more there are after the edits so far.
    let mut shift = 0;
    let mut rest = edits;
    while let Some(first) = rest.first() {
        let joins = |pair: &&[Edit]| pair[1].at <= pair[0].at + pair[0].gone + 2 * CONTEXT;
        let together = 1 + rest.windows(2).take_while(joins).count();
        let (hunk, others) = rest.split_at(together);
        let last = hunk.last().unwrap_or(first);
        let from = first.at.saturating_sub(CONTEXT);
        let to = (last.at + last.gone + CONTEXT).min(lines.len());
        let come: usize = hunk.iter().map(|edit| edit.come.len()).sum();
        let gone: usize = hunk.iter().map(|edit| edit.gone).sum();
        let (old, new) = (to - from, to - from - gone + come);
        // A range without lines is named by the line before it.
        let begin = |length: usize, from: usize| if length == 0 { from } else { from + 1 };
        let (left, right) = (begin(old, from), begin(new, from + shift));
        let _infallible = writeln!(diff, "@@ -{left},{old} +{right},{new} @@");
        let mut at = from;
        for edit in hunk {
            lines[at..edit.at].iter().for_each(|line| push(&mut diff, ' ', line));
            lines[edit.at..edit.at + edit.gone].iter().for_each(|line| push(&mut diff, '-', line));
            edit.come.iter().for_each(|line| push(&mut diff, '+', line));
            at = edit.at + edit.gone;
        }
        lines[at..to].iter().for_each(|line| push(&mut diff, ' ', line));
        shift = shift + come - gone;
        rest = others;
    }
    diff
}

fn push(diff: &mut String, sign: char, line: &str) {
    diff.push(sign);
    diff.push_str(line);
    if !line.ends_with('\n') {
        diff.push_str("\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn edit(at: usize, gone: usize, come: &[&str]) -> Edit {
        Edit { at, gone, come: come.iter().map(|line| (*line).to_owned()).collect() }
    }

    /// What git makes of it, which is to be what the edits say.
    #[track_caller]
    fn check(text: &str, edits: &[Edit]) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("t")).expect("a directory");
        let file = dir.path().join("t/x y.py");
        std::fs::write(&file, text).expect("a file");
        let mut git = Command::new("git");
        let git = git.args(["apply", "-"]).current_dir(dir.path()).env("GIT_CEILING_DIRECTORIES", dir.path());
        let mut git = git.stdin(Stdio::piped()).spawn().expect("git runs");
        let patch = diff("t/x y.py", text, edits);
        git.stdin.take().expect("it is piped").write_all(patch.as_bytes()).expect("it reads");
        assert!(git.wait().expect("it ends").success(), "{patch}");
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        for edit in edits.iter().rev() {
            drop(lines.splice(edit.at..edit.at + edit.gone, edit.come.iter().cloned()));
        }
        assert_eq!(std::fs::read_to_string(&file).expect("it is there"), lines.concat(), "{patch}");
    }

    #[test]
    fn git_makes_of_it_what_was_meant() {
        let long: String = (0..40).map(|n| format!("line {n}\n")).collect();
        check(
            &long,
            &[edit(0, 0, &["first\n"]), edit(6, 1, &["a\n", "b\n"]), edit(30, 2, &[]), edit(40, 0, &["last\n"])],
        );
        check("a\r\nb\r\n", &[edit(1, 0, &["x\r\n"])]);
        check("a\nb", &[edit(1, 0, &["x\n"])]);
        check("only", &[edit(0, 0, &["x\n"])]);
        assert_eq!(diff("x", "a\n", &[]), "");
    }
}
