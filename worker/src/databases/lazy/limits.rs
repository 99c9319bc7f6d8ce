//! The bounds of a port.

use std::time::Duration;

/// Sessions that are open at once: what a lease allows, too (`REGATTA_MAX_CONNECTIONS`).
pub(super) const SESSIONS: usize = 20;

/// Sockets that are accepted at once, those that only wait or say nothing among them. Further ones wait in the backlog.
pub(super) const SOCKETS: usize = 128;

/// How long whoever connected may take to say who it is: a driver takes a millisecond.
pub(super) const GREETING: Duration = Duration::from_secs(10);

/// How long a connection waits for another one to end, where as many are open as there may be: pools replace theirs, and the
/// new one may come before the old one has gone.
pub(super) const SEAT: Duration = Duration::from_secs(5);

/// How long the server may take to accept a connection and to check the password.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// How long sessions may take to end after the attempt has: its processes are gone, so it is one turn of the loop. Where
/// something outlives the attempt and keeps its session, the server tells of it.
pub(super) const LEAVE: Duration = Duration::from_millis(50);

/// The first message of a connection, as the server bounds it.
pub(super) const STARTUP_BYTES: usize = 10_000;

/// A message until a session is open: passwords are short, and so are errors.
pub(super) const MESSAGE_BYTES: usize = 64 * 1024;

/// Messages of a server until a session is open; more than a few notices is no server.
pub(super) const MESSAGES: usize = 64;

/// What is read at once. Results come in pieces of 8 KB, as the server's own buffer is; copies in larger ones.
pub(super) const READ: usize = 32 * 1024;

/// The head of a statement that is kept: what it is stands in front.
pub(super) const STATEMENT_BYTES: usize = regatta_wire::limits::STATEMENT_BYTES;

/// Statements that are kept of an attempt, each once; and error codes. A suite's tests have some ten, a migration some hundred.
pub(super) const STATEMENTS: usize = regatta_wire::limits::STATEMENTS_PER_TRAFFIC;
pub(super) const STATES: usize = regatta_wire::limits::ERRORS_PER_TRAFFIC;
