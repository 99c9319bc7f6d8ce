//! What is seen of an attempt's sessions on the wire: how many, what they asked, and how the server answered.
//!
//! It needs no rights at the server, and it is exact in what it sees; it does not see what happens inside the server
//! (functions, triggers, rules). So it adds to what the server's own evidence says, and replaces none of it. To judge it is left to
//! the coordinator.

use super::frames::Frames;
use super::limits::{STATEMENT_BYTES, STATEMENTS, STATES};
use super::message::string;
use regatta_domain::database::Traffic;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was seen of all sessions of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) sessions: u32,
    /// The most that were open at once.
    pub(super) peak: u32,
    now: u32,
    /// Transactions that changed something, by what became of them.
    pub(super) committed: u32,
    pub(super) rolled_back: u32,
    /// Error codes, each once.
    pub(super) states: BTreeSet<String>,
    /// Heads of statements, each once, in the order in which they first came.
    pub(super) statements: Vec<String>,
    /// There were more of them, or longer ones, or what could not be read.
    pub(super) more: bool,
}

/// What all sessions of a port tell.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Seen>);

impl Book {
    pub(super) fn read(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session begins: what it asks, and how it is answered.
    pub(super) fn begin(&self) -> (Asks<'_>, Answers<'_>) {
        let mut seen = self.read();
        seen.sessions += 1;
        seen.now += 1;
        seen.peak = seen.peak.max(seen.now);
        drop(seen);
        let asks = Asks { book: self, frames: Frames::new(asked) };
        let answers = Answers { book: self, frames: Frames::new(answered), changes: false, fails: false, status: b'I' };
        (asks, answers)
    }
}

impl Seen {
    /// What is told of it.
    pub(super) fn traffic(&self, resource: &str) -> Traffic {
        Traffic {
            resource: resource.into(),
            sessions: self.sessions,
            peak: self.peak,
            committed: self.committed,
            rolled_back: self.rolled_back,
            errors: self.states.iter().map(|code| code.as_str().into()).collect(),
            statements: self.statements.iter().map(|text| text.as_str().into()).collect(),
            is_whole: !self.more,
        }
    }

    fn statement(&mut self, text: &[u8], whole: bool) {
        let text = String::from_utf8_lossy(text);
        // What is no UTF-8 grows when it is made so.
        let mut end = text.len().min(STATEMENT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text[..end].trim();
        self.more |= !whole;
        if text.is_empty() || self.statements.iter().any(|known| known == text) {
            return;
        }
        if self.statements.len() == STATEMENTS {
            self.more = true;
            return;
        }
        self.statements.push(text.to_owned());
    }
}

/// What is kept of a message to the server: the text of a query, and of a statement that is prepared, behind its name.
fn asked(kind: u8) -> usize {
    if matches!(kind, b'Q' | b'P') { STATEMENT_BYTES } else { 0 }
}

/// What is kept of a message of the server: the tag of a command that is done, how it stands, an error.
fn answered(kind: u8) -> usize {
    match kind {
        b'Z' => 1,
        b'C' => 64,
        b'E' => 256,
        _ => 0,
    }
}

/// What a session asks.
#[derive(Debug)]
pub(super) struct Asks<'a> {
    book: &'a Book,
    frames: Frames,
}

impl Asks<'_> {
    pub(super) fn look(&mut self, bytes: &[u8]) {
        let book = self.book;
        self.frames.look(bytes, |kind, body| match kind {
            b'Q' => tell(book, body),
            b'P' => match string(body) {
                Some((_, text)) => tell(book, text),
                None => book.read().more = true,
            },
            // A function that is called by its number.
            b'F' => book.read().more = true,
            _ => {}
        });
        if self.frames.is_blind() {
            book.read().more = true;
        }
    }
}

/// Tells a text that ends with a zero, unless it was cut.
fn tell(book: &Book, text: &[u8]) {
    match string(text) {
        Some((text, _)) => book.read().statement(text, true),
        None => book.read().statement(text, false),
    }
}

/// How a session is answered.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    book: &'a Book,
    frames: Frames,
    /// The transaction changed something; something failed since the server was ready.
    changes: bool,
    fails: bool,
    status: u8,
}

impl Answers<'_> {
    pub(super) fn look(&mut self, bytes: &[u8]) {
        let Self { book, frames, changes, fails, status } = self;
        frames.look(bytes, |kind, body| match kind {
            b'C' => {
                let tag = string(body).map_or(body, |(tag, _)| tag);
                match tag.split(|&byte| byte == b' ').next().unwrap_or_default() {
                    b"COMMIT" => end(book, changes, true),
                    b"ROLLBACK" if *status != b'I' && tag == b"ROLLBACK" => *fails = true,
                    _ => *changes |= is_change(tag),
                }
            }
            // What is copied in is a change; what is copied out has the same tag at its end.
            b'G' => *changes = true,
            b'E' => {
                *fails = true;
                book.fail(body);
            }
            b'Z' => {
                *status = body.first().copied().unwrap_or(b'I');
                if *status == b'I' {
                    end(book, changes, !*fails);
                }
                *fails = false;
            }
            _ => {}
        });
    }
}

/// A transaction has ended.
fn end(book: &Book, changes: &mut bool, well: bool) {
    if std::mem::take(changes) {
        let mut seen = book.read();
        if well {
            seen.committed += 1;
        } else {
            seen.rolled_back += 1;
        }
    }
}

/// Whether a command with this tag changed something.
fn is_change(tag: &[u8]) -> bool {
    let mut words = tag.split(|&byte| byte == b' ');
    match words.next().unwrap_or_default() {
        b"INSERT" | b"UPDATE" | b"DELETE" | b"MERGE" => words.next_back() != Some(b"0"),
        b"TRUNCATE" | b"CREATE" | b"ALTER" | b"DROP" | b"GRANT" | b"REVOKE" | b"COMMENT" | b"REFRESH" => true,
        _ => false,
    }
}

impl Book {
    /// An error: its code is all that is kept.
    fn fail(&self, mut fields: &[u8]) {
        while let Some((&field, rest)) = fields.split_first() {
            let Some((text, rest)) = string(rest) else { return };
            if field == b'C' {
                let mut seen = self.read();
                let code = String::from_utf8_lossy(&text[..text.len().min(5)]).into_owned();
                if seen.states.len() < STATES {
                    seen.states.insert(code);
                } else {
                    seen.more |= !seen.states.contains(&code);
                }
                return;
            }
            fields = rest;
        }
    }
}

impl Drop for Answers<'_> {
    /// The session has ended.
    fn drop(&mut self) {
        let mut seen = self.book.read();
        seen.now -= 1;
        seen.rolled_back += u32::from(self.changes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Message;
    use super::*;

    /// What is seen of a session that is answered so.
    fn of(answers: &[(u8, &[u8])]) -> Seen {
        let book = Book::default();
        let (_asks, mut hears) = book.begin();
        for &(kind, body) in answers {
            hears.look(&Message::new(kind, body).encode());
        }
        drop(hears);
        let seen = book.read();
        seen.clone()
    }

    #[test]
    fn a_change_counts_by_what_became_of_its_transaction() {
        let (idle, inside, broken): (_, _, (u8, &[u8])) = ((b'Z', &b"I"[..]), (b'Z', &b"T"[..]), (b'Z', b"E"));
        let tag = |tag: &'static [u8]| (b'C', tag);
        let fails: (u8, &[u8]) = (b'E', b"SERROR\0C23505\0Mtwice\0\0");
        let counts = |answers: &[(u8, &[u8])]| {
            let seen = of(answers);
            (seen.committed, seen.rolled_back)
        };
        assert_eq!(counts(&[tag(b"SELECT 1\0"), idle]), (0, 0));
        assert_eq!(counts(&[tag(b"INSERT 0 1\0"), idle]), (1, 0));
        assert_eq!(counts(&[tag(b"UPDATE 0\0"), idle]), (0, 0));
        assert_eq!(counts(&[tag(b"INSERT 0 1\0"), fails, idle]), (0, 1), "one query, one transaction");
        assert_eq!(counts(&[tag(b"BEGIN\0"), inside, tag(b"INSERT 0 1\0"), inside, tag(b"COMMIT\0"), idle]), (1, 0));
        let undone = [tag(b"BEGIN\0"), inside, tag(b"CREATE TABLE\0"), inside, tag(b"ROLLBACK\0"), idle];
        assert_eq!(counts(&undone), (0, 1));
        // The server answers the COMMIT of a broken transaction so.
        let broken = [inside, tag(b"INSERT 0 1\0"), inside, fails, broken, tag(b"ROLLBACK\0"), idle];
        assert_eq!(counts(&broken), (0, 1));
        assert_eq!(counts(&[inside, tag(b"DELETE 3\0"), inside]), (0, 1), "it was left open");
        assert_eq!(counts(&[(b'G', &[0]), tag(b"COPY 5\0"), idle]), (1, 0));
        assert_eq!(counts(&[(b'H', &[0]), tag(b"COPY 5\0"), idle]), (0, 0));
        assert_eq!(of(&[fails]).states.into_iter().collect::<Vec<_>>(), ["23505"]);
    }

    #[test]
    fn statements_are_kept_once_and_within_bounds() {
        let book = Book::default();
        let (mut asks, _hears) = book.begin();
        asks.look(&Message::new(b'Q', b"SELECT 1\0").encode());
        asks.look(&Message::new(b'P', b"name\0SELECT 1\0\0\0").encode());
        asks.look(&Message::new(b'P', b"\0NOTIFY c\0\0\0").encode());
        assert_eq!(book.read().statements, ["SELECT 1", "NOTIFY c"]);
        assert!(!book.read().more);
        asks.look(&Message::new(b'Q', &[&[b'x'; 2_000][..], &[0]].concat()).encode());
        assert!(book.read().more && book.read().statements[2].len() == STATEMENT_BYTES);
        asks.look(&Message::new(b'Q', &[&[0xff; 1_000][..], &[0]].concat()).encode());
        assert!(book.read().statements[3].len() <= STATEMENT_BYTES, "what is no UTF-8 grows when it is made so");
        for at in 0..200 {
            asks.look(&Message::new(b'Q', format!("SELECT {at}\0").as_bytes()).encode());
        }
        assert_eq!(book.read().statements.len(), STATEMENTS);
    }

    #[test]
    fn the_peak_is_the_most_that_were_open_at_once() {
        let book = Book::default();
        for _ in 0..3 {
            let _both = (book.begin(), book.begin());
        }
        let seen = book.read();
        assert_eq!((seen.sessions, seen.peak, seen.now), (6, 2, 0));
    }
}
