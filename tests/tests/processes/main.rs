//! Real processes, in one binary: what is asked of them goes right, and what goes wrong is told.

mod bad_input;
mod causes;
mod cluster;
mod history;
mod lazy;
mod levels;
mod planned;
mod resources;
mod statements;
mod store;
