//! The committed code is what the protos say today. `REGATTA_BLESS=1 cargo test -p regatta-wire` writes it anew.

use std::fs;
use std::path::Path;

const PROTOS: [&str; 7] = [
    "regatta/v1/run.proto",
    "regatta/v1/runs.proto",
    "regatta/v1/fleet.proto",
    "regatta/v1/history.proto",
    "regatta/v1/databases.proto",
    "regatta/v1/resources.proto",
    "regatta/v1/coordination.proto",
];

#[test]
fn the_committed_code_is_what_the_protos_say() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile(PROTOS, [here.join("../../proto")]).expect("the protos compile");
    let out = tempfile::tempdir().expect("a directory to generate into");
    tonic_prost_build::configure()
        .out_dir(out.path())
        .emit_rerun_if_changed(false)
        .compile_fds(files)
        .expect("the code generates");

    let generated = fs::read_to_string(out.path().join("regatta.v1.rs")).expect("the package was generated");
    let committed = here.join("src/gen/regatta.v1.rs");
    if std::env::var_os("REGATTA_BLESS").is_some() {
        fs::write(&committed, &generated).expect("the source folder can be written");
    }
    let committed = fs::read_to_string(&committed).unwrap_or_default();
    assert!(
        generated == committed,
        "the protos and shared/wire/src/gen differ; regenerate with `REGATTA_BLESS=1 cargo test -p regatta-wire`"
    );
}
