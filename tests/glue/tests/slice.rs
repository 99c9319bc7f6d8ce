//! A slice of the seeds, in every run of the tests. See `docs/testing.md` for what it promises, and how to play one again.

use std::process::Command;

/// Seeds in every run of the tests.
const SEEDS: &str = "100";

#[test]
fn no_seed_of_the_real_glue_breaks_a_promise() {
    let played = Command::new(env!("CARGO_BIN_EXE_glue")).args(["--seeds", SEEDS]).output();
    let played = played.expect("the binary is there");
    let told = String::from_utf8_lossy(&played.stdout);
    println!("{told}");
    assert!(played.status.success(), "{told}{}", String::from_utf8_lossy(&played.stderr));
}
