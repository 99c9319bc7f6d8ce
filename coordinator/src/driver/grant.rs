//! A grant on its way out: indexes become names.

use regatta_core::{Core, Grant, GrantedTest, GrantedWork, Run};
use regatta_domain::{FileIx, Held, RunId, Token};
use regatta_wire::v1;
use std::collections::HashMap;

/// What a worker has to know of a run.
pub(super) fn brief(run: &Run) -> v1::Brief {
    v1::Brief {
        run: run.id.to_string(),
        suites: run.suites.iter().map(|suite| (&suite.suite).into()).collect(),
        policies: run.policies.iter().map(Into::into).collect(),
        seed: run.policy.shuffle.unwrap_or_else(|| seed(run.id)),
    }
}

/// The seed of a run that did not ask for one: always the same for the run.
const fn seed(run: RunId) -> u64 {
    run.0.as_u64_pair().1
}

pub(super) fn grant(core: &Core, run: &Run, grant: &Grant) -> v1::Grant {
    let files = match &grant.work {
        GrantedWork::Discover => Vec::new(),
        GrantedWork::List(files) => files.iter().map(|&ix| file(run, ix, true)).collect(),
        GrantedWork::Run(tests) => by_file(run, tests),
    };
    v1::Grant {
        run: run.id.to_string(),
        token: grant.token.0,
        slot: grant.slot.0.into(),
        suite: grant.suite.0.into(),
        discover: matches!(grant.work, GrantedWork::Discover),
        files,
        holds: holds(core, grant.token),
    }
}

/// What the lease holds, with what its holder is told of it.
fn holds(core: &Core, token: Token) -> Vec<v1::Held> {
    let holds = core.state().leases.get(&token).map_or(&[][..], |lease| &lease.holds);
    let told = |held: &Held| {
        let offer = core.ledger().offered(&held.resource);
        regatta_wire::resource::held(held, offer.map(|offer| &*offer.resource))
    };
    holds.iter().map(told).collect()
}

/// The tests under their files, both in the order in which they first come.
fn by_file(run: &Run, tests: &[GrantedTest]) -> Vec<v1::GrantedFile> {
    let mut files: Vec<v1::GrantedFile> = Vec::new();
    let mut places: HashMap<FileIx, usize> = HashMap::new();
    for granted in tests {
        let ix = run.test(granted.test).file;
        let place = *places.entry(ix).or_insert_with(|| {
            files.push(file(run, ix, false));
            files.len() - 1
        });
        files[place].tests.push(test(run, granted));
    }
    files
}

fn file(run: &Run, ix: FileIx, list: bool) -> v1::GrantedFile {
    let found = run.file(ix);
    v1::GrantedFile {
        file: ix.0,
        path: found.path.to_string(),
        key: found.key.to_string(),
        locator: found.locator.to_string(),
        remembered: found.remembered(),
        list,
        tests: Vec::new(),
    }
}

pub(super) fn test(run: &Run, granted: &GrantedTest) -> v1::GrantedTest {
    let found = run.test(granted.test);
    v1::GrantedTest {
        test: granted.test.0,
        attempt: granted.attempt.into(),
        name: found.name.to_string(),
        estimate: found.estimate.0,
        policy: found.policy.0.into(),
        level: v1::Level::from(found.level).into(),
    }
}
