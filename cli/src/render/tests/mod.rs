//! Scripted runs, as people see them: on a terminal, and in the log of a CI system.

mod final_lines;
mod live;
mod stage;
