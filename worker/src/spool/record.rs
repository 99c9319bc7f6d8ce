//! One record of a spool: a report with the outputs that belong to it, and how the worker stood when it was made.
//!
//! On disk: the length of the body, a checksum of it, and the body. What does not agree with its checksum was torn or damaged, and
//! nothing after it is read.

use prost::Message as _;
use regatta_wire::v1::{OutputPart, Report};
use serde::{Deserialize, Serialize};

/// The bytes before a body: its length, and its checksum.
pub(super) const FRAME: usize = 4 + 8;

/// A body may be so long: a report of 512 entries, the largest of which is the listing of a file, and its outputs. Beyond it a length
/// is damage.
const BODY: usize = 256 * 1024 * 1024;

/// How a worker stood when a report was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Everything up to this report was acknowledged.
    pub(crate) acked: u64,
    /// The leases that its slots held, in order.
    pub(crate) holds: Vec<Hold>,
}

/// A lease that a slot held, and the test (and its attempt) that ran under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub(crate) token: u64,
    pub(crate) running: Option<(u32, u16)>,
}

/// What a record begins with.
#[derive(Serialize, Deserialize)]
struct Head {
    standing: Standing,
    parts: u32,
}

/// A record, as it is read back.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) standing: Standing,
    pub(crate) report: Report,
    pub(crate) parts: Vec<OutputPart>,
}

/// Writes a record behind what is in `to`.
pub(super) fn encode(standing: &Standing, report: &Report, parts: &[OutputPart], to: &mut Vec<u8>) {
    let begin = to.len();
    to.extend_from_slice(&[0; FRAME]);
    let head = Head { standing: standing.clone(), parts: u32::try_from(parts.len()).unwrap_or(u32::MAX) };
    *to = postcard::to_extend(&head, std::mem::take(to)).expect("memory takes everything");
    for part in parts {
        part.encode_length_delimited(to).expect("memory takes everything");
    }
    report.encode_length_delimited(to).expect("memory takes everything");
    let length = u32::try_from(to.len() - begin - FRAME).expect("a report is far below 4 GiB");
    let sum = checksum(&to[begin + FRAME..]);
    to[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    to[begin + 4..begin + FRAME].copy_from_slice(&sum);
}

/// How long the body of a record is, and its checksum, by its frame. `None` where it makes no sense.
pub(super) fn frame(bytes: &[u8]) -> Option<(usize, [u8; 8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|&length| (1..=BODY).contains(&length))?;
    Some((length, *rest.first_chunk::<8>()?))
}

/// Reads a body. `None` where it does not agree with its checksum, or makes no sense.
pub(super) fn decode(body: &[u8], sum: [u8; 8]) -> Option<Record> {
    if checksum(body) != sum {
        return None;
    }
    let (head, mut rest): (Head, &[u8]) = postcard::take_from_bytes(body).ok()?;
    let mut parts = Vec::new();
    for _ in 0..head.parts {
        parts.push(OutputPart::decode_length_delimited(&mut rest).ok()?);
    }
    let report = Report::decode_length_delimited(&mut rest).ok()?;
    rest.is_empty().then_some(Record { standing: head.standing, report, parts })
}

fn checksum(body: &[u8]) -> [u8; 8] {
    *blake3::hash(body).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_wire::v1::{Entry, Released, entry};

    fn bytes() -> (Record, Vec<u8>) {
        let hold = Hold { token: 7, running: Some((3, 1)) };
        let released = Entry { entry: Some(entry::Entry::Released(Released { token: 9 })) };
        let part = OutputPart { token: 9, test: 1, attempt: 1, data: b"out".to_vec() };
        let record = Record {
            standing: Standing { acked: 4, holds: vec![hold] },
            report: Report { seq: 5, entries: vec![released] },
            parts: vec![part],
        };
        let mut bytes = Vec::new();
        encode(&record.standing, &record.report, &record.parts, &mut bytes);
        (record, bytes)
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let (record, bytes) = bytes();
        let (length, sum) = frame(&bytes).unwrap();
        assert_eq!(bytes.len(), FRAME + length);
        assert_eq!(decode(&bytes[FRAME..], sum), Some(record));
    }

    #[test]
    fn no_bit_of_a_record_can_change_unseen() {
        let (_, bytes) = bytes();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = frame(&damaged).and_then(|(length, sum)| decode(damaged.get(FRAME..FRAME + length)?, sum));
            assert_eq!(read, None, "bit {bit}");
        }
    }
}
