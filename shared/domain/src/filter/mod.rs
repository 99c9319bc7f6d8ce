//! The language that selects tests (`-E`, overrides).
