//! Checks everything that a run needs: each finding is good or bad, and a bad one says how to mend it.
//!
//! It starts what a run would start (an interpreter, cargo, a spawner), and no test.

mod coordinator;
mod machine;
mod suites;

use super::finding::{Finding, human, machine_readable};
use super::print;
use crate::args::DoctorArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;

/// Checks everything that a run needs.
pub(crate) fn doctor(args: DoctorArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let mut findings = Vec::new();
    match context.config() {
        Ok(config) => {
            findings.push(match &config.path {
                Some(path) => Finding::good("configuration", path.display().to_string()),
                None => Finding::good("configuration", format!("assumed: {}", config.assumed.join("; "))),
            });
            findings.extend(suites::check(&config));
        }
        Err(error) => {
            let fix = "`regatta config show` tells where, and what to write";
            findings.push(Finding::bad("configuration", error.summary(), fix));
        }
    }
    findings.extend(machine::check(&context.cwd));
    findings.extend(args.on.as_ref().map(coordinator::check));
    let all_good = findings.iter().all(Finding::is_good);
    if args.json {
        print(&format!("{:#}\n", machine_readable(&findings)))?;
    } else {
        print(&human(
            &findings,
            "Everything that a run needs is there.",
            context.global.color.unwrap_or_default().for_stdout(),
        ))?;
    }
    Ok(if all_good { Exit::Ok } else { Exit::Infrastructure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_that_is_not_there_is_bad() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let url = format!("http://{}", free.expect("a free port")).parse().expect("a URL");
        let finding = coordinator::check(&url);
        assert!(!finding.is_good(), "{finding:?}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        assert!(coordinator::check(&url).is_good());
    }
}
