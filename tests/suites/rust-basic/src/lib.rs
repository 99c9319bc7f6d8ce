//! ```
//! assert_eq!(rust_basic::double(2), 4);
//! ```

/// ```
/// assert_eq!(rust_basic::double(2), 5, "doc tests can fail");
/// ```
pub fn double(number: u32) -> u32 {
    number * 2
}

/// ```ignore
/// this is not even Rust
/// ```
pub fn ignored() {}

/// ```no_run
/// loop {}
/// ```
pub fn compiled() {}

#[cfg(test)]
mod tests {
    #[test]
    fn passes() {}

    #[test]
    fn prints() {
        println!("on one stream");
        eprintln!("and on the other");
    }

    #[test]
    fn fails() {
        println!("before");
        assert_eq!(1, 2, "numbers\nand a second line");
    }

    #[test]
    fn returns_an_error() -> Result<(), String> {
        Err("nope".to_owned())
    }

    #[test]
    #[should_panic]
    fn panics_as_it_should() {
        panic!("as expected");
    }

    #[test]
    #[should_panic]
    fn does_not_panic() {}

    #[test]
    #[ignore = "takes long"]
    fn is_ignored() {}

    #[test]
    #[cfg(feature = "extra")]
    fn needs_a_feature() {}

    #[test]
    fn hangs_when_asked() {
        while std::env::var_os("FIXTURE_HANG").is_some() {
            std::thread::park();
        }
    }
}
