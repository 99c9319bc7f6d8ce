//! What a worker has said and not had acknowledged: kept, in order, until the coordinator calls it durable.
//!
//! In memory up to a bound, beyond it in the spool, and in the spool anyway where there is one, so that it survives the process. Where
//! neither takes more the slots wait, and with them their frameworks. Nothing is ever dropped.

use crate::spool::{At, Hold, Left, Record, Spool, Standing};
use regatta_domain::Token;
use regatta_wire::v1::{Entry, OutputPart, Report, entry};
use std::collections::{BTreeSet, VecDeque};

/// Entries in one report. At about 100 bytes an entry it stays far below the bound of a message.
const ENTRIES_PER_REPORT: usize = 512;

/// Unacknowledged entries that are kept in memory: a second of two slots' trivial tests.
const ENTRIES: usize = 16_384;

/// Unacknowledged output that is kept in memory: 256 attempts at their bound.
const OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// Reports that may wait, wherever they are: what is known of each where it is not in memory is about 100 bytes.
const REPORTS: usize = 262_144;

/// Bytes in one part of an attempt's output.
const PART_BYTES: usize = 64 * 1024;

/// What is said and not acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    next_seq: u64,
    /// Up to this report everything was acknowledged.
    acked: u64,
    /// Not in a report yet.
    fresh: Vec<Said>,
    /// Reported, in order of their numbers.
    reported: VecDeque<Reported>,
    /// How many of them were given to the present stream.
    sent: usize,
    /// What of all that is in memory.
    entries: usize,
    output_bytes: usize,
    spool: Option<Spool>,
    /// It took nothing when it was asked last.
    spool_refuses: bool,
    /// Up to this report an earlier process made them.
    inherited: u64,
}

/// One thing said, with the output that goes before it.
#[derive(Debug)]
struct Said {
    token: Option<Token>,
    entry: entry::Entry,
    output: Vec<u8>,
}

/// A report, and what it takes to send it again.
#[derive(Debug)]
struct Reported {
    seq: u64,
    tokens: BTreeSet<Token>,
    /// What it says, unless that is only in the spool.
    body: Option<Body>,
    /// Where it is in the spool, if it is.
    at: Option<At>,
}

#[derive(Debug)]
struct Body {
    report: Report,
    parts: Vec<OutputPart>,
}

impl Outbox {
    /// One that goes on from what an earlier process of the worker left in its spool.
    pub(crate) fn with_spool(spool: Spool, left: &Left) -> Self {
        let reported = |(at, record): &(At, Record)| {
            let tokens = record.report.entries.iter().filter_map(|entry| token_of(entry.entry.as_ref()?)).collect();
            Reported { seq: record.report.seq, tokens, body: None, at: Some(*at) }
        };
        let reported: VecDeque<Reported> = left.reports.iter().map(reported).collect();
        Self { next_seq: left.last, inherited: left.last, reported, spool: Some(spool), ..Self::default() }
    }

    /// Says something. `output` is sent before it.
    pub(crate) fn say(&mut self, token: Option<Token>, entry: entry::Entry, output: Vec<u8>) {
        self.entries += 1;
        self.output_bytes += output.len();
        self.fresh.push(Said { token, entry, output });
    }

    /// Whether the slots have to wait.
    pub(crate) fn is_full(&self) -> bool {
        let spills = self.spool.is_some() && !self.spool_refuses && self.reported.len() < REPORTS;
        self.memory_is_full() && !spills
    }

    const fn memory_is_full(&self) -> bool {
        self.entries >= ENTRIES || self.output_bytes >= OUTPUT_BYTES
    }

    /// Whether there is enough for a report of its own, or something to be fetched from the spool and sent.
    pub(crate) fn has_batch(&self) -> bool {
        self.fresh.len() >= ENTRIES_PER_REPORT || (self.sent < self.reported.len() && self.may_send())
    }

    /// Whether something was said that is in no report yet.
    pub(crate) const fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Whether everything was acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.reported.is_empty()
    }

    /// Whether how the worker stands is kept with each report.
    pub(crate) const fn spools(&self) -> bool {
        self.spool.is_some()
    }

    /// The leases of which something is unacknowledged.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> + '_ {
        let fresh = self.fresh.iter().filter_map(|said| said.token);
        fresh.chain(self.reported.iter().flat_map(|reported| reported.tokens.iter().copied()))
    }

    /// Puts what is fresh into reports, while the slots hold this.
    pub(crate) fn seal(&mut self, holds: Vec<Hold>) {
        let standing = Standing { acked: self.acked, holds };
        while self.has_fresh() {
            let rest = self.fresh.split_off(self.fresh.len().min(ENTRIES_PER_REPORT));
            let batch = std::mem::replace(&mut self.fresh, rest);
            self.report(batch, &standing);
        }
    }

    /// Seals, and gives the messages to send.
    pub(crate) fn flush(&mut self, holds: Vec<Hold>) -> Vec<Message> {
        self.seal(holds);
        let mut messages = Vec::new();
        while self.sent < self.reported.len() && self.may_send() {
            self.fetch(self.sent);
            messages.extend(self.reported[self.sent].body.iter().flat_map(Body::messages));
            self.sent += 1;
        }
        messages
    }

    /// Everything that is unacknowledged, once more, for a new connection.
    pub(crate) fn again(&mut self, holds: Vec<Hold>) -> Vec<Message> {
        self.sent = 0;
        self.flush(holds)
    }

    /// The coordinator calls a report durable, and with it all before.
    pub(crate) fn acknowledge(&mut self, seq: u64) {
        while self.reported.front().is_some_and(|reported| reported.seq <= seq) {
            let Some(reported) = self.reported.pop_front() else { break };
            self.sent = self.sent.saturating_sub(1);
            self.acked = reported.seq;
            if let Some(body) = reported.body {
                self.entries -= body.report.entries.len();
                self.output_bytes -= body.output_bytes();
            }
        }
        if let Some(spool) = &mut self.spool {
            spool.forget(self.acked);
        }
    }

    /// Everything was acknowledged and nothing is held: nothing has to survive.
    pub(crate) fn close(&mut self) {
        if let Some(spool) = self.spool.take_if(|_| self.fresh.is_empty() && self.reported.is_empty()) {
            spool.remove();
        }
    }

    /// Whether the next report may be sent: it is in memory, or there is room for it. One is fetched in any case when nothing is under
    /// way, or what waits behind it would keep it out for ever.
    fn may_send(&self) -> bool {
        let in_memory = self.reported.get(self.sent).is_some_and(|next| next.body.is_some());
        in_memory || self.sent == 0 || !self.memory_is_full()
    }

    /// Fetches a report from the spool, if it is only there.
    fn fetch(&mut self, at: usize) {
        let reported = &mut self.reported[at];
        let (None, Some(place), Some(spool)) = (&reported.body, reported.at, &self.spool) else { return };
        let (mut report, parts) = match spool.read_at(place) {
            Ok(record) => (record.report, record.parts),
            Err(error) => {
                // What is not told is not finished, and goes back with its lease.
                tracing::error!(%error, seq = reported.seq, "what was told cannot be read back from the spool; it runs again");
                (Report { seq: reported.seq, entries: Vec::new() }, Vec::new())
            }
        };
        if reported.seq <= self.inherited {
            // An earlier process was leaving; this one is not.
            report.entries.retain(|entry| !matches!(entry.entry, Some(entry::Entry::Draining(_))));
        }
        let body = Body { report, parts };
        self.entries += body.report.entries.len();
        self.output_bytes += body.output_bytes();
        reported.body = Some(body);
    }

    fn report(&mut self, batch: Vec<Said>, standing: &Standing) {
        let had_room = self.entries - batch.len() < ENTRIES && self.output_bytes < OUTPUT_BYTES;
        let before = batch.len();
        let batch = without_finished_starts(batch);
        self.entries -= before - batch.len();
        self.next_seq += 1;
        let tokens = batch.iter().filter_map(|said| said.token).collect();
        let mut parts = Vec::new();
        let mut entries = Vec::with_capacity(batch.len());
        for said in batch {
            // What belongs to no result is not sent.
            let of_result = matches!(&said.entry, entry::Entry::Finished(finished) if finished.result.is_some());
            if !of_result {
                self.output_bytes -= said.output.len();
            }
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
        let body = Body { report: Report { seq: self.next_seq, entries }, parts };
        let at = self.spool(&body, standing);
        let mut reported = Reported { seq: self.next_seq, tokens, body: Some(body), at };
        // Behind what waits on disk it would only take the room that is needed to fetch that.
        let is_behind = self.reported.back().is_some_and(|last| last.body.is_none());
        if at.is_some()
            && (is_behind || !had_room)
            && let Some(body) = reported.body.take()
        {
            self.entries -= body.report.entries.len();
            self.output_bytes -= body.output_bytes();
        }
        self.reported.push_back(reported);
    }

    /// Writes a report down, where there is a spool that takes it. One that does not is said once.
    fn spool(&mut self, body: &Body, standing: &Standing) -> Option<At> {
        let spool = self.spool.as_mut()?;
        match spool.write(standing, &body.report, &body.parts) {
            Ok(at) => {
                if std::mem::take(&mut self.spool_refuses) {
                    tracing::info!("the spool takes results again");
                }
                Some(at)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.spool_refuses, true) {
                    tracing::error!(
                        directory = %spool.directory().display(), %error,
                        "the spool takes no results: what is not acknowledged is kept in memory alone, and beyond that slots wait"
                    );
                }
                None
            }
        }
    }
}

impl Body {
    fn messages(&self) -> impl Iterator<Item = Message> + use<> {
        let parts: Vec<Message> = self.parts.iter().cloned().map(Message::Output).collect();
        parts.into_iter().chain([Message::Report(self.report.clone())])
    }

    fn output_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.data.len()).sum()
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

/// The lease that something is said of.
const fn token_of(entry: &entry::Entry) -> Option<Token> {
    use entry::Entry as Said;
    Some(Token(match entry {
        Said::Discovered(said) => said.token,
        Said::Listed(said) => said.token,
        Said::Erred(said) => said.token,
        Said::Started(said) => said.token,
        Said::Finished(said) => said.token,
        Said::GaveBack(said) => said.token,
        Said::Released(said) => said.token,
        Said::Lost(said) => said.token,
        Said::Closed(_) | Said::Draining(_) => return None,
    }))
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
        assert_eq!(reports(&outbox.flush(Vec::new())), [(1, 1)]);
        outbox.say(Some(Token(2)), entry::Entry::Released(Released { token: 2 }), Vec::new());
        let again = outbox.again(Vec::new());
        assert!(matches!(&again[0], Message::Output(part) if part.data == b"why"));
        assert_eq!(reports(&again), [(1, 1), (2, 1)]);
        assert_eq!(outbox.tokens().collect::<Vec<_>>(), [Token(1), Token(2)]);
        outbox.acknowledge(1);
        assert_eq!(reports(&outbox.again(Vec::new())), [(2, 1)]);
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
        assert_eq!(reports(&outbox.flush(Vec::new())), [(1, 2)]);
        assert_eq!(outbox.entries, 2);
    }

    #[test]
    fn a_full_outbox_says_so() {
        let mut outbox = Outbox::default();
        for test in 0..ENTRIES {
            outbox.say(Some(Token(1)), finished(u32::try_from(test).expect("small")), Vec::new());
        }
        assert!(outbox.is_full());
        let last = reports(&outbox.flush(Vec::new())).last().expect("reports").0;
        outbox.acknowledge(last);
        assert!(!outbox.is_full());
    }

    fn spooled(directory: &std::path::Path, limit: u64) -> (Outbox, Left) {
        let place = crate::spool::SpoolPlace::At(directory.to_owned());
        let worker = regatta_domain::WorkerId::from_bits(1);
        let (spool, left) = Spool::open(&place, limit, worker).unwrap().unwrap();
        (Outbox::with_spool(spool, &left), left)
    }

    #[test]
    fn what_does_not_fit_into_memory_waits_on_disk_and_is_sent_in_order() {
        let place = tempfile::tempdir().unwrap();
        let (mut outbox, _) = spooled(place.path(), 1 << 30);
        let most = u32::try_from(ENTRIES).unwrap();
        for test in 0..3 * most {
            outbox.say(Some(Token(1)), finished(test), Vec::new());
            if test % 512 == 511 {
                outbox.seal(Vec::new());
            }
            assert!(!outbox.is_full(), "the spool takes it");
        }
        assert!(outbox.entries <= ENTRIES + ENTRIES_PER_REPORT, "{} entries are in memory", outbox.entries);
        let (mut next, mut told) = (1, 0);
        while !outbox.is_empty() {
            assert!(outbox.has_batch());
            for (seq, entries) in reports(&outbox.flush(Vec::new())) {
                assert_eq!(seq, next, "in order");
                (next, told) = (next + 1, told + entries);
            }
            assert!(outbox.entries <= ENTRIES + ENTRIES_PER_REPORT, "{} entries are in memory", outbox.entries);
            outbox.acknowledge(next - 1);
        }
        assert_eq!((told, outbox.entries, outbox.output_bytes), (3 * ENTRIES, 0, 0));
    }

    #[test]
    fn a_spool_that_takes_nothing_leaves_the_bound_of_memory() {
        let place = tempfile::tempdir().unwrap();
        let (mut outbox, _) = spooled(place.path(), 64 * 1024);
        for test in 0..u32::try_from(2 * ENTRIES).unwrap() {
            if outbox.is_full() {
                break;
            }
            outbox.say(Some(Token(1)), finished(test), Vec::new());
            if test % 512 == 511 {
                outbox.seal(Vec::new());
            }
        }
        assert!(outbox.is_full() && outbox.entries <= ENTRIES + ENTRIES_PER_REPORT, "{} entries", outbox.entries);
        let last = reports(&outbox.again(Vec::new())).last().expect("all of it is in memory").0;
        outbox.acknowledge(last);
        assert!(outbox.is_empty() && !outbox.is_full());
    }

    #[test]
    fn another_process_says_what_the_first_had_not_acknowledged_and_is_not_leaving() {
        let place = tempfile::tempdir().unwrap();
        let (mut outbox, _) = spooled(place.path(), 1 << 30);
        outbox.say(Some(Token(1)), finished(0), b"why".to_vec());
        outbox.flush(Vec::new());
        outbox.say(Some(Token(2)), entry::Entry::Released(Released { token: 2 }), Vec::new());
        outbox.say(None, entry::Entry::Draining(regatta_wire::v1::Draining {}), Vec::new());
        outbox.acknowledge(1);
        outbox.flush(vec![Hold { token: 3, running: Some((7, 1)) }]);
        drop(outbox);

        let (mut outbox, left) = spooled(place.path(), 1 << 30);
        assert_eq!(left.holds, [Hold { token: 3, running: Some((7, 1)) }]);
        assert_eq!(outbox.tokens().collect::<Vec<_>>(), [Token(2)]);
        outbox.say(Some(Token(3)), entry::Entry::Released(Released { token: 3 }), Vec::new());
        assert_eq!(reports(&outbox.again(Vec::new())), [(2, 1), (3, 1)]);
        outbox.acknowledge(3);
        outbox.close();
        let (outbox, left) = spooled(place.path(), 1 << 30);
        assert!(outbox.is_empty() && left.last == 0, "nothing had to survive: {left:?}");
    }
}
