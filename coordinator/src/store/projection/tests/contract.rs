//! What every kind of store promises of rows.

use super::*;
use regatta_domain::result::{OutputRef, RunError, RunErrorKind, TestResult};
use regatta_domain::{Cause, Digest, Exit, Nuance, Outcome};
use std::sync::Arc;

promises!(
    what_is_written_is_read_and_the_cursor_moves_with_it,
    a_write_that_is_refused_leaves_nothing_and_the_next_one_is_taken,
    the_cursor_goes_where_it_is_told_also_back,
    what_is_said_twice_counts_as_it_was_said_last,
    a_test_that_is_taught_twice_at_once_learns_twice,
    a_run_that_only_lists_is_not_listed,
    a_file_list_is_recalled_by_its_tree_else_the_newest,
    a_listing_is_remembered_by_content,
    names_and_paths_of_any_kind_are_found_again,
    the_oldest_runs_are_dropped_and_the_newest_always_stays,
    runs_that_are_too_old_are_dropped_but_never_the_newest,
    a_run_that_is_live_stays_and_so_does_what_was_written_of_it,
    of_the_file_lists_of_a_suite_the_newest_are_kept,
);

fn what_is_written_is_read_and_the_cursor_moves_with_it(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    assert_eq!(writer.cursor(), 0);
    writer.write(&whole_run(5), 12).unwrap();
    assert_eq!(writer.cursor(), 12);

    let summary = reader.runs(10).unwrap().swap_remove(0);
    assert_eq!((summary.tests, summary.failed, summary.errors, summary.ended), (1, 1, 3, Some(6)));
    assert_eq!(reader.has_ended(run(5)).unwrap(), Some(true));
    assert_eq!(reader.has_ended(run(6)).unwrap(), None);
    assert_eq!(reader.events(run(5), 0, 10).unwrap(), [vec![1], vec![2]]);
    assert_eq!(reader.events(run(5), 0, 1).unwrap(), [vec![1]]);
    assert_eq!(reader.events(run(5), 1, 10).unwrap(), [vec![2]]);
    assert_eq!(reader.events(run(6), 0, 10).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(reader.verdicts(run(5)).unwrap().unwrap()[&TestKey([7; 16])].0, Verdict::Failed);
    assert_eq!(reader.verdicts(run(6)).unwrap(), None);
    let scope = Scope::default();
    let histories = reader.histories("shop", "api", &scope, ["a.py", "b.py"].into_iter()).unwrap();
    assert_eq!(histories.len(), 1);
    let Remembered { key, name, history } = &histories["a.py"][0];
    assert_eq!((key, &**name, history.failures), (&TestKey([7; 16]), "test_a", 1));
    assert_eq!(reader.suites("shop").unwrap(), ["api"]);
    assert_eq!(reader.paths("shop", "api").unwrap(), ["a.py"]);
    assert!(reader.measured("shop", "api", &scope, ["a.py"].into_iter()).unwrap().contains(&TestKey([7; 16])));

    drop((writer, reader));
    assert_eq!(world.open(Keep::LOCAL).0.cursor(), 12);
}

fn a_write_that_is_refused_leaves_nothing_and_the_next_one_is_taken(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    writer.write(&whole_run(1), 1).unwrap();
    // A verdict of a run that nobody began.
    let refused = writer.write(&[begun(2), verdict(2, "test_a", Verdict::Passed), verdict(3, "x", Verdict::Passed)], 2);
    assert!(refused.is_err());
    assert_eq!((writer.cursor(), reader.runs(9).unwrap().len()), (1, 1));
    assert_eq!(known(&reader)[0].history.passes, 0);
    writer.write(&whole_run(2), 2).unwrap();
    assert_eq!((writer.cursor(), reader.runs(9).unwrap().len()), (2, 2));
    assert_eq!(known(&reader)[0].history.failures, 2);
}

fn the_cursor_goes_where_it_is_told_also_back(world: &World) {
    let (mut writer, _) = world.open(Keep::LOCAL);
    for cursor in [7, 7, 3, u64::from(u32::MAX) + 1] {
        writer.write(&[], cursor).unwrap();
        assert_eq!(writer.cursor(), cursor);
    }
    drop(writer);
    assert_eq!(world.open(Keep::LOCAL).0.cursor(), u64::from(u32::MAX) + 1);
}

fn what_is_said_twice_counts_as_it_was_said_last(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    let attempt = |duration| {
        let output = Some(OutputRef { digest: Digest([9; 32]), size: 3 });
        let result = TestResult {
            test: TestIx(0),
            attempt: 1,
            outcome: Outcome::Failed,
            nuance: Nuance::Plain,
            cause: Some(Cause::Crash),
            exit: Some(Exit::Signal(11)),
            started: Time(4),
            duration,
            reason: Some("assert 1 == 2".into()),
            output,
            observation: None,
        };
        Row::Attempt { run: run(1), result }
    };
    let event = |body: u8| Row::Event { run: run(1), seq: 1, body: vec![body] };
    let error = |message: &str| {
        let error = RunError { kind: RunErrorKind::Collection, place: "a.py".into(), message: message.into() };
        Row::Error { run: run(1), number: 1, error }
    };
    let progress = |errors| Row::Progress { run: run(1), counts: Counts::default(), errors, ended: None };
    let said = |n: u8| {
        let verdict = verdict(1, "test_a", if n == 3 { Verdict::Passed } else { Verdict::Failed });
        [event(n), attempt(Micros(n.into())), error("first"), verdict, progress(n.into())]
    };
    // Within a write, and over two.
    let rows: Vec<Row> = [begun(1), begun(1)].into_iter().chain(said(1)).chain(said(2)).collect();
    writer.write(&rows, 1).unwrap();
    assert_eq!(reader.events(run(1), 0, 9).unwrap(), [vec![2]]);
    writer.write(&[begun(1)].into_iter().chain(said(3)).collect::<Vec<_>>(), 2).unwrap();
    assert_eq!(reader.events(run(1), 0, 9).unwrap(), [vec![3]]);
    assert_eq!(reader.verdicts(run(1)).unwrap().unwrap()[&TestKey([7; 16])].0, Verdict::Passed);
    let runs = reader.runs(9).unwrap();
    assert_eq!((runs.len(), runs[0].errors, runs[0].ended), (1, 3, None));
}

fn a_test_that_is_taught_twice_at_once_learns_twice(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    let of = |n| [begun(n), verdict(n, "test_a", Verdict::Failed)];
    writer.write(&of(1).into_iter().chain(of(2)).chain(of(3)).collect::<Vec<_>>(), 1).unwrap();
    assert_eq!((known(&reader)[0].history.failures, known(&reader)[0].history.runs), (3, 3));
}

fn a_run_that_only_lists_is_not_listed(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    let mut listing = begun(1);
    if let Row::Run { listing, .. } = &mut listing {
        *listing = true;
    }
    writer.write(&[listing, begun(2), begun(3)], 1).unwrap();
    let runs: Vec<String> = reader.runs(9).unwrap().into_iter().map(|run| run.run).collect();
    assert_eq!(runs, [run(3).to_string(), run(2).to_string()]);
    assert_eq!(reader.runs(1).unwrap().len(), 1);
    assert_eq!(reader.has_ended(run(1)).unwrap(), Some(false));
}

fn files(path: &str) -> Vec<ListedFile> {
    vec![ListedFile { path: path.into(), key: FileKey([1; 16]), locator: "".into() }]
}

fn file_list(tree: &str, path: &str, at: u64) -> Row {
    let (project, suite) = ("shop".into(), "api".into());
    Row::FileList { project, suite, tree_key: tree.into(), files: files(path), at: Time(at) }
}

fn a_file_list_is_recalled_by_its_tree_else_the_newest(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    assert_eq!(reader.file_list("shop", "api", "t1").unwrap(), Recalled::default());
    writer.write(&[file_list("t1", "old.py", 1), file_list("t2", "new.py", 2)], 0).unwrap();
    let recall = |tree| reader.file_list("shop", "api", tree).unwrap();
    assert_eq!(recall("t1"), Recalled { exact: true, files: files("old.py") });
    assert_eq!(recall("t3"), Recalled { exact: false, files: files("new.py") });
    assert_eq!(reader.file_list("other", "api", "t1").unwrap(), Recalled::default());
}

fn a_listing_is_remembered_by_content(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    let tests: Vec<ListedTest> = vec![ListedTest { name: "test_a".into(), line: 3, ..Default::default() }];
    let key = FileKey([4; 16]);
    writer.write(&[Row::Listing { key, tests: tests.clone().into(), at: Time(9) }], 0).unwrap();
    let found = reader.listings([key, FileKey([5; 16])].into_iter()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[&key], (Time(9), tests));
    assert!(reader.listings(std::iter::empty()).unwrap().is_empty());
}

fn names_and_paths_of_any_kind_are_found_again(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    // As long as the wire lets them be, of bytes that no store makes shorter.
    let long: String = (0..4_096_u64).map(|n| char::from(b'!' + (n * n * 31 % 89) as u8)).collect();
    let names =
        ["", "it's \"quoted\"\\", "Größe 🚣", "two\nlines\ttab", "half\0way", "NULL", "{a,b}", "\u{feff}x", &long];
    for (at, name) in (1..).zip(names) {
        let mut row = verdict(at, name, Verdict::Passed);
        if let Row::Verdict { path, .. } = &mut row {
            *path = name.into();
        }
        writer.write(&[begun(at), row], at).unwrap();
    }
    let found = reader.histories("shop", "api", &Scope::default(), names.into_iter()).unwrap();
    assert_eq!(found.len(), names.len());
    for name in names {
        // Where a store cannot hold a NUL, its picture stands for it.
        assert_eq!(found[name][0].name.replace('\u{2400}', "\0"), name);
    }
    assert_eq!(reader.paths("shop", "api").unwrap().len(), names.len());

    let project: Arc<str> = "a\0b".into();
    let row = Row::FileList {
        project: project.clone(),
        suite: project.clone(),
        tree_key: project.clone(),
        files: files("x"),
        at: Time(1),
    };
    writer.write(&[row], 99).unwrap();
    assert!(reader.file_list(&project, &project, &project).unwrap().exact);
}

fn the_oldest_runs_are_dropped_and_the_newest_always_stays(world: &World) {
    let (mut writer, reader) = world.open(Keep { runs: 10, tests: 1_000, ..Keep::LOCAL });
    for n in 1..=11 {
        writer.write(&whole_run(n), n).unwrap();
    }
    assert_eq!(writer.prune(Time(100)).unwrap(), None, "a bound may be passed by a tenth");
    writer.write(&whole_run(12), 12).unwrap();
    assert_eq!(writer.prune(Time(100)).unwrap(), Some(Time(3)));
    assert_eq!(reader.runs(100).unwrap().len(), 10);
    assert_eq!(reader.events(run(2), 0, 10).unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(reader.verdicts(run(2)).unwrap(), None);
    assert_eq!(reader.events(run(3), 0, 10).unwrap().len(), 2);

    drop((writer, reader));
    let (mut writer, reader) = world.open(Keep { runs: 10, tests: 0, ..Keep::LOCAL });
    writer.write(&whole_run(13), 13).unwrap();
    assert_eq!(writer.prune(Time(100)).unwrap(), Some(Time(13)));
    assert_eq!(reader.runs(100).unwrap().len(), 1);
    writer.write(&whole_run(14), 14).unwrap();
    assert_eq!((writer.cursor(), reader.runs(100).unwrap().len()), (14, 2));
}

fn runs_that_are_too_old_are_dropped_but_never_the_newest(world: &World) {
    let (mut writer, reader) = world.open(Keep { age: Some(Micros(100)), ..Keep::LOCAL });
    for n in [1, 50, 60] {
        writer.write(&whole_run(n), n).unwrap();
    }
    assert_eq!(writer.prune(Time(111)).unwrap(), None, "the bound may be passed by a tenth");
    assert_eq!(writer.prune(Time(155)).unwrap(), Some(Time(60)), "once it is, it counts");
    assert_eq!(writer.prune(Time(1_000)).unwrap(), Some(Time(60)));
    assert_eq!(reader.runs(9).unwrap().len(), 1);
}

fn a_run_that_is_live_stays_and_so_does_what_was_written_of_it(world: &World) {
    let (mut writer, reader) = world.open(Keep { runs: 1, tests: 1_000, ..Keep::LOCAL });
    writer.write(&[begun(1), Row::Event { run: run(1), seq: 1, body: vec![1] }], 1).unwrap();
    for n in 2..=9 {
        writer.write(&whole_run(n), n).unwrap();
        writer.prune(Time(n)).unwrap();
    }
    let runs: Vec<String> = reader.runs(9).unwrap().into_iter().map(|run| run.run).collect();
    assert_eq!(runs, [run(9).to_string(), run(1).to_string()]);
    assert_eq!(reader.events(run(1), 0, 9).unwrap().len(), 1);
    assert_eq!(reader.events(run(9), 0, 9).unwrap().len(), 2);
}

fn of_the_file_lists_of_a_suite_the_newest_are_kept(world: &World) {
    let (mut writer, reader) = world.open(Keep::LOCAL);
    let lists: Vec<Row> = (1..=21).map(|n| file_list(&format!("t{n}"), "a.py", n)).collect();
    writer.write(&lists, 1).unwrap();
    writer.prune(Time(1)).unwrap();
    assert!(!reader.file_list("shop", "api", "t1").unwrap().exact);
    assert!(reader.file_list("shop", "api", "t2").unwrap().exact);
}
