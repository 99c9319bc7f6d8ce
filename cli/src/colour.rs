//! Whether to write colour: one rule for everything that is printed.

use std::ffi::OsString;

/// When to write colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless the environment says otherwise.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl When {
    /// Decides: the flag, then `NO_COLOR`, then `FORCE_COLOR` and `CLICOLOR_FORCE`, then `CLICOLOR`, then whether what is
    /// written to is a terminal that is not dumb.
    pub(crate) fn decide(self, env: impl Fn(&str) -> Option<OsString>, is_terminal: bool) -> bool {
        let on = |name: &str| env(name).is_some_and(|value| !value.is_empty() && value != "0");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if env("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
            Self::Auto if on("FORCE_COLOR") || on("CLICOLOR_FORCE") => true,
            Self::Auto if env("CLICOLOR").is_some_and(|value| value == "0") => false,
            Self::Auto => is_terminal && env("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    /// Decides for the standard error of this process.
    pub(crate) fn for_stderr(self) -> bool {
        self.decide(|name| std::env::var_os(name), std::io::IsTerminal::is_terminal(&std::io::stderr()))
    }

    /// Decides for the standard output of this process.
    pub(crate) fn for_stdout(self) -> bool {
        self.decide(|name| std::env::var_os(name), std::io::IsTerminal::is_terminal(&std::io::stdout()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_beats_the_environment_and_the_environment_the_terminal() {
        type Case<'a> = (When, &'a [(&'a str, &'a str)], bool, bool);
        let cases: [Case<'_>; 12] = [
            (When::Always, &[("NO_COLOR", "1")], false, true),
            (When::Never, &[("FORCE_COLOR", "1")], true, false),
            (When::Auto, &[], true, true),
            (When::Auto, &[], false, false),
            (When::Auto, &[("NO_COLOR", "1"), ("FORCE_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false),
            (When::Auto, &[("NO_COLOR", "")], true, true),
            (When::Auto, &[("FORCE_COLOR", "1")], false, true),
            (When::Auto, &[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], false, true),
            (When::Auto, &[("FORCE_COLOR", "0")], false, false),
            (When::Auto, &[("CLICOLOR", "0")], true, false),
            (When::Auto, &[("CLICOLOR", "1")], false, false),
            (When::Auto, &[("TERM", "dumb")], true, false),
        ];
        for (when, env, is_terminal, wanted) in cases {
            let look_up = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
            assert_eq!(when.decide(look_up, is_terminal), wanted, "{when:?} {env:?} {is_terminal}");
        }
    }
}
