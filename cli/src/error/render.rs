//! Draws an error: the message, the text with a caret under what is meant, the cause, the help.

use super::{Error, Mistake};
use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};

impl Error {
    /// The text for standard error, ending in a newline.
    pub(crate) fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for mistake in &self.mistakes {
            text.push_str(&renderer.render(&groups(mistake)));
            text.push_str("\n\n");
        }
        if self.mistakes.len() > 1 {
            text.push_str(&format!("{} mistakes in all. ", self.mistakes.len()));
        }
        let (code, name) = (self.exit.code(), self.exit.name());
        text.push_str(&format!("Exit code {code} ({name}): see `regatta explain {code}`.\n"));
        text
    }
}

fn groups(mistake: &Mistake) -> Vec<Group<'_>> {
    let mut elements: Vec<Element<'_>> = Vec::new();
    if let Some(place) = &mistake.place {
        // An empty span at the end of the text still needs something to stand under.
        let span = place.span.start.min(place.text.len())..place.span.end.min(place.text.len());
        let snippet = Snippet::source(&*place.text).path(&*place.name).annotation(AnnotationKind::Primary.span(span));
        elements.push(snippet.into());
    }
    for cause in &mistake.because {
        elements.push(Level::NOTE.message(cause.as_str()).into());
    }
    if let Some(help) = &mistake.help {
        elements.push(Level::HELP.message(help.as_str()).into());
    }
    vec![Level::ERROR.primary_title(mistake.what.as_str()).elements(elements)]
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;
    use crate::exit::Exit;

    fn place(span: std::ops::Range<usize>) -> Place {
        Place { name: "regatta.toml".into(), text: "[profile.ci]\nslotz = 4\nretries = -1\n".into(), span }
    }

    #[test]
    fn all_mistakes_are_told_with_place_caret_and_help() {
        let error = Error::all(
            Exit::Usage,
            vec![
                Mistake::new("there is no key `slotz` in a profile").at(place(13..18)).help("did you mean `slots`?"),
                Mistake::new("`retries` cannot be negative").at(place(33..35)),
            ],
        );
        let wanted = "\
error: there is no key `slotz` in a profile
 --> regatta.toml:2:1
  |
2 | slotz = 4
  | ^^^^^
  |
  = help: did you mean `slots`?

error: `retries` cannot be negative
 --> regatta.toml:3:11
  |
3 | retries = -1
  |           ^^

2 mistakes in all. Exit code 2 (usage): see `regatta explain 2`.
";
        assert_eq!(error.render(false), wanted);
    }

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::io::Error::other("connection refused");
        let error = Error::infrastructure("cannot reach the coordinator at http://127.0.0.1:1")
            .because(&cause)
            .help("is it running? `regatta doctor --on http://127.0.0.1:1` looks");
        let wanted = "\
error: cannot reach the coordinator at http://127.0.0.1:1
 |
 = note: connection refused
 = help: is it running? `regatta doctor --on http://127.0.0.1:1` looks

Exit code 3 (infrastructure): see `regatta explain 3`.
";
        assert_eq!(error.render(false), wanted);
    }

    #[test]
    fn a_status_is_told_in_its_own_words_and_what_was_said_is_not_said_again() {
        let status = tonic::Status::from_error(Box::new(std::io::Error::other("no route to host")));
        let told = |error: Error| error.render(false);
        let text = told(Error::infrastructure("the runs cannot be listed").because(&status));
        assert!(text.contains(" = note: no route to host\n") && !text.contains("code:"), "{text}");
        assert_eq!(text.matches("= note").count(), 1, "{text}");
        let text = told(Error::infrastructure("cannot listen: no route to host").because(&status));
        assert!(!text.contains("= note"), "{text}");
    }

    #[test]
    fn colour_is_written_only_when_asked_for() {
        let error = Error::new(Exit::Usage, Mistake::new("no").help("yes").at(place(0..1)));
        assert!(error.render(true).contains('\u{1b}'));
        assert!(!error.render(false).contains('\u{1b}'));
    }
}
