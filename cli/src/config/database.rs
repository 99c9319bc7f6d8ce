//! `database` of a suite: which database its tests use, and what its template is built from.

use super::at::At;
use super::decode::{Choice, Decode, Fields, Mistakes, Value, refuse};
use super::value::{Argv, Limit, Name};
use crate::error::Mistake;
use globset::Glob;
use regatta_domain::database::{Per, PlannedDatabase};
use regatta_domain::{Digest, Micros};
use regatta_wire::limits::{DATABASES_PER_SUITE, LABELS};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// How long the command that builds a template may take.
const BUILD_LIMIT: Micros = Micros::from_secs(300);

/// The databases of a suite.
#[derive(Clone, Debug)]
pub(crate) struct Databases(pub(crate) Vec<Use>);

/// A database that a suite uses.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "database", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Use {
    /// The resource that provides it: one of `[resources]`, or of the coordinator.
    pub(crate) resource: At<Name>,
    /// The command that builds its template, in the suite's directory. An empty database when left out.
    pub(crate) build: Option<At<Argv>>,
    /// What the template is built from: globs of files below the suite's directory. When one of them changes, it is built anew.
    pub(crate) inputs: Option<At<Vec<Input>>>,
    /// Extensions that are there before the command runs: those that only an administrator may create.
    pub(crate) extensions: Option<At<Vec<Name>>>,
    /// After this the command is stopped, and has failed. "5m" when left out.
    pub(crate) timeout: Option<At<Limit>>,
    /// What a database is handed to: each attempt of a "test" (when left out), or all tests of a "shard".
    #[schemars(with = "Option<PerWord>")]
    pub(crate) per: Option<At<Per>>,
    /// Whether it is leased when a test first connects, rather than before the test begins. For PostgreSQL; all databases of a
    /// suite are, or none is. False when left out.
    pub(crate) lazy: Option<At<bool>>,
}

/// Files that a template is built from.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// The glob.
    pub(crate) pattern: String,
    span: Range<usize>,
}

/// What a database is handed to.
#[derive(JsonSchema)]
#[schemars(rename = "per", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only describes the words in the schema")]
enum PerWord {
    /// Each attempt of a test has one of its own.
    Test,
    /// All tests of a shard share one.
    Shard,
}

impl Choice for Per {
    const WORDS: &'static [(&'static str, Self)] = &[("test", Self::Test), ("shard", Self::Shard)];
}

impl Decode for Databases {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let uses: Vec<Use> = match value.get_ref() {
            DeValue::String(_) => {
                let resource = At::decode(key, value, told)?;
                vec![Use {
                    resource,
                    build: None,
                    inputs: None,
                    extensions: None,
                    timeout: None,
                    per: None,
                    lazy: None,
                }]
            }
            DeValue::Table(_) => vec![Use::decode(key, value, told)?],
            DeValue::Array(items) if !items.is_empty() => Vec::decode(key, value, told)?,
            _ => {
                refuse(key, "the name of a resource, a table, or tables", value, told);
                return None;
            }
        };
        let mut names = BTreeSet::new();
        for resource in uses.iter().map(|of| &of.resource) {
            if !names.insert(&resource.value) {
                let twice = Mistake::new(format!("the suite uses the database `{}` twice", resource.value.0));
                told.tell(resource.span.clone(), twice.help("a test has one database of each resource"));
            }
        }
        if uses.len() > DATABASES_PER_SUITE {
            let most = Mistake::new(format!("a suite may use {DATABASES_PER_SUITE} databases at most"));
            told.tell(value.span(), most);
        }
        // What an attempt has is asked for together: with one on first use, the others would come late, or that one early.
        if let Some(some) = uses.iter().find(|of| of.is_lazy())
            && uses.iter().any(|of| !of.is_lazy())
            && let Some(lazy) = &some.lazy
        {
            let mistake = Mistake::new("of the databases of a suite, some are leased on first use and some are not");
            told.tell(lazy.span.clone(), mistake.help("write `lazy = true` for each of them, or for none"));
        }
        Some(Self(uses))
    }
}

impl Decode for Use {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let mut fields = Fields::of_value("a database of a suite", key, value, told)?;
        let resource = fields.require("resource", "\"app\"", told);
        let build: Option<At<Argv>> = fields.take("build", told);
        let inputs: Option<At<Vec<Input>>> = fields.take("inputs", told);
        let extensions: Option<At<Vec<Name>>> = fields.take("extensions", told);
        let (timeout, per, lazy) = (fields.take("timeout", told), fields.take("per", told), fields.take("lazy", told));
        fields.finish(told);
        if let Some(inputs) = inputs.as_ref().filter(|_| build.is_none()) {
            let mistake = Mistake::new("`inputs` say what a template is built from, and there is no `build`");
            told.tell(inputs.span.clone(), mistake.help("for example `build = [\"./migrate.sh\"]`"));
        }
        if let Some(extensions) = extensions.as_ref().filter(|extensions| extensions.value.len() > LABELS) {
            told.tell(
                extensions.span.clone(),
                Mistake::new(format!("a database may have {LABELS} extensions at most")),
            );
        }
        Some(Self { resource: resource?, build, inputs, extensions, timeout, per, lazy })
    }
}

impl Decode for Input {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let pattern = String::decode(key, value, told)?;
        let span = value.span();
        match Glob::new(&pattern) {
            Ok(_) => Some(Self { pattern, span }),
            Err(error) => {
                told.tell(span, Mistake::new(format!("`{pattern}` in `{key}` is no glob: {}", error.kind())));
                None
            }
        }
    }
}

impl Use {
    /// Whether it is leased when somebody first connects.
    pub(crate) fn is_lazy(&self) -> bool {
        self.lazy.as_ref().is_some_and(|lazy| lazy.value)
    }

    /// The database as a run holds it: its digest is that of what is in the files below `root` right now.
    ///
    /// # Errors
    /// Every pattern that matches nothing, and every file that cannot be read, each with the place of its pattern.
    pub(super) fn planned(&self, root: &Path) -> Result<PlannedDatabase, Vec<(Range<usize>, Mistake)>> {
        let build = self.build.as_ref().map_or(&[][..], |build| &build.value.0);
        let mut extensions: Vec<&str> =
            self.extensions.iter().flat_map(|names| &names.value).map(|name| name.0.as_str()).collect();
        extensions.sort_unstable();
        extensions.dedup();
        let mut hasher = blake3::Hasher::new();
        // Lengths go before parts, so that no two lists run together.
        let mut add = |parts: &[&[u8]]| {
            hasher.update(&(parts.len() as u64).to_le_bytes());
            for part in parts {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
        };
        add(&build.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        add(&extensions.iter().map(|name| name.as_bytes()).collect::<Vec<_>>());
        let mut mistakes = Vec::new();
        for (path, span) in self.files(root, &mut mistakes) {
            match std::fs::read(root.join(&path)) {
                Ok(content) => add(&[path.to_string_lossy().as_bytes(), &content]),
                Err(error) => {
                    let what = format!("`{}`, from which a template is built, cannot be read", path.display());
                    mistakes.push((span, Mistake::new(what).because(&error)));
                }
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(PlannedDatabase {
            resource: self.resource.value.0.as_str().into(),
            template: Digest(*hasher.finalize().as_bytes()),
            build: build.iter().map(|word| word.as_str().into()).collect(),
            build_limit: self.timeout.as_ref().map_or(BUILD_LIMIT, |limit| limit.value.0),
            extensions: extensions.into_iter().map(Into::into).collect(),
            per: self.per.as_ref().map(|per| per.value).unwrap_or_default(),
            lazy: self.is_lazy(),
        })
    }

    /// The files that the template is built from, in order, each once; with the pattern that found it first.
    fn files(&self, root: &Path, mistakes: &mut Vec<(Range<usize>, Mistake)>) -> BTreeMap<PathBuf, Range<usize>> {
        let mut found = BTreeMap::new();
        let inputs: Vec<&Input> = self.inputs.iter().flat_map(|inputs| &inputs.value).collect();
        if inputs.is_empty() {
            return found;
        }
        let below = below(root);
        for Input { pattern, span } in inputs {
            let matcher = Glob::new(pattern).expect("the pattern was checked").compile_matcher();
            let mut any = false;
            for path in below.iter().filter(|path| matcher.is_match(path)) {
                any = true;
                found.entry(path.clone()).or_insert_with(|| span.clone());
            }
            if !any {
                let what = format!("`{pattern}` matches no file below {}", root.display());
                let help = "`inputs` are what the template is built from, relative to the root of the suite";
                mistakes.push((span.clone(), Mistake::new(what).help(help)));
            }
        }
        found
    }
}

/// The files below a directory, relative to it; what version control ignores may be an input, what is in its own does not.
fn below(root: &Path) -> Vec<PathBuf> {
    let mut walk = ignore::WalkBuilder::new(root);
    walk.standard_filters(false).filter_entry(|entry| !matches!(entry.file_name().to_str(), Some(".git" | ".regatta")));
    let files = walk.build().flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    files.filter_map(|entry| entry.path().strip_prefix(root).ok().map(Path::to_owned)).collect()
}

impl JsonSchema for Databases {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "databases".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (name, table) = (generator.subschema_for::<Name>(), generator.subschema_for::<Use>());
        let tables = json_schema!({ "type": "array", "items": table, "minItems": 1, "maxItems": DATABASES_PER_SUITE });
        json_schema!({ "anyOf": [name, table, tables] })
    }
}

impl JsonSchema for Input {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "input".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "examples": ["migrations/**"] })
    }
}
