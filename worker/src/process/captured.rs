//! What a process printed, bounded: the head and the tail are kept, and what was cut between them is said.

use super::limits::LIST_BYTES;
use regatta_domain::limits::{OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES};

/// What a process printed. Holds at most its bounds, however much is pushed.
#[derive(Clone, Debug)]
pub struct Captured {
    /// How much of the head is kept, and how much of the tail.
    bounds: (usize, usize),
    head: Vec<u8>,
    /// The tail, as a ring once it is full.
    tail: Vec<u8>,
    /// Where the oldest byte of the ring lies.
    oldest: usize,
    /// How many bytes the ring has lost.
    cut: u64,
}

impl Default for Captured {
    /// Keeps the head and the tail that `limits.rs` allows to an attempt.
    fn default() -> Self {
        Self::bounded(OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES)
    }
}

impl Captured {
    /// Keeps so many bytes of the head, and so many of the tail.
    #[must_use]
    pub fn bounded(head: usize, tail: usize) -> Self {
        Self { bounds: (head, tail), head: Vec::new(), tail: Vec::new(), oldest: 0, cut: 0 }
    }

    /// Keeps a list whole, up to its bound.
    #[must_use]
    pub fn list() -> Self {
        Self::bounded(LIST_BYTES, 0)
    }

    /// Adds what was printed next.
    pub fn push(&mut self, bytes: &[u8]) {
        let (most_head, most_tail) = self.bounds;
        let (head, rest) = bytes.split_at(bytes.len().min(most_head - self.head.len()));
        self.head.extend_from_slice(head);
        let (grow, rest) = rest.split_at(rest.len().min(most_tail - self.tail.len()));
        self.tail.extend_from_slice(grow);
        self.cut += rest.len() as u64;
        let mut rest = &rest[rest.len().saturating_sub(most_tail)..];
        while !rest.is_empty() {
            let room = (most_tail - self.oldest).min(rest.len());
            self.tail[self.oldest..self.oldest + room].copy_from_slice(&rest[..room]);
            self.oldest = (self.oldest + room) % most_tail;
            rest = &rest[room..];
        }
    }

    /// Adds what was captured elsewhere; what was cut there counts as cut.
    pub fn append(&mut self, other: Self) {
        let Self { head, tail, oldest, cut, .. } = other;
        self.push(&head);
        self.cut += cut;
        self.push(&tail[oldest..]);
        self.push(&tail[..oldest]);
    }

    /// Whether nothing was printed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.tail.is_empty() && self.cut == 0
    }

    /// How many bytes were printed in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        (self.head.len() + self.tail.len()) as u64 + self.cut
    }

    /// Whether some of it was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut > 0
    }

    /// Head and tail, with a line between them that says what was cut.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.head;
        if self.cut > 0 {
            let line = format!("\n[... {} bytes cut ...]\n", self.cut);
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes.extend_from_slice(&self.tail[self.oldest..]);
        bytes.extend_from_slice(&self.tail[..self.oldest]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(total: usize, step: usize) -> Captured {
        let all: Vec<u8> = (0..total).map(|at| (at % 251) as u8).collect();
        let mut captured = Captured::default();
        for part in all.chunks(step) {
            captured.push(part);
        }
        captured
    }

    #[test]
    fn what_fits_is_kept_whole() {
        for total in [0, 1, OUTPUT_HEAD_BYTES, OUTPUT_HEAD_BYTES + 1, OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES] {
            let captured = pushed(total, 1_000);
            assert_eq!(captured.total(), total as u64);
            let expected: Vec<u8> = (0..total).map(|at| (at % 251) as u8).collect();
            assert_eq!(captured.into_bytes(), expected);
        }
    }

    #[test]
    fn what_was_cut_once_is_told_when_it_is_captured_again() {
        let total = 100_000_000;
        let mut once = Captured::default();
        for _ in 0..100 {
            once.push(&[b'x'; 1_000_000]);
        }
        let mut again = Captured::default();
        again.append(Captured::default());
        again.append(once);
        assert_eq!(again.total(), total);
        let cut = total - (OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES) as u64;
        assert!(String::from_utf8_lossy(&again.into_bytes()).contains(&format!("x\n[... {cut} bytes cut ...]\nx")));

        let mut list = Captured::bounded(4, 0);
        list.push(b"abcdef");
        let mut both = Captured::default();
        both.push(b"first ");
        both.append(list);
        assert_eq!(both.into_bytes(), b"first abcd\n[... 2 bytes cut ...]\n");
    }

    #[test]
    fn without_a_tail_only_the_head_is_kept() {
        let mut captured = Captured::bounded(3, 0);
        captured.push(b"ab");
        captured.push(b"cde");
        assert!(captured.is_cut());
        assert_eq!(captured.into_bytes(), b"abc\n[... 2 bytes cut ...]\n");
    }

    #[test]
    fn of_what_does_not_fit_head_and_tail_are_kept_and_the_cut_is_said() {
        for step in [1, 777, 65_536, 1_000_000] {
            let total = 1_000_000;
            let bytes = pushed(total, step).into_bytes();
            let cut = total - OUTPUT_HEAD_BYTES - OUTPUT_TAIL_BYTES;
            let line = format!("\n[... {cut} bytes cut ...]\n");
            let middle = &bytes[OUTPUT_HEAD_BYTES..bytes.len() - OUTPUT_TAIL_BYTES];
            assert_eq!(String::from_utf8_lossy(middle), line, "pushed {step} at a time");
            let tail: Vec<u8> = (total - OUTPUT_TAIL_BYTES..total).map(|at| (at % 251) as u8).collect();
            assert_eq!(bytes[bytes.len() - OUTPUT_TAIL_BYTES..], tail, "pushed {step} at a time");
        }
    }
}
