//! How our servers are set: for tests, where data is worthless, speed matters, and every change must be seen at once.

use std::fmt::Write;
use std::path::Path;

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Migrations run in it, then it becomes an image.
    Build,
    /// Clones of a template live in it.
    Shared,
    /// One exclusive test has it for itself.
    Private,
}

/// The role of ours: superuser, and only through the socket.
pub(crate) const ADMIN: &str = "regatta";

/// The text of `postgresql.conf` for a server of version `major`; `statements` says that pg_stat_statements is installed.
///
/// Not on the command line: there it would win over what a test sets by `ALTER SYSTEM`.
pub(crate) fn configuration(purpose: Purpose, socket: &Path, port: u16, (major, statements): (u32, bool)) -> String {
    let shared = purpose == Purpose::Shared;
    let (buffers, connections) = match purpose {
        Purpose::Shared => ("128MB", 300),
        Purpose::Build => ("64MB", 50),
        Purpose::Private => ("16MB", 50),
    };
    let mut text = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
         shared_buffers = {buffers}\nmax_connections = {connections}\n",
        socket.display().to_string().replace('\'', "''")
    );
    // Nothing survives the machine, so nothing is flushed. Commits stay synchronous: without flushing that costs a write,
    // and what is committed is then there for the reader of the WAL.
    text.push_str("fsync = off\nfull_page_writes = off\nsynchronous_commit = on\nautovacuum = off\njit = off\n");
    text.push_str("wal_level = replica\nmin_wal_size = 2MB\nmax_wal_size = 1GB\ncheckpoint_timeout = 1h\n");
    let _ = writeln!(text, "wal_keep_size = {}", if shared { "1GB" } else { "0" });
    text.push_str("max_locks_per_transaction = 256\nmax_prepared_transactions = 64\nhuge_pages = off\n");
    // Shared memory of parallel queries as files of the data directory: a killed server leaves none behind in the system.
    text.push_str("dynamic_shared_memory_type = mmap\n");
    // Passwords are 128 bits of chance that live for one lease and never leave this machine: four thousand rounds of hashing, at
    // every connect on both sides, would protect nothing, and cost more than the rest of a connection.
    text.push_str("password_encryption = 'md5'\n");
    if major >= 18 {
        text.push_str("md5_password_warnings = off\n");
    }
    if statements {
        text.push_str("shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = all\n");
        text.push_str("pg_stat_statements.max = 10000\npg_stat_statements.save = off\n");
    }
    // Errors go to a file with their state and role in front, written by the backend itself before it answers: a refused
    // right (42501) or a write where only reading was agreed on (25006) is told there even if the test hides it.
    text.push_str("logging_collector = off\nlog_destination = 'stderr'\nlog_line_prefix = '%e %u %d: '\n");
    text.push_str("log_min_messages = error\nlog_min_error_statement = panic\nlog_error_verbosity = terse\nlog_checkpoints = off\n");
    text.push_str("lc_messages = 'C'\n");
    if major >= 15 {
        text.push_str("log_startup_progress_interval = 0\n");
    }
    text
}

/// The text of `pg_hba.conf`: we come in through the socket, whose directory is ours alone; tests need a password.
pub(crate) fn access() -> String {
    format!(
        "local all {ADMIN} trust\nlocal replication {ADMIN} trust\nhost all {ADMIN} all reject\n\
         local all all md5\nhost all all 127.0.0.1/32 md5\n\
         host replication all 127.0.0.1/32 md5\nlocal replication all md5\n"
    )
}
