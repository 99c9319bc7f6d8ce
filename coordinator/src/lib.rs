//! The coordinator: driver, store, gRPC.

pub mod store;
