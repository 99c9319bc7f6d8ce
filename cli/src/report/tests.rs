//! Reports of scripted runs.
