//! The events of a run on the wire: what makes one of the parts that are lists.

use crate::v1::{self, run_event::Event};
use regatta_domain::Time;

impl v1::RunEvent {
    /// An event of the record: the `seq`th of its run.
    #[must_use]
    pub const fn recorded(seq: u64, at: Time, event: Event) -> Self {
        Self { seq, at: at.0, event: Some(event) }
    }

    /// An event that is told to whoever watches now, and kept nowhere.
    #[must_use]
    pub const fn fleeting(at: Time, event: Event) -> Self {
        Self::recorded(0, at, event)
    }

    /// Whether the run ended with it. What may be recorded after it, of results that came too late, changes nothing.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self.event, Some(Event::RunEnded(_)))
    }
}
