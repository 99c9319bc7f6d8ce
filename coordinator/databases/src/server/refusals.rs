//! Which roles were refused something, as the server's log tells: 42501 (no right to), 25006 (reading was agreed on), class 23 (a
//! constraint), and 53100 and 58030 (the disk is full, or fails); and whether anything failed in a way that ordinary statements do not.
//!
//! A test may swallow the error; the log has it. The line begins with the state and the role (see the settings), and each
//! backend writes it before it answers, so what a lease did is there when its sessions have gone. Messages cannot imitate
//! such a line: the server indents all but their first.

use crate::limits;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What a role was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// It had no right (42501).
    pub(crate) denied: bool,
    /// It wrote although it was read-only (25006).
    pub(crate) read_only: bool,
    /// It wrote what a constraint forbids (class 23).
    pub(crate) violated: bool,
    /// The disk had no room for what it asked, or failed (53100, 58030).
    pub(crate) no_disk: bool,
}

/// Reads the log forward.
#[derive(Debug)]
pub(crate) struct Refusals {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    read: u64,
    /// Per role of ours; taken out when its lease ends.
    roles: BTreeMap<String, Refused>,
    odd: bool,
}

/// Classes of errors that say nothing of the server: data, constraints, transactions, syntax, names, what is in use, and what
/// was cancelled or ended. Others come of files, programs, memory, or faults, and a statement that met one may have done half
/// of what it does there.
const ORDINARY: [&str; 23] = [
    "00", "01", "02", "0A", "20", "21", "22", "23", "24", "25", "26", "28", "2B", "2D", "34", "3B", "3D", "3F", "40",
    "42", "44", "55", "P0",
];

/// A statement was cancelled, or a session ended from outside.
const ENDED: [&str; 2] = ["57014", "57P01"];

/// Roles that may be remembered: those of leases that never ask are of no use.
const ROLES: usize = 4_096;

impl Refusals {
    pub(crate) fn new(log: &Path) -> Self {
        Self { path: log.to_owned(), state: Mutex::new(State::default()) }
    }

    /// What `role` was refused, which is told once.
    pub(crate) fn take(&self, role: &str) -> Refused {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.catch_up(&mut state);
        state.roles.remove(role).unwrap_or_default()
    }

    /// Whether anything failed in a way that is not ordinary since this was asked last. What follows from a role is told by
    /// [`Self::take`].
    pub(crate) fn was_odd(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the log cannot be read, nobody knows.
        let is_read = self.catch_up(&mut state).is_ok();
        std::mem::take(&mut state.odd) || !is_read
    }

    fn catch_up(&self, state: &mut State) -> std::io::Result<()> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        if length <= state.read {
            return Ok(());
        }
        file.seek(SeekFrom::Start(state.read))?;
        let mut text = Vec::new();
        file.take(length - state.read).read_to_end(&mut text)?;
        // A line that is being written now is read next time.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            note(line, &mut state.roles);
            state.odd |= is_odd(line);
        }
        state.read += whole as u64;
        if state.read >= limits::SERVER_LOG && whole == text.len() {
            // The server appends, so what it writes next begins at the start again.
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
            state.read = 0;
        }
        Ok(())
    }
}

fn note(line: &str, roles: &mut BTreeMap<String, Refused>) {
    let mut words = line.split(' ');
    let (Some(state), Some(role)) = (words.next(), words.next()) else { return };
    if !role.starts_with(crate::names::PREFIX) || (roles.len() >= ROLES && !roles.contains_key(role)) {
        return;
    }
    match state {
        "42501" => roles.entry(role.to_owned()).or_default().denied = true,
        "25006" => roles.entry(role.to_owned()).or_default().read_only = true,
        "53100" | "58030" => roles.entry(role.to_owned()).or_default().no_disk = true,
        code if code.starts_with("23") && code.len() == 5 => roles.entry(role.to_owned()).or_default().violated = true,
        _ => {}
    }
}

/// Whether a line begins with the state of an error that is not ordinary. Continued lines begin with white space.
fn is_odd(line: &str) -> bool {
    let state = line.split(' ').next().unwrap_or_default();
    let is_state = state.len() == 5 && state.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    is_state && !ENDED.contains(&state) && !ORDINARY.iter().any(|class| state.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_refusal_is_told_once_and_only_of_the_role_that_met_it() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let refusals = Refusals::new(log.path());
        log.write_all(b"42501 rg_a_b_1 db: ERROR:  permission denied for table t\n23505 rg_a_b_2 db: ERROR:  dup\n\t25006 rg_a_b_2 db\n25006 rg_a_b_3 db: ERROR:  cannot execute").unwrap();
        assert_eq!(refusals.take("rg_a_b_1"), Refused { denied: true, ..Refused::default() });
        assert_eq!(refusals.take("rg_a_b_1"), Refused::default());
        assert_eq!(refusals.take("rg_a_b_2"), Refused { violated: true, ..Refused::default() });
        assert_eq!(refusals.take("rg_a_b_3"), Refused::default(), "the line is not whole yet");
        log.write_all(b" INSERT in a read-only transaction\n").unwrap();
        assert_eq!(refusals.take("rg_a_b_3"), Refused { read_only: true, ..Refused::default() });
    }
    #[test]
    fn what_fails_otherwise_than_statements_do_is_told_once() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        let refusals = Refusals::new(log.path());
        log.write_all(
            b"23505 rg_a_b_2 db: ERROR:  dup\n57014 a db: ERROR:  cancelled\n00000  : LOG:  x\n\t58P01 a db\n",
        )
        .unwrap();
        assert!(!refusals.was_odd());
        log.write_all(b"58P01 other db: ERROR:  could not open file\n").unwrap();
        assert!(refusals.was_odd());
        assert!(!refusals.was_odd());
    }
}
