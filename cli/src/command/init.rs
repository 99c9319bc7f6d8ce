//! Writes a regatta.toml for what is found here. Never overwrites.

use super::print;
use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::Context;
use std::fs::File;
use std::io::{ErrorKind, Write};

/// Writes a regatta.toml for what is found here.
pub(crate) fn init(context: &Context<'_>) -> Result<Exit, Error> {
    let assumed = Config::assume(&context.cwd)?;
    let path = match &context.global.config {
        Some(path) => context.cwd.join(path),
        None => assumed.base.join("regatta.toml"),
    };
    let shown = path.strip_prefix(&context.cwd).unwrap_or(&path).display();
    let mut file = File::create_new(&path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::usage(format!("{shown} is already there"))
            .help("it is left as it is; `regatta config show --origin` prints what it amounts to"),
        _ => Error::usage(format!("cannot write {shown}")).because(&error),
    })?;
    file.write_all(assumed.text.as_bytes())
        .map_err(|error| Error::infrastructure(format!("cannot write {shown}")).because(&error))?;
    let notes: String = assumed.assumed.iter().map(|note| format!("{note}\n")).collect();
    print(&format!("{notes}wrote {shown}\n"))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Global;
    use clap::ArgMatches;
    use std::fs;

    #[test]
    fn what_is_written_is_read_back_and_never_overwritten() {
        let project = tempfile::tempdir().expect("a temporary directory");
        fs::write(project.path().join("Cargo.toml"), "[workspace]\n").expect("a manifest");
        let global = Global { config: None, color: None };
        let matches = ArgMatches::default();
        let context = Context { global: &global, matches: &matches, cwd: project.path().to_owned() };
        assert_eq!(init(&context), Ok(Exit::Ok));
        let written = fs::read_to_string(project.path().join("regatta.toml")).expect("the file was written");
        assert!(written.contains("# Found Cargo.toml: runs the tests of every package of the workspace"), "{written}");
        let config = context.config().unwrap_or_else(|error| panic!("{}", error.render(false)));
        assert!(config.path.is_some() && config.assumed.is_empty());

        fs::write(project.path().join("regatta.toml"), "# mine\n").expect("an edit");
        let refused = init(&context).expect_err("the file is there");
        assert!(refused.render(false).contains("regatta.toml is already there"));
        assert_eq!(fs::read_to_string(project.path().join("regatta.toml")).expect("it is there"), "# mine\n");
    }
}
