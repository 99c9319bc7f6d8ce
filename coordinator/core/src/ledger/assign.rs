//! Which items fulfil which needs: each item once.
//!
//! Where several needs want items of one pool under conditions of their own, taking the first that fits could leave a later
//! need without; so this is a matching in a bipartite graph, grown along augmenting paths (Kuhn 1955). Pools have tens of
//! items and tests a few needs, so that its cubic bound is of no concern.

use crate::mutant::{self, Mutant};
use regatta_domain::{Item, Need};
use std::sync::Arc;

/// The names of items that fulfil all needs together, in the order of the needs; `None` where they cannot be.
pub(super) fn assign<'a>(needs: impl Iterator<Item = (&'a Need, u32)>, items: &[&Item]) -> Option<Vec<Arc<str>>> {
    let wanted: Vec<&Need> = needs.flat_map(|(need, seats)| std::iter::repeat_n(need, seats as usize)).collect();
    if wanted.len() > items.len() {
        return None;
    }
    let mut holders: Vec<Option<usize>> = vec![None; items.len()];
    for want in 0..wanted.len() {
        let mut tried = vec![false; items.len()];
        if !augment(want, &wanted, items, &mut holders, &mut tried) {
            return None;
        }
    }
    let mut names: Vec<(usize, Arc<str>)> = Vec::with_capacity(wanted.len());
    names.extend(holders.iter().zip(items).filter_map(|(holder, item)| Some(((*holder)?, Arc::clone(&item.name)))));
    names.sort();
    Some(names.into_iter().map(|(_, name)| name).collect())
}

fn augment(want: usize, wanted: &[&Need], items: &[&Item], holders: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for at in 0..items.len() {
        let fits = wanted[want].fits(items[at]) || mutant::is(Mutant::AnyItemDoes);
        if tried[at] || !fits {
            continue;
        }
        tried[at] = true;
        if holders[at].is_none_or(|holder| augment(holder, wanted, items, holders, tried)) {
            holders[at] = Some(want);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_domain::{Relation, Want};
    use std::collections::BTreeMap;

    fn item(name: &str, os: &str, api: &str) -> Item {
        let labels = BTreeMap::from([("os".into(), os.into()), ("api".into(), api.into())]);
        Item { name: name.into(), labels, values: BTreeMap::new() }
    }

    fn need(wants: &[(&str, Relation, &str)]) -> Need {
        let want = |&(label, relation, value): &(&str, Relation, &str)| Want {
            label: label.into(),
            relation,
            value: value.into(),
        };
        Need { wants: wants.iter().map(want).collect(), ..Need::new("phone", 1) }
    }

    #[test]
    fn a_need_that_would_take_the_only_item_of_another_takes_one_that_is_left() {
        let items = [item("new", "android", "35"), item("old", "android", "30")];
        let items: Vec<&Item> = items.iter().collect();
        let (any, new) = (need(&[("os", Relation::Is, "android")]), need(&[("api", Relation::AtLeast, "34")]));
        let names = |needs: &[(&Need, u32)]| assign(needs.iter().copied(), &items);
        assert_eq!(names(&[(&any, 1), (&new, 1)]), Some(vec!["old".into(), "new".into()]));
        assert_eq!(names(&[(&any, 2)]), Some(vec!["old".into(), "new".into()]));
        assert_eq!(names(&[(&new, 2)]), None);
        assert_eq!(names(&[(&any, 2), (&new, 1)]), None);
    }
}
