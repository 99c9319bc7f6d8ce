//! What a test is told of the resources that its shard holds.

use super::Holding;
use regatta_domain::Token;
use std::collections::BTreeMap;

/// The variables that tell of `holds` and their fencing token. The error says which two things would have the same one.
pub(super) fn variables(token: Token, holds: &[Holding]) -> Result<Vec<(String, String)>, String> {
    let mut told = Told::default();
    told.say("REGATTA_TOKEN".to_owned(), token.to_string(), "the lease".to_owned())?;
    let mut whole: BTreeMap<&str, Holding> = BTreeMap::new();
    for hold in holds {
        // Items under other conditions are a need of their own, and the same resource.
        let of = whole.entry(&hold.resource).or_default();
        of.seats = of.seats.saturating_add(hold.seats);
        of.items.extend(hold.items.iter().cloned());
    }
    for (name, hold) in whole {
        told.resource(token, name, &hold)?;
    }
    Ok(told.variables.into_iter().map(|(name, (value, _))| (name, value)).collect())
}

/// Variables, and where each comes from.
#[derive(Default)]
struct Told {
    variables: BTreeMap<String, (String, String)>,
}

impl Told {
    fn say(&mut self, name: String, value: String, origin: String) -> Result<(), String> {
        if value.contains('\0') {
            return Err(format!("{origin} holds a NUL byte, which no environment can hold"));
        }
        match self.variables.get(&name) {
            Some((_, other)) => {
                Err(format!("{other} and {origin} become the same variable, {name}: rename one of them"))
            }
            None => {
                self.variables.insert(name, (value, origin));
                Ok(())
            }
        }
    }

    fn resource(&mut self, token: Token, name: &str, hold: &Holding) -> Result<(), String> {
        let stem = format!("REGATTA_RESOURCE_{}", upper(name));
        let own = || format!("the resource `{name}`");
        self.say(format!("{stem}_TOKEN"), token.to_string(), own())?;
        self.say(format!("{stem}_SEATS"), hold.seats.to_string(), own())?;
        if hold.items.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = hold.items.iter().map(|item| &*item.name).collect();
        self.say(stem.clone(), names.join(","), own())?;
        for (at, item) in hold.items.iter().enumerate() {
            for (value_name, value) in &item.values {
                let origin = || format!("the value `{value_name}` of the item `{}` of `{name}`", item.name);
                let value_stem = upper(value_name);
                if at == 0 {
                    self.say(format!("{stem}_{value_stem}"), value.to_string(), origin())?;
                }
                self.say(format!("{stem}_{}_{value_stem}", at + 1), value.to_string(), origin())?;
            }
        }
        Ok(())
    }
}

/// A name as a part of a variable's: upper case, and `_` for everything but letters and digits.
fn upper(name: &str) -> String {
    name.chars().map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::HeldItem;

    fn hold(resource: &str, seats: u32, items: &[(&str, &[(&str, &str)])]) -> Holding {
        let item = |(name, values): &(&str, &[(&str, &str)])| HeldItem {
            name: (*name).into(),
            values: values.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        };
        Holding { resource: resource.into(), seats, items: items.iter().map(item).collect() }
    }

    fn check(holds: &[Holding], expected: Result<&[&str], &str>) {
        match (variables(Token(7), holds), expected) {
            (Ok(told), Ok(expected)) => {
                let told: Vec<String> = told.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                let expected: Vec<String> = expected.iter().map(|&line| line.to_owned()).collect();
                assert_eq!(told, expected);
            }
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (told, expected) => panic!("{told:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_test_is_told_its_token_its_seats_and_the_values_of_its_items() {
        check(&[], Ok(&["REGATTA_TOKEN=7"]));
        let seats = ["REGATTA_RESOURCE_PAY_API_SEATS=2", "REGATTA_RESOURCE_PAY_API_TOKEN=7", "REGATTA_TOKEN=7"];
        check(&[hold("pay-api", 2, &[])], Ok(&seats));
        let phones: [(&str, &[(&str, &str)]); 2] =
            [("ada", &[("serial", "A1"), ("adb-port", "5037")]), ("bob", &[("serial", "B2")])];
        check(
            &[hold("phone", 1, &phones[..1]), hold("phone", 1, &phones[1..])],
            Ok(&[
                "REGATTA_RESOURCE_PHONE=ada,bob",
                "REGATTA_RESOURCE_PHONE_1_ADB_PORT=5037",
                "REGATTA_RESOURCE_PHONE_1_SERIAL=A1",
                "REGATTA_RESOURCE_PHONE_2_SERIAL=B2",
                "REGATTA_RESOURCE_PHONE_ADB_PORT=5037",
                "REGATTA_RESOURCE_PHONE_SEATS=2",
                "REGATTA_RESOURCE_PHONE_SERIAL=A1",
                "REGATTA_RESOURCE_PHONE_TOKEN=7",
                "REGATTA_TOKEN=7",
            ]),
        );
    }

    #[test]
    fn two_things_with_the_same_variable_are_refused() {
        let both = [hold("pay-api", 1, &[]), hold("pay.api", 1, &[])];
        check(
            &both,
            Err("`pay-api` and the resource `pay.api` become the same variable, REGATTA_RESOURCE_PAY_API_TOKEN"),
        );
        check(&[hold("a", 1, &[("x", &[("token", "t")])])], Err("REGATTA_RESOURCE_A_TOKEN"));
        check(&[hold("a", 1, &[("x", &[("b c", "1"), ("b_c", "2")])])], Err("REGATTA_RESOURCE_A_B_C"));
        check(&[hold("a", 1, &[("x", &[("b", "1\0")])])], Err("NUL"));
    }
}
