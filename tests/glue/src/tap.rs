//! A tap on a worker's connections: what is said on them, read from the bytes past all of the worker's code.
//!
//! Of HTTP/2 it needs the frames that hold data, and of gRPC the five bytes before each message.

use crate::record::Shared;
use crate::story::Story;
use regatta_wire::v1::{FromWorker, ToWorker, entry, from_worker, to_worker};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

/// What a client says before its first frame.
const PREFACE: usize = 24;

/// A frame's header.
const HEADER: usize = 9;

/// What is known of the words of a host's workers. Clones are the same tap.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    host: String,
    story: Story,
    record: Shared,
    reports: Arc<Mutex<Reports>>,
}

/// By the worker's id and the number of its report: the results in it, each with its lease, test and attempt.
type Reports = BTreeMap<(String, u64), Vec<(u64, u32, u32)>>;

impl Tap {
    pub(crate) fn new(host: &str, story: &Story, record: &Shared) -> Self {
        Self { host: host.to_owned(), story: story.clone(), record: record.clone(), reports: Arc::default() }
    }

    fn said(&self, worker: &mut Option<String>, said: FromWorker) {
        let Some(message) = said.message else { return };
        match &message {
            from_worker::Message::Hello(hello) => *worker = Some(hello.worker.clone()),
            from_worker::Message::Alive(_) | from_worker::Message::Output(_) => {}
            from_worker::Message::Report(report) => {
                let results = report.entries.iter().filter_map(|entry| match &entry.entry {
                    Some(entry::Entry::Finished(finished)) => {
                        let result = finished.result.as_ref()?;
                        Some((finished.token, result.test, result.attempt))
                    }
                    _ => None,
                });
                if let Some(worker) = worker {
                    let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
                    reports.insert((worker.clone(), report.seq), results.collect());
                }
            }
            _ => {}
        }
        self.story.tell(&self.host, format_args!("says {message:?}"));
    }

    fn told(&self, worker: Option<&String>, told: ToWorker) {
        let Some(message) = told.message else { return };
        if let (to_worker::Message::Ack(ack), Some(worker)) = (&message, worker) {
            self.acknowledged(worker, ack.seq);
        }
        if !matches!(message, to_worker::Message::Heard(_)) {
            self.story.tell(&self.host, format_args!("hears {message:?}"));
        }
    }

    /// What is acknowledged is durable, or was refused: nobody will ever say it again.
    fn acknowledged(&self, worker: &str, seq: u64) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let acked: Vec<_> =
            reports.range((worker.to_owned(), 0)..=(worker.to_owned(), seq)).map(|(k, _)| k.clone()).collect();
        for key in acked {
            for (token, test, attempt) in reports.remove(&key).unwrap_or_default() {
                if !self.record.lock().is_settled(token, test, attempt) {
                    self.story.broke(format_args!(
                        "{}: the result of test {test} under {token} was acknowledged, and is not durable",
                        self.host
                    ));
                }
            }
        }
    }
}

/// A connection with a tap on it.
pub(crate) struct Tapped {
    connection: TcpStream,
    tap: Tap,
    out: Ear,
    incoming: Ear,
    /// Whose session it is, once that was said.
    worker: Option<String>,
}

/// One direction of a connection.
#[derive(Default)]
struct Ear {
    bytes: Vec<u8>,
    /// What is left of the words before the first frame.
    preface: usize,
    /// Of each stream, what is not a whole message yet; `None` for those that hold something else.
    streams: BTreeMap<u32, Option<Vec<u8>>>,
}

impl Ear {
    /// Takes in what was sent, and gives the messages that it completes.
    fn hear<M: prost::Message + Default>(&mut self, bytes: &[u8]) -> Vec<M> {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        self.bytes.extend_from_slice(&bytes[skipped..]);
        let mut messages = Vec::new();
        while let Some((kind, stream, payload)) = self.frame() {
            const DATA: u8 = 0;
            if kind == DATA {
                self.data(stream, &payload, &mut messages);
            }
        }
        messages
    }

    fn frame(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let header = self.bytes.get(..HEADER)?;
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let (kind, stream) = (header[3], u32::from_be_bytes([header[5], header[6], header[7], header[8]]));
        let payload = self.bytes.get(HEADER..HEADER + length)?.to_vec();
        self.bytes.drain(..HEADER + length);
        Some((kind, stream, payload))
    }

    fn data<M: prost::Message + Default>(&mut self, stream: u32, payload: &[u8], messages: &mut Vec<M>) {
        let Some(buffer) = self.streams.entry(stream).or_insert_with(|| Some(Vec::new())) else { return };
        buffer.extend_from_slice(payload);
        loop {
            let Some(prefix) = buffer.get(..5) else { return };
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            let Some(body) = buffer.get(5..5 + length) else { return };
            match M::decode(body) {
                Ok(message) => messages.push(message),
                Err(_) => {
                    self.streams.insert(stream, None);
                    return;
                }
            }
            buffer.drain(..5 + length);
        }
    }
}

impl Tapped {
    pub(crate) fn new(connection: TcpStream, tap: Tap) -> Self {
        let out = Ear { preface: PREFACE, ..Ear::default() };
        Self { connection, tap, out, incoming: Ear::default(), worker: None }
    }
}

impl AsyncRead for Tapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buf))?;
        let this = &mut *self;
        for told in this.incoming.hear::<ToWorker>(&buf.filled()[before..]) {
            this.tap.told(this.worker.as_ref(), told);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.connection).poll_write(cx, buf))?;
        let this = &mut *self;
        for said in this.out.hear::<FromWorker>(&buf[..written]) {
            this.tap.said(&mut this.worker, said);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
