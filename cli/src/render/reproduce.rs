//! The one command that runs a test again as it was run.

use crate::view::View;
use regatta_domain::TestIx;
use std::fmt::Write as _;

/// The command that runs this test again; `flags` are those of the run that have to be given again.
pub(crate) fn command(view: &View, test: TestIx, flags: &[String]) -> String {
    let mut command = format!("regatta run {}", word(&view.suite_of(test).name));
    for flag in flags {
        command.push(' ');
        command.push_str(&word(flag));
    }
    if let Some(seed) = view.policy.shuffle {
        let _ = write!(command, " --shuffle={seed}");
    }
    let id = view.id(test);
    command.push_str(if id.starts_with('-') { " -- " } else { " " });
    command.push_str(&quoted(&id));
    command
}

/// A word for the shell, quoted where it has to be.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { quoted(text) }
}

/// A word for the shell, in quotes. What cannot be typed is written in the form that bash, zsh and ksh read.
fn quoted(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for char in text.chars() {
        match char {
            '\'' => quoted.push_str(r"\'"),
            '\\' => quoted.push_str(r"\\"),
            '\n' => quoted.push_str(r"\n"),
            '\t' => quoted.push_str(r"\t"),
            '\r' => quoted.push_str(r"\r"),
            _ if char.is_control() => {
                for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            _ => quoted.push(char),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_shell_reads_back_what_was_quoted() {
        let hostile = [
            "a b",
            "it's",
            "$HOME `id` \"x\" \\",
            "[*?]{a,b}",
            "~",
            "#",
            "a\nb",
            "tab\t'\\n",
            "\u{1}\u{7f}é",
            "!x",
            "",
        ];
        for text in hostile {
            for form in [word(text), quoted(text)] {
                let printed =
                    Command::new("bash").args(["-c", &format!("printf %s {form}")]).output().expect("bash runs");
                assert_eq!(String::from_utf8_lossy(&printed.stdout), text, "{form}");
            }
        }
        assert_eq!(word("api"), "api");
    }
}
