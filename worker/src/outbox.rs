//! What a worker has said and not had acknowledged: kept, in order, until the coordinator calls it durable.
//!
//! Bounded: when it is full the slots wait, and with them their frameworks. Nothing is ever dropped.

use regatta_domain::Token;
use regatta_wire::v1::{Entry, OutputPart, Report, entry};
use std::collections::{BTreeSet, VecDeque};

/// Entries in one report. At about 100 bytes an entry it stays far below the bound of a message.
const ENTRIES_PER_REPORT: usize = 512;

/// Unacknowledged entries at which the slots wait: a second of two slots' trivial tests.
const ENTRIES: usize = 16_384;

/// Unacknowledged output at which the slots wait: 256 attempts at their bound.
const OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes in one part of an attempt's output.
const PART_BYTES: usize = 64 * 1024;

/// What is said and not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    next_seq: u64,
    /// Not in a report yet.
    fresh: Vec<Said>,
    /// Reported, in order of their numbers.
    reported: VecDeque<Reported>,
    entries: usize,
    output_bytes: usize,
}

/// One thing said, with the output that goes before it.
#[derive(Debug)]
struct Said {
    token: Option<Token>,
    entry: entry::Entry,
    output: Vec<u8>,
}

/// A report that was sent, and what it takes to send it again.
#[derive(Debug)]
struct Reported {
    report: Report,
    parts: Vec<OutputPart>,
    tokens: BTreeSet<Token>,
    output_bytes: usize,
}

impl Outbox {
    /// Says something. `output` is sent before it.
    pub(crate) fn say(&mut self, token: Option<Token>, entry: entry::Entry, output: Vec<u8>) {
        self.entries += 1;
        self.output_bytes += output.len();
        self.fresh.push(Said { token, entry, output });
    }

    /// Whether the slots have to wait.
    pub(crate) const fn is_full(&self) -> bool {
        self.entries >= ENTRIES || self.output_bytes >= OUTPUT_BYTES
    }

    /// Whether there is enough for a report of its own.
    pub(crate) const fn has_batch(&self) -> bool {
        self.fresh.len() >= ENTRIES_PER_REPORT
    }

    /// Whether something was said that is in no report yet.
    pub(crate) const fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Whether everything was acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.reported.is_empty()
    }

    /// The leases of which something is unacknowledged.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        let fresh = self.fresh.iter().filter_map(|said| said.token);
        fresh.chain(self.reported.iter().flat_map(|reported| reported.tokens.iter().copied()))
    }

    /// Puts what is fresh into reports, and gives the messages to send.
    pub(crate) fn flush(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while self.has_fresh() {
            let rest = self.fresh.split_off(self.fresh.len().min(ENTRIES_PER_REPORT));
            let batch = std::mem::replace(&mut self.fresh, rest);
            let reported = self.report(batch);
            messages.extend(reported.messages());
            self.reported.push_back(reported);
        }
        messages
    }

    /// Everything that is unacknowledged, once more, for a new connection.
    pub(crate) fn again(&mut self) -> Vec<Message> {
        let mut messages: Vec<Message> = self.reported.iter().flat_map(Reported::messages).collect();
        messages.extend(self.flush());
        messages
    }

    /// The coordinator calls a report durable, and with it all before.
    pub(crate) fn acknowledge(&mut self, seq: u64) {
        while self.reported.front().is_some_and(|reported| reported.report.seq <= seq) {
            let Some(reported) = self.reported.pop_front() else { return };
            self.entries -= reported.report.entries.len();
            self.output_bytes -= reported.output_bytes;
        }
    }

    fn report(&mut self, batch: Vec<Said>) -> Reported {
        let before = batch.len();
        let batch = without_finished_starts(batch);
        self.entries -= before - batch.len();
        self.next_seq += 1;
        let tokens = batch.iter().filter_map(|said| said.token).collect();
        let output_bytes = batch.iter().map(|said| said.output.len()).sum();
        let mut parts = Vec::new();
        let mut entries = Vec::with_capacity(batch.len());
        for said in batch {
            if let entry::Entry::Finished(finished) = &said.entry
                && let Some(result) = &finished.result
            {
                parts.extend(said.output.chunks(PART_BYTES).map(|data| OutputPart {
                    token: finished.token,
                    test: result.test,
                    attempt: result.attempt,
                    data: data.to_vec(),
                }));
            }
            entries.push(Entry { entry: Some(said.entry) });
        }
        Reported { report: Report { seq: self.next_seq, entries }, parts, tokens, output_bytes }
    }
}

/// A message to send: output goes before the report that it belongs to.
#[derive(Debug)]
pub(crate) enum Message {
    /// A part of an attempt's output.
    Output(OutputPart),
    /// A report.
    Report(Report),
}

impl Reported {
    fn messages(&self) -> impl Iterator<Item = Message> + use<> {
        let parts: Vec<Message> = self.parts.iter().cloned().map(Message::Output).collect();
        parts.into_iter().chain([Message::Report(self.report.clone())])
    }
}

/// That a test began is news only while it runs.
fn without_finished_starts(batch: Vec<Said>) -> Vec<Said> {
    let ended: BTreeSet<(u64, u32)> = batch
        .iter()
        .filter_map(|said| match &said.entry {
            entry::Entry::Finished(finished) => finished.result.as_ref().map(|result| (finished.token, result.test)),
            _ => None,
        })
        .collect();
    let is_news = |said: &Said| match &said.entry {
        entry::Entry::Started(started) => !ended.contains(&(started.token, started.test)),
        _ => true,
    };
    batch.into_iter().filter(is_news).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_wire::v1::{Finished, Released, Started, TestResult};

    fn started(test: u32) -> entry::Entry {
        entry::Entry::Started(Started { token: 1, test, attempt: 1 })
    }

    fn finished(test: u32) -> entry::Entry {
        let result = Some(TestResult { test, attempt: 1, ..TestResult::default() });
        entry::Entry::Finished(Finished { token: 1, result })
    }

    fn reports(messages: &[Message]) -> Vec<(u64, usize)> {
        messages
            .iter()
            .filter_map(|message| match message {
                Message::Report(report) => Some((report.seq, report.entries.len())),
                Message::Output(_) => None,
            })
            .collect()
    }

    #[test]
    fn what_is_not_acknowledged_is_said_again() {
        let mut outbox = Outbox::default();
        outbox.say(Some(Token(1)), finished(0), b"why".to_vec());
        assert_eq!(reports(&outbox.flush()), [(1, 1)]);
        outbox.say(Some(Token(2)), entry::Entry::Released(Released { token: 2 }), Vec::new());
        let again = outbox.again();
        assert!(matches!(&again[0], Message::Output(part) if part.data == b"why"));
        assert_eq!(reports(&again), [(1, 1), (2, 1)]);
        assert_eq!(outbox.tokens().collect::<Vec<_>>(), [Token(1), Token(2)]);
        outbox.acknowledge(1);
        assert_eq!(reports(&outbox.again()), [(2, 1)]);
        outbox.acknowledge(2);
        assert!(outbox.is_empty());
        assert_eq!((outbox.entries, outbox.output_bytes), (0, 0));
    }

    #[test]
    fn the_start_of_a_test_that_ended_is_no_news() {
        let mut outbox = Outbox::default();
        for entry in [started(0), finished(0), started(1)] {
            outbox.say(Some(Token(1)), entry, Vec::new());
        }
        assert_eq!(reports(&outbox.flush()), [(1, 2)]);
        assert_eq!(outbox.entries, 2);
    }

    #[test]
    fn a_full_outbox_says_so() {
        let mut outbox = Outbox::default();
        for test in 0..ENTRIES {
            outbox.say(Some(Token(1)), finished(u32::try_from(test).expect("small")), Vec::new());
        }
        assert!(outbox.is_full());
        let last = reports(&outbox.flush()).last().expect("reports").0;
        outbox.acknowledge(last);
        assert!(!outbox.is_full());
    }
}
