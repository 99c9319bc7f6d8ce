//! What a hook that prepares may say on its standard output: the process that it left running, and the items that it made.
//! The contract is that of Buck2's local resources.

use regatta_domain::Item;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a hook that prepares said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Provided {
    /// The process that is to be stopped at the end.
    #[serde(default)]
    pub(crate) pid: Option<i32>,
    /// The items: of each, its values by name.
    #[serde(default)]
    resources: Vec<BTreeMap<Arc<str>, Arc<str>>>,
}

impl Provided {
    /// Reads what was printed. What is no JSON object is talk for people, and nothing is provided.
    ///
    /// # Errors
    /// When it begins like an object and is not as the contract wants it.
    pub(crate) fn read(printed: &[u8]) -> Result<Self, String> {
        let printed = printed.trim_ascii();
        if printed.first() != Some(&b'{') {
            return Ok(Self::default());
        }
        let told = |error: &dyn std::fmt::Display| {
            format!(
                "what it printed begins like JSON, and is not {{\"pid\": <optional>, \"resources\": [{{\"NAME\": \"value\"}}]}}: \
                 {error}"
            )
        };
        let provided: Self = serde_json::from_slice(printed).map_err(|error| told(&error))?;
        match provided.pid {
            // Signals to 0 or below would reach whole groups, to 1 the system.
            Some(pid) if pid <= 1 => Err(told(&format!("{pid} is no process"))),
            _ => Ok(provided),
        }
    }

    /// The items of the pool, named by their position.
    pub(crate) fn into_items(self) -> Vec<Item> {
        let item = |(at, values): (usize, BTreeMap<Arc<str>, Arc<str>>)| Item {
            name: at.to_string().into(),
            labels: BTreeMap::new(),
            values,
        };
        self.resources.into_iter().enumerate().map(item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_is_an_item_named_by_its_position() {
        let printed = br#" {"pid": 42, "resources": [{"PORT": "1", "HOST": "a"}, {"PORT": "2"}]} "#;
        let provided = Provided::read(printed).unwrap();
        assert_eq!(provided.pid, Some(42));
        let items = provided.into_items();
        assert_eq!(items.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["0", "1"]);
        assert_eq!((&*items[0].values["HOST"], &*items[1].values["PORT"]), ("a", "2"));
    }

    #[test]
    fn talk_is_no_contract_and_a_broken_one_is_said_to_be_so() {
        assert_eq!(Provided::read(b"booting emulator\n"), Ok(Provided::default()));
        assert_eq!(Provided::read(b""), Ok(Provided::default()));
        for wrong in ["{", r#"{"resources": [{"A": 1}]}"#, r#"{"pid": 0}"#, r#"{"pid": -1}"#] {
            let told = Provided::read(wrong.as_bytes()).unwrap_err();
            assert!(told.contains("begins like JSON"), "{told}");
        }
    }
}
