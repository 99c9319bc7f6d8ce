//! Names of ours in texts of others. They end in a number, so one may begin like another: `rg_..._1` is not mentioned by `rg_..._17`.

/// Whether `text` mentions `name`.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    places(text, name).next().is_some()
}

/// The text with another name wherever `name` was mentioned.
pub(super) fn renamed(text: &str, name: &str, other: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut from = 0;
    for at in places(text, name) {
        told.push_str(&text[from..at]);
        told.push_str(other);
        from = at + name.len();
    }
    told.push_str(&text[from..]);
    told
}

fn places<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_whole = move |at: usize| !text[at + name.len()..].starts_with(|next: char| next.is_ascii_digit());
    text.match_indices(name).map(|(at, _)| at).filter(move |&at| is_whole(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_mentioned_by_one_that_begins_like_it() {
        assert!(mentions("use `rg_a_1`; x", "rg_a_1") && mentions("DROP DATABASE rg_a_1", "rg_a_1"));
        assert!(!mentions("DROP DATABASE rg_a_17", "rg_a_1"));
        assert_eq!(renamed("rg_a_1.t, rg_a_17.t, `rg_a_1`", "rg_a_1", "rg_a_133"), "rg_a_133.t, rg_a_17.t, `rg_a_133`");
    }
}
