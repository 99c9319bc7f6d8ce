//! The words of a statement, as the server's own scanner would cut them.
//!
//! What is inside comments and literals is not a word: a text 'vacuum' or a comment about locks is no maintenance and no
//! lock. A quoted identifier is a name and never a keyword. What the words mean is left to `rules`.

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A keyword or a name as it was typed, in lower case.
    Word(String),
    /// A quoted name: never a keyword.
    Name(String),
    /// A literal in single quotes, without them.
    Text(String),
    /// A literal in dollar quotes, without them: the body of a block or a function, perhaps.
    Body(String),
    /// Anything else: a sign, a parameter, a digit.
    Sign(char),
}

impl Token {
    /// Whether this is a keyword (given in lower case).
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }

    /// Whether this is a sign.
    pub(super) fn is_sign(&self, sign: char) -> bool {
        matches!(self, Self::Sign(own) if *own == sign)
    }

    /// The name that this is, typed or quoted.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// Cuts a text. What is left open at its end (a text that was itself cut) ends there.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut scanner = Scanner { rest: text };
    let mut tokens = Vec::new();
    while let Some(token) = scanner.next() {
        tokens.push(token);
    }
    tokens
}

struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<Token> {
        loop {
            let first = self.rest.chars().next()?;
            if first.is_whitespace() {
                self.rest = self.rest.trim_start();
            } else if self.rest.starts_with("--") {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if self.rest.starts_with("/*") {
                self.comment();
            } else {
                return Some(self.token(first));
            }
        }
    }

    /// Comments nest.
    fn comment(&mut self) {
        let mut depth = 0_usize;
        while !self.rest.is_empty() {
            if let Some(rest) = self.rest.strip_prefix("/*") {
                (self.rest, depth) = (rest, depth + 1);
            } else if let Some(rest) = self.rest.strip_prefix("*/") {
                (self.rest, depth) = (rest, depth - 1);
                if depth == 0 {
                    return;
                }
            } else {
                self.skip_one();
            }
        }
    }

    fn token(&mut self, first: char) -> Token {
        match first {
            '\'' => Token::Text(self.quoted('\'', false)),
            '"' => Token::Name(self.quoted('"', false)),
            '$' => self.dollar(),
            _ if first.is_alphabetic() || first == '_' || !first.is_ascii() => self.word(),
            _ if first.is_ascii_digit() => {
                self.take(|c| c.is_ascii_digit());
                Token::Sign('0')
            }
            _ => {
                self.skip_one();
                Token::Sign(first)
            }
        }
    }

    fn word(&mut self) -> Token {
        let word = self.take(|c| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii());
        let quote = self.rest.chars().next();
        match (word.to_ascii_lowercase().as_str(), quote) {
            ("e", Some('\'')) => Token::Text(self.quoted('\'', true)),
            ("b" | "x" | "n", Some('\'')) => Token::Text(self.quoted('\'', false)),
            ("u", Some('&')) if self.rest[1..].starts_with('\'') => {
                self.skip_one();
                Token::Text(self.quoted('\'', false))
            }
            ("u", Some('&')) if self.rest[1..].starts_with('"') => {
                self.skip_one();
                Token::Name(self.quoted('"', false))
            }
            (lower, _) => Token::Word(lower.to_owned()),
        }
    }

    /// What stands between two quotes; the quote itself is written twice, or, where they count, after a backslash.
    fn quoted(&mut self, quote: char, backslashes: bool) -> String {
        let mut inside = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, char)) = chars.next() {
            if char == '\\' && backslashes {
                inside.extend(chars.next().map(|(_, escaped)| escaped));
            } else if char != quote {
                inside.push(char);
            } else if chars.next_if(|&(_, next)| next == quote).is_some() {
                inside.push(quote);
            } else {
                self.rest = &self.rest[at + quote.len_utf8()..];
                return inside;
            }
        }
        self.rest = "";
        inside
    }

    /// A parameter (`$1`), or a literal between two tags (`$$`, `$body$`).
    fn dollar(&mut self) -> Token {
        let after = &self.rest[1..];
        let named = !after.starts_with(|c: char| c.is_ascii_digit());
        let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        if let Some(end) = end.filter(|&end| named && after[end..].starts_with('$')) {
            let tag = &self.rest[..end + 2];
            let inside = &self.rest[tag.len()..];
            let (body, rest) = inside.split_once(tag).unwrap_or((inside, ""));
            self.rest = rest;
            return Token::Body(body.to_owned());
        }
        self.rest = after;
        self.take(|c| c.is_ascii_digit());
        Token::Sign('$')
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    fn skip_one(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).iter().filter_map(|token| token.name().map(str::to_owned)).collect()
    }

    #[test]
    fn literals_and_comments_are_no_words() {
        let text = "select 'va''cuum', E'it\\'s lock', $$notify$$, $x$ a $$ b $x$ -- listen\n /* a /* b */ c */ from t";
        assert_eq!(words(text), ["select", "from", "t"]);
        assert_eq!(words("select U&'lock', U&\"Na\"\"me\", b'01', n'x', u & v"), ["select", "Na\"me", "u", "v"]);
    }

    #[test]
    fn quoted_names_keep_their_case_and_are_no_keywords() {
        assert_eq!(tokens("\"Vacuum\" VACUUM"), [Token::Name("Vacuum".into()), Token::Word("vacuum".into())]);
    }

    #[test]
    fn parameters_are_not_dollar_quotes() {
        assert_eq!(words("select $1, $2 from a$b where c=$3"), ["select", "from", "a$b", "where", "c"]);
    }

    #[test]
    fn what_is_cut_off_ends_the_text() {
        for cut in
            ["select 'open", "select $a$ open", "select /* open", "select \"open", "select e'\\", "select $", "-- x"]
        {
            let _ends = tokens(cut);
        }
        assert_eq!(words("séléct ünï 'x'"), ["séléct", "ünï"]);
    }
}
