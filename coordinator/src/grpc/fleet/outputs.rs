//! Outputs on their way in: parts are put together, until the result that they belong to comes.
//!
//! Whatever a worker sends, no more than the head and the tail of an attempt's output is kept; what was cut is said.

use regatta_domain::limits::{OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES};
use regatta_domain::{TestIx, Token};
use regatta_wire::limits::OUTPUT_PART_BYTES;
use regatta_wire::{Failure, Invalid, Why, v1};
use std::collections::{HashMap, VecDeque};

/// What a worker adds where it cuts by itself.
const SLACK: usize = 4 * 1024;

/// All outputs of a session that wait for their results: twice what a worker keeps unacknowledged.
const WAITING_BYTES: usize = 128 * 1024 * 1024;

/// An attempt, as its worker names it.
pub(super) type Attempt = (Token, TestIx, u32);

/// Outputs that wait for their results.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    waiting: HashMap<Attempt, Output>,
    bytes: usize,
}

/// The output of one attempt, so far.
#[derive(Debug, Default)]
struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    cut: usize,
}

impl Outputs {
    /// Adds a part.
    pub(super) fn add(&mut self, part: v1::OutputPart) -> Result<(), Failure> {
        let v1::OutputPart { token, test, attempt, data } = part;
        if data.len() > OUTPUT_PART_BYTES {
            let why = Why::TooLong { most: OUTPUT_PART_BYTES, found: data.len() };
            return Err(Invalid::new("output.data", why).into());
        }
        let output = self.waiting.entry((Token(token), TestIx(test), attempt)).or_default();
        let before = output.len();
        output.add(&data);
        self.bytes = self.bytes + output.len() - before;
        if self.bytes > WAITING_BYTES {
            let why = format!("more than {WAITING_BYTES} bytes of output wait for results that do not come");
            return Err(Failure::TooLarge(why));
        }
        Ok(())
    }

    /// Takes the output of an attempt; `None` where there is none.
    pub(super) fn take(&mut self, attempt: Attempt) -> Option<Vec<u8>> {
        let output = self.waiting.remove(&attempt)?;
        self.bytes -= output.len();
        Some(output.whole())
    }

    /// Drops what was begun under a lease that is over.
    pub(super) fn drop_lease(&mut self, token: Token) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|(of, ..), output| {
            let stays = *of != token;
            *bytes -= if stays { 0 } else { output.len() };
            stays
        });
    }
}

impl Output {
    fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn add(&mut self, data: &[u8]) {
        let room = OUTPUT_HEAD_BYTES - self.head.len().min(OUTPUT_HEAD_BYTES);
        let (head, tail) = data.split_at(room.min(data.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(tail);
        let over = self.tail.len().saturating_sub(OUTPUT_TAIL_BYTES + SLACK);
        self.tail.drain(..over);
        self.cut += over;
    }

    fn whole(mut self) -> Vec<u8> {
        if self.cut > 0 {
            self.head.extend_from_slice(format!("\n[{} bytes cut]\n", self.cut).as_bytes());
        }
        self.head.extend(self.tail);
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(test: u32, data: &[u8]) -> v1::OutputPart {
        v1::OutputPart { token: 1, test, attempt: 1, data: data.to_vec() }
    }

    #[test]
    fn parts_come_together_by_attempt() {
        let mut outputs = Outputs::default();
        outputs.add(part(1, b"one, ")).unwrap();
        outputs.add(part(2, b"other")).unwrap();
        outputs.add(part(1, b"two")).unwrap();
        assert_eq!(outputs.take((Token(1), TestIx(1), 1)).unwrap(), b"one, two");
        assert_eq!(outputs.take((Token(1), TestIx(1), 1)), None);
        outputs.drop_lease(Token(1));
        assert_eq!(outputs.take((Token(1), TestIx(2), 1)), None);
        assert_eq!(outputs.bytes, 0);
    }

    #[test]
    fn head_and_tail_are_kept_and_what_was_cut_is_said() {
        let mut outputs = Outputs::default();
        outputs.add(part(1, b"first line\n")).unwrap();
        for _ in 0..40 {
            outputs.add(part(1, &[b'x'; 64 * 1024])).unwrap();
        }
        outputs.add(part(1, b"\nlast line")).unwrap();
        assert!(outputs.bytes < 300 * 1024, "{}", outputs.bytes);
        let whole = String::from_utf8(outputs.take((Token(1), TestIx(1), 1)).unwrap()).unwrap();
        assert!(whole.starts_with("first line\n") && whole.ends_with("\nlast line"));
        assert!(whole.contains(" bytes cut]"), "what was cut is said");
    }

    #[test]
    fn a_part_beyond_its_bound_is_refused() {
        let failure = Outputs::default().add(part(1, &vec![0; OUTPUT_PART_BYTES + 1])).unwrap_err();
        assert!(failure.message().contains("field `output.data` is 262145 bytes long, and may be 262144"), "{failure}");
    }
}
