//! Prints a completion script: a few lines by which the shell asks this binary while somebody types.

use super::print;
use crate::args::CompletionsArgs;
use crate::error::Error;
use crate::exit::Exit;
use clap_complete::env::Shells;

/// The variable by which a shell asks.
pub(crate) const COMPLETE: &str = "COMPLETE";

/// Prints a completion script for a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Error> {
    let mut script = Vec::new();
    Shells::builtins()
        .completer(&args.shell)
        .expect("the argument only takes shells that there are")
        .write_registration(COMPLETE, "regatta", "regatta", "regatta", &mut script)
        .map_err(|error| Error::infrastructure("cannot write the completion script").because(&error))?;
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_that_may_be_named_has_a_script() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            assert!(Shells::builtins().completer(shell).is_some(), "{shell}");
        }
    }
}
