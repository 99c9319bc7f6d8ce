//! A command template, and the arguments that it becomes. There is no shell in between, unless the template is a line
//! for one: then what is put in is quoted.

use std::path::Path;

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    /// `{id}`
    pub(super) id: &'a str,
    /// `{file}`
    pub(super) file: &'a Path,
    /// `{result}`
    pub(super) result: &'a Path,
}

/// The arguments.
pub(super) fn expand(template: &[String], values: Values<'_>) -> Vec<String> {
    let (file, result) = (values.file.to_string_lossy(), values.result.to_string_lossy());
    let all = [("{id}", values.id), ("{file}", &*file), ("{result}", &*result)];
    let is_line = |at| at == 2 && template.len() == 3 && template[1] == "-c" && template[0].ends_with("sh");
    let expanded = |(at, argument): (usize, &String)| fill(argument, &all, is_line(at));
    template.iter().enumerate().map(expanded).collect()
}

/// `text` with every placeholder replaced once: what is put in is not looked at again.
fn fill(text: &str, values: &[(&str, &str)], quoted: bool) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        match values.iter().find(|(placeholder, _)| rest.starts_with(placeholder)) {
            Some((placeholder, value)) => {
                filled.push_str(&if quoted { word(value) } else { (*value).to_owned() });
                rest = &rest[placeholder.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

/// `value` as one word for a shell.
fn word(value: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-./:@%+=,".contains(char);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &[&str], id: &str, expected: &[&str]) {
        let template: Vec<String> = template.iter().map(|&argument| argument.to_owned()).collect();
        let values = Values { id, file: Path::new("/s/f"), result: Path::new("/s/r") };
        assert_eq!(expand(&template, values), expected);
    }

    #[test]
    fn placeholders_are_replaced_wherever_they_stand_and_only_once() {
        check(&["run", "--only={id}", "{file}", "{result}"], "a b", &["run", "--only=a b", "/s/f", "/s/r"]);
        check(&["run", "{id}{id}", "{other}", "{"], "{file}", &["run", "{file}{file}", "{other}", "{"]);
    }

    #[test]
    fn a_line_for_the_shell_gets_words() {
        check(&["sh", "-c", "run {id} > {result}"], "it's $(x)", &["sh", "-c", r"run 'it'\''s $(x)' > /s/r"]);
        check(&["sh", "-c", "run '{id}'"], "tests/a.sh", &["sh", "-c", "run 'tests/a.sh'"]);
        check(&["sh", "-c", "run {id}"], "", &["sh", "-c", "run ''"]);
    }
}
