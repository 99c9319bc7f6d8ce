//! The other engines, with real servers and files: every test starts its own, and leaves nothing.

#![allow(missing_docs, reason = "tests are named by what they claim")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps says all there is to say")]

mod mysql;
mod redis;
mod sqlite;
mod world;
