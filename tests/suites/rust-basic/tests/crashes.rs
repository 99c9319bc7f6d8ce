//! Tests under which their process dies.

use std::io::Write;

#[test]
fn aborts() {
    println!("about to abort");
    std::process::abort();
}

#[test]
fn before() {}

#[test]
fn exits_with_zero() {
    std::process::exit(0);
}

#[test]
fn forks_a_daemon() {
    // Not waited for on purpose.
    let _child = std::process::Command::new("setsid").args(["sleep", "1000"]).spawn().unwrap();
}

#[test]
fn overflows_its_stack() {
    #[allow(unconditional_recursion)]
    fn recurse(deep: &[u8; 4096]) -> u8 {
        let deeper = *deep;
        recurse(std::hint::black_box(&deeper)) + deeper[0]
    }
    recurse(&[0; 4096]);
}

#[test]
fn segfaults() {
    unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
}

#[test]
fn writes_past_the_harness() {
    // What libtest captures is what macros print; this goes straight to the descriptor.
    std::io::stdout().write_all(b"\xff\x00 noise").unwrap();
    std::io::stdout().flush().unwrap();
}

#[test]
fn zlast() {}
