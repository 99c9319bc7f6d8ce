//! Explains an exit code, or how a filter is read.

use super::print;
use crate::args::ExplainArgs;
use crate::error::{Error, Mistake, Place};
use crate::exit::Exit;
use regatta_domain::filter::{Filter, nearest};

/// The width that paragraphs are wrapped to.
const COLUMNS: usize = 80;

/// Explains what was asked about.
pub(crate) fn explain(args: &ExplainArgs) -> Result<Exit, Error> {
    let text = match (args.what.as_str(), &args.filter) {
        ("filter", Some(text)) => filter(text)?,
        (what, None) => code(what)?,
        (_, Some(_)) => {
            return Err(Error::usage("only a filter has something to explain after it")
                .help("write `regatta explain filter 'EXPRESSION'`, or `regatta explain CODE`"));
        }
    };
    print(&text)?;
    Ok(Exit::Ok)
}

fn code(what: &str) -> Result<String, Error> {
    let Some(exit) = Exit::named(what) else {
        let names = || Exit::ALL.iter().map(|exit| exit.name());
        let all: Vec<String> = Exit::ALL.iter().map(|exit| format!("{} ({})", exit.code(), exit.name())).collect();
        return Err(Error::usage(format!("there is no exit code `{what}`")).help(match nearest(what, names()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are {}", all.join(", ")),
        }));
    };
    Ok(format!("{} {}\n\n{}\n", exit.code(), exit.name(), wrap(exit.explanation())))
}

fn filter(text: &str) -> Result<String, Error> {
    let filter = Filter::parse(text).map_err(|error| {
        let place = Place { name: "FILTER".into(), text: text.into(), span: 0..text.len() };
        Error::new(Exit::Usage, Mistake::in_filter(&error, place))
    })?;
    let mut lines = format!("{filter}\n\n");
    for (depth, branch) in filter.branches() {
        let what = match branch {
            Filter::And(_) => "all of".to_owned(),
            Filter::Or(_) => "any of".to_owned(),
            Filter::Not(_) => "not".to_owned(),
            leaf => leaf.to_string(),
        };
        lines.push_str(&format!("{}{what}\n", "  ".repeat(depth)));
    }
    let needs = match (filter.needs_history(), filter.needs_changes()) {
        (true, true) => "\nIt asks history and the state of the checkout.\n",
        (true, false) => "\nIt asks history.\n",
        (false, true) => "\nIt asks the state of the checkout.\n",
        (false, false) => "",
    };
    Ok(lines + needs)
}

fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_shown_as_it_is_read() {
        let wanted = "\
suite(api) & (tag(db) | failed()) & !test(#*[sqlite*])

all of
  suite(api)
  any of
    tag(db)
    failed()
  not
    test(#*[sqlite*])

It asks history.
";
        let shown = filter("suite(api) and (tag(db) or failed()) - test(#*[sqlite*])");
        assert_eq!(shown.as_deref(), Ok(wanted));
    }

    #[test]
    fn codes_are_explained_by_number_and_name() {
        let by_number = code("4").expect("there is a code 4");
        assert!(by_number.starts_with("4 no-tests\n\nThe selection holds no test. "), "{by_number}");
        assert!(by_number.lines().all(|line| line.chars().count() <= COLUMNS));
        assert_eq!(code("no-tests"), Ok(by_number));
        let refused = code("no-test").expect_err("there is none").render(false);
        assert!(refused.contains("did you mean `no-tests`?"), "{refused}");
    }
}
