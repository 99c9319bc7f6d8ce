//! Why a process could not be started.

use super::Command;
use nix::errno::Errno;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a process could not be started, or is no longer heard of.
#[derive(Debug)]
pub enum SpawnError {
    /// There is no such program, in the search path or where its path says.
    NotFound {
        /// The program.
        program: PathBuf,
    },
    /// The program is a script whose interpreter is not there.
    NoInterpreter {
        /// The program.
        program: PathBuf,
    },
    /// The directory to start in is not there.
    NoDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// The program is there, and may not be executed.
    Denied {
        /// The program.
        program: PathBuf,
    },
    /// Arguments and environment are more than the system takes.
    TooLong {
        /// The program.
        program: PathBuf,
        /// How long they are together.
        bytes: usize,
    },
    /// The system refused for another reason.
    Refused {
        /// The program.
        program: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The spawner was killed, or closed, and took all its processes with it.
    Gone,
}

impl SpawnError {
    /// The error behind `errno`, which the system answered to `command`.
    pub(super) fn of(command: &Command, errno: i32) -> Self {
        let program = command.program();
        match Errno::from_raw(errno) {
            Errno::ENOENT | Errno::ENOTDIR => Self::missing(command),
            Errno::EACCES | Errno::EPERM => Self::Denied { program },
            Errno::E2BIG => Self::too_long(command),
            _ => Self::Refused { program, source: io::Error::from_raw_os_error(errno) },
        }
    }

    /// Whether it lies in the machine as it is at the moment, so that the same may well start later, or elsewhere: it has no
    /// process, memory, file or room to spare, or the spawner is gone.
    #[must_use]
    pub fn is_of_the_machine(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Gone)
    }

    /// Arguments and environment of `command` are too long.
    pub(super) fn too_long(command: &Command) -> Self {
        let argv: usize = command.argv.iter().map(|part| part.len() + 1).sum();
        let env: usize = command.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        Self::TooLong { program: command.program(), bytes: argv + env }
    }

    /// One errno stands for three things that may be missing.
    fn missing(command: &Command) -> Self {
        let (program, directory) = (command.program(), command.cwd.clone());
        if !directory.as_os_str().is_empty() && !directory.is_dir() {
            return Self::NoDirectory { directory };
        }
        let has_directory = program.parent().is_some_and(|parent| !parent.as_os_str().is_empty());
        if has_directory && directory.join(&program).is_file() {
            return Self::NoInterpreter { program };
        }
        Self::NotFound { program }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program } => {
                write!(f, "cannot start `{}`: no such program; install it, or give its path", program.display())
            }
            Self::NoInterpreter { program } => write!(
                f,
                "cannot start `{}`: the interpreter that its first line (#!) or its ELF header names is not installed",
                program.display()
            ),
            Self::NoDirectory { directory } => {
                write!(f, "cannot start a process in `{}`: no such directory", directory.display())
            }
            Self::Denied { program } => write!(
                f,
                "cannot start `{}`: permission denied; make it executable (chmod +x), on a file system that allows it",
                program.display()
            ),
            Self::TooLong { program, bytes } => write!(
                f,
                "cannot start `{}`: its arguments and environment ({bytes} bytes) are more than the system takes (128 KiB \
                 for one, about 2 MiB in all); pass them in a file",
                program.display()
            ),
            Self::Refused { program, source } => write!(f, "cannot start `{}`: {source}", program.display()),
            Self::Gone => f.write_str("the spawner of this slot was killed, and its processes with it"),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { source, .. } => Some(source),
            _ => None,
        }
    }
}
