//! What was asked of a database since a mark: its statements, counted, for whoever wants to be told.
//!
//! A difference between two readings of `pg_stat_statements`, which are taken for the verdict anyway. Calls and time are
//! those of the statements that clients sent; what functions ran meanwhile is within their time, and is told by itself
//! among those that took longest. Our own statements are never among them. The invariant: what may be incomplete says so.

use super::{
    Abilities,
    reader::{Key, Ran},
};
use regatta_domain::{
    Micros,
    database::{Asked, Statement},
};
use std::{cmp::Reverse, collections::HashMap, sync::Arc};

/// Statements that are told by themselves.
const TOP: usize = 10;

/// How much of the text of each is told: what comes later rarely says which it is, and every test of a run brings ten.
const TEXT_BYTES: usize = 512;

/// Whose statements count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's but our own: nobody else leased the database. Of a server that is leased whole, in all its databases.
    Everybody,
    /// Those of a role that only one lease ever had, in a database that several read.
    Role(String),
}

/// What a lease asked of its database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// Nobody wanted to know.
    #[default]
    Unwanted,
    /// The server does not count statements: why, and what would help.
    Unseen(String),
    /// It was counted.
    Told {
        /// What it asked.
        asked: Asked,
        /// Whether nothing of it was dropped for want of room, and the server did not begin anew.
        is_whole: bool,
    },
}

/// How much a statement was executed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    /// How often.
    pub(super) calls: i64,
    /// Rows, all executions together.
    pub(super) rows: i64,
    /// Milliseconds, all executions together.
    pub(super) time: f64,
}

impl Count {
    /// What came to it. An entry that is smaller than it was has been dropped and begun anew.
    fn since(self, before: Self) -> Self {
        if self.calls < before.calls {
            return self;
        }
        Self { calls: self.calls - before.calls, rows: self.rows - before.rows, time: self.time - before.time }
    }

    fn micros(self) -> Micros {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        Micros((self.time * 1_000.0).round() as u64)
    }
}

/// What `whose` statements among those that ran came to.
pub(super) fn told(
    can: &Abilities,
    (ran, before): (&[Ran], &HashMap<Key, Count>),
    (database, whole_server): (u32, bool),
    whose: &Whose,
    is_whole: bool,
) -> Account {
    if !can.statements {
        return Account::Unseen(can.without_statements());
    }
    let mut all = Count::default();
    let mut by_text: HashMap<&str, Count> = HashMap::new();
    let is_there = |ran: &&Ran| whole_server || ran.database == database;
    for ran in ran.iter().filter(is_there).filter(|ran| whose.ran(ran)) {
        let before = if ran.database == database { before.get(&ran.key).copied() } else { None };
        let count = ran.count.since(before.unwrap_or_default());
        if count.calls <= 0 {
            continue;
        }
        let (_, _, is_sent) = ran.key;
        if is_sent {
            add(&mut all, count);
        }
        add(by_text.entry(ran.text.trim()).or_default(), count);
    }
    let mut top: Vec<(&str, Count)> = by_text.into_iter().collect();
    // Of those that took equally long, always the same ones are told.
    top.sort_by(|(one, a), (other, b)| {
        b.time.total_cmp(&a.time).then_with(|| (Reverse(a.calls), one).cmp(&(Reverse(b.calls), other)))
    });
    top.truncate(TOP);
    let statement = |(text, count): (&str, Count)| Statement {
        text: head(text),
        calls: count.calls.unsigned_abs(),
        rows: count.rows.unsigned_abs(),
        time: count.micros(),
    };
    let top = top.into_iter().map(statement).collect();
    Account::Told { asked: Asked { calls: all.calls.unsigned_abs(), time: all.micros(), top }, is_whole }
}

impl Whose {
    fn ran(&self, ran: &Ran) -> bool {
        match self {
            Self::Everybody => !ran.is_ours,
            Self::Role(role) => ran.user == *role,
        }
    }
}

fn add(sum: &mut Count, more: Count) {
    sum.calls += more.calls;
    sum.rows += more.rows;
    sum.time += more.time;
}

/// The beginning of a text, cut between characters.
fn head(text: &str) -> Arc<str> {
    if text.len() <= TEXT_BYTES {
        return text.into();
    }
    let end = (0..=TEXT_BYTES - 3).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    format!("{}...", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(user: &str, query: i64, calls: i64, time: f64, text: &str) -> Ran {
        let count = Count { calls, rows: calls * 2, time };
        let (user, is_ours) = (user.to_owned(), user == "admin");
        Ran { database: 1, key: (10, query, true), user, is_ours, count, text: text.to_owned(), is_cut: false }
    }

    fn account(ran: &[Ran], before: &[(Key, Count)], whose: &Whose) -> Asked {
        let mut can = Abilities::default();
        can.statements = true;
        match told(&can, (ran, &before.iter().copied().collect()), (1, false), whose, true) {
            Account::Told { asked, is_whole: true } => asked,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_there_before_and_what_we_asked_ourselves_does_not_count() {
        let all =
            [ran("test", 1, 7, 30.0, "SELECT 1"), ran("test", 2, 1, 5.0, "SELECT 2"), ran("admin", 3, 9, 99.0, "X")];
        let before = [((10, 1, true), Count { calls: 4, rows: 8, time: 28.0 }), ((10, 2, true), all[1].count)];
        let asked = account(&all, &before, &Whose::Everybody);
        let one = Statement { text: "SELECT 1".into(), calls: 3, rows: 6, time: Micros(2_000) };
        assert_eq!(asked, Asked { calls: 3, time: Micros(2_000), top: vec![one] });
    }

    #[test]
    fn a_lease_that_shares_a_database_is_told_by_its_role() {
        let all = [ran("one", 1, 7, 30.0, "SELECT 1"), ran("other", 1, 2, 5.0, "SELECT 1")];
        assert_eq!(account(&all, &[], &Whose::Role("other".to_owned())).calls, 2);
    }

    #[test]
    fn what_functions_ran_is_told_and_counted_once() {
        let inner = Ran { key: (10, 2, false), ..ran("test", 2, 50, 8.0, "SELECT inner") };
        let asked = account(&[ran("test", 1, 1, 9.0, "SELECT f()"), inner], &[], &Whose::Everybody);
        assert_eq!((asked.calls, asked.time), (1, Micros(9_000)));
        let top: Vec<_> = asked.top.iter().map(|one| (&*one.text, one.calls)).collect();
        assert_eq!(top, [("SELECT f()", 1), ("SELECT inner", 50)]);
    }

    #[test]
    fn the_slowest_are_told_with_the_beginning_of_their_texts() {
        let long = "ä".repeat(TEXT_BYTES);
        let mut all: Vec<Ran> = (0..30).map(|at| ran("test", at, 1, 1.0, &format!("SELECT {at:02}"))).collect();
        all.push(ran("test", 99, 1, 2.0, &long));
        let asked = account(&all, &[], &Whose::Everybody);
        assert_eq!((asked.calls, asked.top.len()), (31, TOP));
        assert!(asked.top[0].text.len() <= TEXT_BYTES && asked.top[0].text.ends_with("ä..."));
        assert_eq!(&*asked.top[1].text, "SELECT 00");
    }

    #[test]
    fn an_entry_that_was_dropped_meanwhile_counts_from_where_it_began_anew() {
        let before = [((10, 1, true), Count { calls: 40, rows: 80, time: 28.0 })];
        assert_eq!(account(&[ran("test", 1, 3, 1.0, "SELECT 1")], &before, &Whose::Everybody).calls, 3);
    }

    #[test]
    fn a_server_that_does_not_count_says_what_would_help() {
        let account = told(&Abilities::default(), (&[], &HashMap::new()), (1, false), &Whose::Everybody, true);
        assert!(matches!(account, Account::Unseen(_)), "{account:?}");
    }
}
