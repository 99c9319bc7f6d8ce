//! The coordinator: driver, store, gRPC.
