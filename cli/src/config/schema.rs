//! The JSON Schema of `regatta.toml`, derived from the types that it is read into.

use super::file::File;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

/// The schema.
pub(crate) fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().with_transform(WithoutNull).with_transform(OneLine);
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<File>();
    schema.insert("title".to_owned(), "regatta.toml".into());
    schema
}

/// TOML has no null: an optional key is one that may be left out.
#[derive(Clone, Debug)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
            options.retain(|option| option.get("type") != Some(&"null".into()));
            if let [Value::Object(only)] = options.as_slice() {
                let only = only.clone();
                schema.remove("anyOf");
                schema.ensure_object().extend(only);
            }
        }
        transform_subschemas(self, schema);
    }
}

/// Descriptions are wrapped for the source; editors wrap them for themselves.
#[derive(Clone, Debug)]
struct OneLine;

impl Transform for OneLine {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.split('\n').collect::<Vec<_>>().join(" ");
        }
        transform_subschemas(self, schema);
    }
}
