//! What bounds the engine, each number with the arithmetic that chose it.

use std::time::Duration;

/// How much must be free on a memory file system before data goes there: 1 GB of WAL that is kept for the reader, 1 GB
/// of clones ([`CLONE_BYTES`]), and 1 GB for images and private servers.
pub const MEMORY_FREE: u64 = 3 << 30;

/// Bytes that all clones of one template may take together: 1 GB, about seventy clones of a 14 MB template.
pub const CLONE_BYTES: u64 = 1 << 30;

/// Templates that are kept. Each is an image (some 40 MB) and, where it is in use, a server (128 MB of shared memory at most).
pub const TEMPLATES: usize = 6;

/// Bytes that all templates may take together.
pub const TEMPLATE_BYTES: u64 = 4 << 30;

/// Clones of one template in the shelf at most: 100 leases/s x (0.3 s hold + 3 x 0.03 s making) is 39, with room to spare.
pub const SHELF: usize = 64;

/// Clones of one template in the shelf at least, so that the first tests of a run do not wait.
pub const SHELF_LEAST: usize = 2;

/// Leases of one clone before it is replaced: dead rows of rolled-back tests pile up, and nobody vacuums.
pub const REUSES: u32 = 200;

/// Roles made in one statement: one costs 0.3 ms, a round trip as much again.
pub const ROLES_AT_ONCE: usize = 8;

/// Private servers at once: two for each of eight slots, of which one runs a test and one waits for the next, and four that
/// are looked at or made meanwhile. One takes 44 MB of files and 14 MB besides: 1.2 GB together.
pub const PRIVATE_SERVERS: usize = 20;

/// Private servers that are made at once: one takes a core for 75 ms.
pub const PRIVATE_MAKERS: usize = 2;

/// Bytes of log from which a private server writes a checkpoint between two leases, after which the log goes: twenty servers
/// keep 640 MB of it.
pub const PRIVATE_LOG: u64 = 32 << 20;

/// How long the backends of a lease may take to leave by themselves. They flush their counters on the way out (0.9 ms at the median).
pub const LEAVE: Duration = Duration::from_millis(50);

/// How long terminated backends may take to go. Whoever stays longer keeps the database from being used again.
pub const TERMINATE: Duration = Duration::from_secs(5);

/// How long a statement of ours may take. A clone of a large template on a slow disk takes 5 s (page: 4.9 s with fsync).
pub const STATEMENT: Duration = Duration::from_secs(60);

/// How long connecting may take before the server counts as down.
pub const CONNECT: Duration = Duration::from_secs(5);

/// How long a server may be silent, asked for nothing, before it counts as down: a statement of ours before that may hold it up.
pub const SILENT: Duration = Duration::from_secs(10);

/// How long a server may take from its start until it accepts connections.
pub const START: Duration = Duration::from_secs(30);

/// How long a lease may wait for a clone when the shelf is empty: 64 askers x 0.1 s per clone under load, and the same again.
pub const WAIT: Duration = Duration::from_secs(15);

/// Ended leases whose outcome is still told when somebody asks again.
pub const ENDED: usize = 4_096;

/// Tokens that are remembered as fenced. A lease that was waiting when its token was fenced is refused by this.
pub const FENCED: usize = 4_096;

/// How long a failed build is remembered before another run may try again.
pub const FAILURE: Duration = Duration::from_secs(60);

/// Bytes of a failed build's log that are kept, from its end: the error is there.
pub const BUILD_LOG: usize = 64 << 10;

/// Runs that have been told of a failed build; one more, and the oldest may hear it again.
pub const TOLD: usize = 1_024;

/// Makers of clones per server: while one waits for the mark of its clone, two copy, which is what two cores carry.
pub const MAKERS: usize = 3;

/// Connections that the engine itself may hold to one server: three makers, one that drops, two that release, two that watch
/// (one on an external server, where another one tells that we live).
pub const ADMIN_CONNECTIONS: u32 = 8;

/// Connections that a lease is expected to use, until what is seen says otherwise.
pub const CONNECTIONS_PER_LEASE: u32 = 5;

/// Connections that one lease may open at most; more are refused by the server.
pub const CONNECTION_LIMIT: u32 = 20;

/// Backing off from a server that is down: from a quarter of a second to five. One connection is tried then, by one engine, and whole
/// runs wait for it.
pub const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Size of a server's log from which it is cut: it is read at each release, and nobody reads it twice.
pub const SERVER_LOG: u64 = 16 << 20;
