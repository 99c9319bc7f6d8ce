//! What tests need, and what suites cost, on the wire; and where estimates come from.

use crate::invalid::{count, label};
use crate::limits::{LABEL_BYTES, NEEDS_PER_TEST};
use crate::verdict::closed;
use crate::{Invalid, v1};
use regatta_domain::{Costs, Micros, Need, Needs, Source};

/// Reads what a test needs.
///
/// # Errors
/// When there is too much of it, or a resource has no name.
pub fn read(field: &str, needs: Vec<v1::Need>) -> Result<Needs, Invalid> {
    let needs = count(field, needs, NEEDS_PER_TEST)?;
    let read = |need: v1::Need| Ok(Need { resource: label(field, need.resource, LABEL_BYTES)?, seats: need.seats });
    Ok(Needs::all(needs.into_iter().map(read).collect::<Result<Vec<_>, Invalid>>()?))
}

impl From<&Need> for v1::Need {
    fn from(need: &Need) -> Self {
        Self { resource: need.resource.to_string(), seats: need.seats }
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
