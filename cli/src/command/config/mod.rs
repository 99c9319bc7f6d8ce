//! `config show`: every value that counts, and where it comes from.

mod rows;

use super::print;
use crate::args::{ConfigArgs, ConfigCommand, TableFormat};
use crate::error::Error;
use crate::exit::Exit;
use crate::intent::{Context, Plan};
use rows::{Row, Shown};
use serde_json::{Value, json};

/// Shows the configuration.
pub(crate) fn config(args: ConfigArgs, context: &Context<'_>) -> Result<Exit, Error> {
    let ConfigCommand::Show { origin, format, selection, rules } = args.command;
    let plan = context.plan(&selection, &rules, None)?;
    let rows = rows::rows(&plan);
    let text = match format {
        TableFormat::Human => human(&plan, &rows, origin),
        TableFormat::Json => format!("{:#}\n", machine(&plan, &rows)),
    };
    print(&text)?;
    Ok(Exit::Ok)
}

/// TOML that could be written like this, with the origins as comments.
fn human(plan: &Plan, rows: &[Row], with_origin: bool) -> String {
    let mut text = match &plan.config.path {
        Some(path) => format!("# {}\n", path.display()),
        None => plan.config.assumed.iter().map(|note| format!("# assumed: {note}\n")).collect(),
    };
    for section in rows.chunk_by(|a, b| a.section == b.section && a.part == b.part) {
        let header = &section[0].section;
        let (open, close) = if section[0].part.is_some() { ("[[", "]]") } else { ("[", "]") };
        text.push_str(&format!("\n{open}{header}{close}\n"));
        let lines: Vec<String> = section.iter().map(line).collect();
        let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width <= 48).max().unwrap_or(0);
        for (line, row) in lines.iter().zip(section) {
            if with_origin {
                text.push_str(&format!("{line:width$}  # {}\n", row.origin));
            } else {
                text.push_str(&format!("{line}\n"));
            }
        }
    }
    text
}

fn line(row: &Row) -> String {
    match &row.shown {
        Shown::Is(value) => format!("{} = {}", row.key, toml(value)),
        Shown::Unset(meaning) => format!("# {}: {meaning}", row.key),
    }
}

/// The value in TOML, on one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Object(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{} = {}", bare(key), toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        // JSON's strings, numbers and booleans are TOML's.
        scalar => scalar.to_string(),
    }
}

fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_bare { key.to_owned() } else { Value::from(key).to_string() }
}

fn machine(plan: &Plan, rows: &[Row]) -> Value {
    let values: Vec<Value> = rows
        .iter()
        .map(|row| {
            let value = match &row.shown {
                Shown::Is(value) => value.clone(),
                Shown::Unset(_) => Value::Null,
            };
            json!({ "section": row.section, "part": row.part, "key": row.key, "value": value, "origin": row.origin.to_string() })
        })
        .collect();
    json!({
        "file": plan.config.path.as_ref().map(|path| path.display().to_string()),
        "assumed": plan.config.assumed,
        "profile": plan.rules.profile,
        "inherits": plan.rules.inherits,
        "suites": plan.chosen.suites,
        "values": values,
    })
}

#[cfg(test)]
mod tests;
