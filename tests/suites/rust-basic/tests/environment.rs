//! What cargo sets for tests, at run time.

use std::env::var;
use std::path::Path;

#[test]
fn is_as_cargo_sets_it() {
    assert_eq!(var("CARGO_PKG_NAME").as_deref(), Ok("rust-basic"));
    assert_eq!(var("CARGO_PKG_VERSION_PRE").as_deref(), Ok("rc.1"));
    assert_eq!(var("CARGO_PKG_AUTHORS").as_deref(), Ok("A:B"));
    assert_eq!(var("FIXTURE_EXPORTED").as_deref(), Ok("yes"));
    assert!(Path::new(&var("OUT_DIR").unwrap()).is_dir());
    assert!(Path::new(&var("CARGO_BIN_EXE_tool").unwrap()).is_file());
    assert!(Path::new(&var("CARGO").unwrap()).is_file());
    let here = std::env::current_dir().unwrap();
    assert_eq!(Path::new(&var("CARGO_MANIFEST_DIR").unwrap()), here);
    assert!(here.join("Cargo.toml").is_file());
    let libraries = var("LD_LIBRARY_PATH").unwrap();
    let executable = std::env::current_exe().unwrap();
    assert!(libraries.split(':').any(|path| Path::new(path) == executable.parent().unwrap()), "{libraries}");
}

#[test]
fn tells_where_it_runs() {
    assert_eq!(var("REGATTA").as_deref(), Ok("1"));
    assert_eq!(var("REGATTA_SLOT").as_deref(), Ok("0"));
    assert_eq!(var("FIXTURE_SUITE").as_deref(), Ok("set by the suite"));
}
