//! Messages in a stream of bytes that goes by: seen whole or in part, never held up.
//!
//! Results are most of what goes by, and of those nothing is kept or copied: their length is read, and so many bytes are
//! passed over.

/// Follows one direction of a session.
#[derive(Debug)]
pub(super) struct Frames {
    /// How many bytes of a message of this kind are of interest.
    keeps: fn(u8) -> usize,
    /// Kind and length of the message that goes by.
    head: [u8; 5],
    filled: usize,
    /// What is still to come of it, and what was kept where it came in pieces.
    left: usize,
    kept: Vec<u8>,
    room: usize,
    /// What goes by makes no sense: nothing more is seen, and all goes on.
    blind: bool,
}

impl Frames {
    pub(super) fn new(keeps: fn(u8) -> usize) -> Self {
        Self { keeps, head: [0; 5], filled: 0, left: 0, kept: Vec::new(), room: 0, blind: false }
    }

    /// Looks at what goes by next; `heard` is told each message that has gone by, with the head of what is in it.
    pub(super) fn look(&mut self, mut bytes: &[u8], mut heard: impl FnMut(u8, &[u8])) {
        while !self.blind {
            if self.filled < self.head.len() {
                let more = bytes.len().min(self.head.len() - self.filled);
                self.head[self.filled..self.filled + more].copy_from_slice(&bytes[..more]);
                self.filled += more;
                bytes = &bytes[more..];
                if self.filled < self.head.len() {
                    return;
                }
                let [kind, length @ ..] = self.head;
                let Some(left) = (u32::from_be_bytes(length) as usize).checked_sub(4) else {
                    self.blind = true;
                    return;
                };
                (self.left, self.room) = (left, (self.keeps)(kind).min(left));
                self.kept.clear();
            }
            let now = self.left.min(bytes.len());
            let ends = now == self.left;
            if ends && self.kept.is_empty() {
                heard(self.head[0], &bytes[..self.room.min(now)]);
            } else {
                self.kept.extend(&bytes[..now.min(self.room - self.kept.len())]);
                if ends {
                    heard(self.head[0], &self.kept);
                }
            }
            bytes = &bytes[now..];
            self.left -= now;
            if !ends {
                return;
            }
            self.filled = 0;
            if bytes.is_empty() {
                return;
            }
        }
    }

    /// Whether something went by that makes no sense.
    pub(super) fn is_blind(&self) -> bool {
        self.blind
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::*;

    fn keeps(kind: u8) -> usize {
        if kind == b'D' { 0 } else { 6 }
    }

    fn heard(bytes: &[u8], piece: usize) -> Vec<(char, String)> {
        let mut frames = Frames::new(keeps);
        let mut all = Vec::new();
        for piece in bytes.chunks(piece) {
            frames.look(piece, |kind, body| all.push((char::from(kind), String::from_utf8_lossy(body).into_owned())));
        }
        all
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let messages = [(b'C', "INSERT 0 1"), (b'D', "a row"), (b'Z', "I"), (b'1', ""), (b'D', ""), (b'E', "why")];
        let bytes: Vec<u8> =
            messages.iter().flat_map(|&(kind, body)| Message::new(kind, body.as_bytes()).encode()).collect();
        let all = [('C', "INSERT"), ('D', ""), ('Z', "I"), ('1', ""), ('D', ""), ('E', "why")];
        let all = all.map(|(kind, body)| (kind, body.to_owned()));
        for piece in 1..=bytes.len() {
            assert_eq!(heard(&bytes, piece), all, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_makes_no_sense_ends_the_seeing_and_nothing_else() {
        let mut frames = Frames::new(keeps);
        frames.look(&[b'Z', 0, 0, 0, 3, 1, 2, 3], |kind, _| panic!("{kind}"));
        frames.look(&Message::new(b'Z', b"I").encode(), |kind, _| panic!("{kind}"));
        assert!(frames.is_blind());
    }
}
