//! How lists are kept in the caches: the files of a suite, the tests of a file.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The first byte of a cached list. A cache of another format is as good as none.
const VERSION: u8 = 1;

/// A list as a cache keeps it.
pub(super) fn cached<T: Serialize + ?Sized>(list: &T) -> Vec<u8> {
    postcard::to_extend(list, vec![VERSION]).expect("lists are plain values, and a vector takes any length")
}

/// A list as a cache kept it; what does not decode is as good as forgotten.
pub(super) fn uncached<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (&VERSION, rest) = bytes.split_first()? else { return None };
    postcard::from_bytes(rest).ok()
}
