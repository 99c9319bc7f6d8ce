//! What tests need, and what suites cost, on the wire; and where estimates come from.

use crate::invalid::{count, each, label, text};
use crate::limits::{LABEL_BYTES, NEEDS_PER_TEST, WANTS_PER_NEED};
use crate::verdict::{Closed as _, closed};
use crate::{Invalid, v1};
use regatta_domain::{Costs, Micros, Need, Needs, Relation, Source, Want};

/// Reads what a test needs.
///
/// # Errors
/// When there is too much of it, or a resource has no name.
pub fn read(field: &str, needs: Vec<v1::Need>) -> Result<Needs, Invalid> {
    let needs = count(field, needs, NEEDS_PER_TEST)?;
    let read = |need: v1::Need| {
        let wants: Vec<Want> = each("wants", need.wants, WANTS_PER_NEED)?;
        Ok(Need { resource: label(field, need.resource, LABEL_BYTES)?, seats: need.seats, wants })
    };
    Ok(Needs::all(needs.into_iter().map(read).collect::<Result<Vec<_>, Invalid>>()?))
}

impl From<&Need> for v1::Need {
    fn from(need: &Need) -> Self {
        Self {
            resource: need.resource.to_string(),
            seats: need.seats,
            wants: need.wants.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Needs> for v1::Needs {
    fn from(needs: &Needs) -> Self {
        Self { needs: needs.iter().map(Into::into).collect() }
    }
}

impl From<Costs> for v1::Costs {
    fn from(costs: Costs) -> Self {
        let Costs { start, batch, file, group, test } = costs;
        Self { start: start.0, batch: batch.0, file: file.0, group: group.0, test: test.0 }
    }
}

impl From<v1::Costs> for Costs {
    fn from(costs: v1::Costs) -> Self {
        let v1::Costs { start, batch, file, group, test } = costs;
        Self {
            start: Micros(start),
            batch: Micros(batch),
            file: Micros(file),
            group: Micros(group),
            test: Micros(test),
        }
    }
}

impl TryFrom<v1::Want> for Want {
    type Error = Invalid;

    fn try_from(want: v1::Want) -> Result<Self, Invalid> {
        Ok(Self {
            label: label("label", want.label, LABEL_BYTES)?,
            relation: Relation::field("relation", want.relation)?,
            value: text("value", want.value, LABEL_BYTES)?,
        })
    }
}

impl From<&Want> for v1::Want {
    fn from(want: &Want) -> Self {
        Self {
            label: want.label.to_string(),
            relation: v1::Relation::from(want.relation).into(),
            value: want.value.to_string(),
        }
    }
}

closed! {
    Relation as v1::Relation:
    Is = Is,
    IsNot = IsNot,
    AtLeast = AtLeast,
    AtMost = AtMost,
}

closed! {
    Source as v1::EstimateSource:
    Default = Default,
    Suite = Suite,
    File = File,
    Group = Group,
    Imported = Imported,
    Renamed = Renamed,
    Own = Own,
}
