//! What workers say and hear: said by hand in the bytes of the protocol, and heard only as far as it matters, so that the
//! workers leave the machine to the coordinator.

use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _, Bytes};
use regatta_wire::v1::{FromWorker, from_worker};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Bytes out, and [`Heard`] in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Words;

impl Codec for Words {
    type Encode = Bytes;
    type Decode = Heard;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Words {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Words {
    type Item = Heard;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Heard>, Status> {
        let whole = from.copy_to_bytes(from.remaining());
        Heard::decode(whole).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// A message of the coordinator, without what these workers have no use for: names, paths, rules.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Heard {
    #[prost(message, optional, tag = "1")]
    pub(crate) attached: Option<Nothing>,
    #[prost(message, optional, tag = "3")]
    pub(crate) grant: Option<Grant>,
    #[prost(message, optional, tag = "4")]
    pub(crate) numbered: Option<Numbered>,
    #[prost(message, optional, tag = "5")]
    pub(crate) steal: Option<Steal>,
    #[prost(message, optional, tag = "7")]
    pub(crate) close: Option<Close>,
    #[prost(message, optional, tag = "8")]
    pub(crate) ack: Option<Ack>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Grant {
    #[prost(uint64, tag = "2")]
    pub(crate) token: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) slot: u32,
    #[prost(message, repeated, tag = "6")]
    pub(crate) files: Vec<File>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct File {
    #[prost(uint32, tag = "1")]
    pub(crate) file: u32,
    #[prost(bool, tag = "6")]
    pub(crate) list: bool,
    #[prost(message, repeated, tag = "7")]
    pub(crate) tests: Vec<Test>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Test {
    #[prost(uint32, tag = "1")]
    pub(crate) test: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) attempt: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Numbered {
    #[prost(uint64, tag = "1")]
    pub(crate) token: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) tests: Vec<Test>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Steal {
    #[prost(uint64, tag = "1")]
    pub(crate) token: u64,
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) tests: Vec<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Close {
    #[prost(string, tag = "1")]
    pub(crate) run: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Ack {
    #[prost(uint64, tag = "1")]
    pub(crate) seq: u64,
}

/// A message that is said once in a while.
pub(crate) fn word(message: from_worker::Message) -> Bytes {
    FromWorker { message: Some(message) }.encode_to_vec().into()
}

/// A report in the making.
#[derive(Debug, Default)]
pub(crate) struct Report {
    entries: Vec<u8>,
    pub(crate) results: usize,
    len: usize,
}

impl Report {
    /// A test ended, and passed.
    pub(crate) fn finished(&mut self, token: u64, Test { test, attempt }: Test, started: u64, duration: u64) {
        // TestResult: test 1, attempt 2, outcome 3, started 5, duration 6.
        let result = [(1, u64::from(test)), (2, u64::from(attempt)), (3, 1), (5, started), (6, duration)];
        let result_len: usize = result.iter().map(|&(_, value)| 1 + len(value)).sum();
        let finished_len = 1 + len(token) + 1 + len(result_len as u64) + result_len;
        let to = &mut self.entries;
        // Report.entries 2, Entry.finished 5, Finished: token 1, result 2.
        head(to, 2, 1 + len(finished_len as u64) + finished_len);
        head(to, 5, finished_len);
        field(to, 1, token);
        head(to, 2, result_len);
        // What is zero is not said in proto3; and read all the same where it is.
        result.iter().for_each(|&(tag, value)| field(to, tag, value));
        self.results += 1;
        self.len += 1;
    }

    /// Anything else.
    pub(crate) fn entry(&mut self, entry: regatta_wire::v1::entry::Entry) {
        let entry = regatta_wire::v1::Entry { entry: Some(entry) }.encode_to_vec();
        head(&mut self.entries, 2, entry.len());
        self.entries.extend_from_slice(&entry);
        self.len += 1;
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The message.
    pub(crate) fn said(self, seq: u64) -> Bytes {
        let report_len = 1 + len(seq) + self.entries.len();
        let mut word = Vec::with_capacity(report_len + 12);
        // FromWorker.report 3, Report.seq 1.
        head(&mut word, 3, report_len);
        field(&mut word, 1, seq);
        word.extend_from_slice(&self.entries);
        word.into()
    }
}

fn head(to: &mut Vec<u8>, tag: u8, length: usize) {
    to.push(tag << 3 | 2);
    varint(to, length as u64);
}

fn field(to: &mut Vec<u8>, tag: u8, value: u64) {
    to.push(tag << 3);
    varint(to, value);
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Bytes of a number.
const fn len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}
