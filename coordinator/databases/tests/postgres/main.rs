//! The engine against real PostgreSQL servers: every test starts its own, and leaves nothing.

#![allow(missing_docs, reason = "tests are named by what they claim")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps says all there is to say")]

mod external;
mod lean;
mod levels;
mod outside;
mod release;
mod servers;
mod soak;
mod statements;
mod survive;
mod template;
mod world;
