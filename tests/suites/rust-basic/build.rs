fn main() {
    println!("cargo:rustc-env=FIXTURE_EXPORTED=yes");
    println!("cargo:rerun-if-changed=build.rs");
}
