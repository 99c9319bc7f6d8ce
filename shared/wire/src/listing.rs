//! Listed files and tests on the wire, and the digest by which both sides know that they mean the same listing.

use crate::invalid::{count, label, text};
use crate::limits::{NAME_BYTES, PATH_BYTES, TAG_BYTES, TAGS_PER_TEST};
use crate::verdict::Closed as _;
use crate::{Invalid, file_key, v1};
use regatta_domain::Level;
use regatta_domain::listing::{ListedFile, ListedTest};

impl TryFrom<v1::File> for ListedFile {
    type Error = Invalid;

    fn try_from(file: v1::File) -> Result<Self, Invalid> {
        Ok(Self {
            path: label("path", file.path, PATH_BYTES)?,
            key: file_key("key", &file.key)?,
            locator: text("locator", file.locator, PATH_BYTES)?,
        })
    }
}

impl From<&ListedFile> for v1::File {
    fn from(file: &ListedFile) -> Self {
        Self { path: file.path.to_string(), key: file.key.to_string(), locator: file.locator.to_string() }
    }
}

impl TryFrom<v1::ListedTest> for ListedTest {
    type Error = Invalid;

    fn try_from(test: v1::ListedTest) -> Result<Self, Invalid> {
        let tags = count("tags", test.tags, TAGS_PER_TEST)?;
        Ok(Self {
            name: text("name", test.name, NAME_BYTES)?,
            line: test.line,
            group: test.group.map(|group| text("group", group, TAG_BYTES)).transpose()?,
            tags: tags.into_iter().map(|tag| text("tags", tag, TAG_BYTES)).collect::<Result<_, _>>()?,
            level: Level::field("level", test.level)?,
            ignored: test.ignored,
        })
    }
}

impl From<&ListedTest> for v1::ListedTest {
    fn from(test: &ListedTest) -> Self {
        Self {
            name: test.name.to_string(),
            line: test.line,
            group: test.group.as_deref().map(ToOwned::to_owned),
            tags: test.tags.iter().map(ToString::to_string).collect(),
            level: v1::Level::from(test.level).into(),
            ignored: test.ignored,
        }
    }
}

/// The digest of the listing that holds tests of these names: independent of their order, since some frameworks shuffle,
/// and never zero.
#[must_use]
pub fn digest<'a>(names: impl Iterator<Item = &'a str>) -> u64 {
    let mut sum = 1_u64;
    for name in names {
        let hash = blake3::hash(name.as_bytes());
        let head: [u8; 8] = hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes");
        sum = sum.wrapping_add(u64::from_le_bytes(head));
    }
    sum.max(1)
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn a_listing_is_the_same_in_any_order_and_another_with_another_test() {
        assert_eq!(digest(["a", "b"].into_iter()), digest(["b", "a"].into_iter()));
        assert_ne!(digest(["a", "b"].into_iter()), digest(["a", "c"].into_iter()));
        assert_ne!(digest(["a"].into_iter()), digest(["a", "a"].into_iter()));
        assert_eq!(digest([].into_iter()), 1);
    }
}
