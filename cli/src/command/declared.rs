//! Files that declare resources: TOML as in regatta.toml, or the same as JSON; `-` is standard input.

use crate::config::At;
use crate::config::file;
use crate::config::resource::Declared;
use crate::error::Error;
use crate::intent::Context;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// The largest file that is read: ten thousand items with a kilobyte each.
const MAX_BYTES: u64 = 10 * 1024 * 1024;

/// Reads what a file declares.
///
/// # Errors
/// When it cannot be read, or makes no sense: all mistakes together.
pub(super) fn read(file: &Path, context: &Context<'_>) -> Result<BTreeMap<String, At<Declared>>, Error> {
    let is_stdin = file == Path::new("-");
    let name: Arc<str> = if is_stdin { "standard input".into() } else { file.display().to_string().into() };
    let refuse = |error: &std::io::Error| Error::usage(format!("cannot read {name}")).because(error);
    let source: Box<dyn std::io::Read> = if is_stdin {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(context.cwd.join(file)).map_err(|error| refuse(&error))?)
    };
    let mut text = String::new();
    source.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| refuse(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::usage(format!("{name} is larger than {MAX_BYTES} bytes")));
    }
    // No TOML begins like an object of JSON.
    if !text.trim_start().starts_with('{') {
        return file::declared(&name, &text.into());
    }
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| Error::usage(format!("{name} is not JSON")).because(&error))?;
    let serde_json::Value::Object(top) = &json else {
        return Err(Error::usage(format!("{name} must be an object")).help("write {\"resources\": {…}}"));
    };
    let mut toml = String::new();
    for (key, value) in top {
        toml.push_str(&format!("{} = ", serde_json::Value::from(key.as_str())));
        write(&mut toml, value).ok_or_else(|| Error::usage(format!("{name} holds null: leave the key out instead")))?;
        toml.push('\n');
    }
    // What is wrong in it is shown as TOML: the same words with other signs between them.
    file::declared(&format!("{name} (as TOML)").into(), &toml.into())
}

/// Writes a value as TOML, where it can be: strings of JSON are strings of TOML, too.
fn write(toml: &mut String, value: &serde_json::Value) -> Option<()> {
    match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Array(items) => {
            toml.push('[');
            for item in items {
                write(toml, item)?;
                toml.push_str(", ");
            }
            toml.push(']');
        }
        serde_json::Value::Object(table) => {
            toml.push_str("{ ");
            for (at, (key, value)) in table.iter().enumerate() {
                let between = if at == 0 { "" } else { ", " };
                toml.push_str(&format!("{between}{} = ", serde_json::Value::from(key.as_str())));
                write(toml, value)?;
            }
            toml.push_str(" }");
        }
        plain => toml.push_str(&plain.to_string()),
    }
    Some(())
}
