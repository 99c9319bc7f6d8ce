//! Where blobs are kept, as people say it: a directory, or a bucket of an S3-compatible store.
//!
//! This is the one place where a URL becomes a store; what more it takes (an endpoint, a region, credentials) is read from
//! the environment, by the names that the tools around S3 use.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where blobs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// In a bucket, under a prefix (empty for none).
    S3 {
        /// The bucket.
        bucket: String,
        /// What the names of all blobs begin with, without a slash at either end.
        prefix: String,
    },
}

/// Why a URL names no place for blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let no = |why: &str| Err(NoPlace(format!("{why}; write s3://BUCKET/PREFIX, or file:///DIRECTORY")));
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if !is_bucket(bucket) {
                    return no(&format!("`{bucket}` is no name of a bucket"));
                }
                let prefix = prefix.trim_matches('/');
                if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
                    return no(&format!("`{prefix}` is no prefix: its parts have names"));
                }
                if prefix.chars().any(|c| !(c.is_ascii_alphanumeric() || "-_./=+@".contains(c))) {
                    return no(&format!("`{prefix}` is no prefix: letters, digits and -_.=+@ may stand in it"));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Directory(path.into())),
            Some(("file", _)) => no("a file URL has three slashes and an absolute path"),
            Some((scheme, _)) => no(&format!("outputs cannot be kept in `{scheme}:` stores")),
            None => no("this is no URL"),
        }
    }
}

/// What S3 allows, a little wider: some stores allow underscores and capitals.
fn is_bucket(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (3..=63).contains(&name.len()) && name.chars().all(fits) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "{}", directory.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoPlace {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for (text, written) in [
            ("s3://build-outputs", "s3://build-outputs"),
            ("s3://build-outputs/", "s3://build-outputs"),
            ("s3://build-outputs/regatta/ci/", "s3://build-outputs/regatta/ci"),
            ("file:///var/lib/outputs", "/var/lib/outputs"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_names_no_place_says_what_to_write() {
        for (text, why) in [
            ("outputs", "this is no URL"),
            ("gs://outputs/ci", "outputs cannot be kept in `gs:` stores"),
            ("s3://", "`` is no name of a bucket"),
            ("s3:///prefix", "`` is no name of a bucket"),
            ("s3://a b c", "`a b c` is no name of a bucket"),
            ("s3://bucket/a/../b", "`a/../b` is no prefix: its parts have names"),
            ("s3://bucket/a?b", "`a?b` is no prefix"),
            ("file://outputs", "a file URL has three slashes"),
        ] {
            let told = text.parse::<Place>().unwrap_err().to_string();
            assert!(told.starts_with(why), "{text}: {told}");
            assert!(told.ends_with("write s3://BUCKET/PREFIX, or file:///DIRECTORY"), "{told}");
        }
    }
}
