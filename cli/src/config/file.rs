//! A `regatta.toml` as a whole: its sections, and what only shows when they are seen together.

use super::at::At;
use super::decode::{Decode as _, Fields, Mistakes, Value};
use super::profile::Profile;
use super::resource::Declared;
use super::suite::Suite;
use super::value::{Name, Whole};
use crate::error::{Error, Mistake};
use regatta_domain::filter::nearest;
use schemars::JsonSchema;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// The profile that every other one inherits in the end.
pub(crate) const DEFAULT_PROFILE: &str = "default";

/// The configuration of Regatta: `regatta.toml`.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct File {
    /// What history belongs to.
    #[schemars(default)]
    pub(crate) project: Project,
    /// The suites, by name: `[suite.NAME]`.
    #[schemars(default, extend("propertyNames" = { "pattern": Name::PATTERN }))]
    pub(crate) suite: BTreeMap<String, Suite>,
    /// The profiles, by name: `[profile.NAME]`.
    #[schemars(default, extend("propertyNames" = { "pattern": Name::PATTERN }))]
    pub(crate) profile: BTreeMap<String, Profile>,
    /// The groups, by name: `[group.NAME]`.
    #[schemars(default, extend("propertyNames" = { "pattern": Name::PATTERN }))]
    pub(crate) group: BTreeMap<String, Group>,
    /// What tests share on this machine, in local mode: seats, or a table. The resources of a fleet are its coordinator's.
    #[schemars(default, extend("propertyNames" = { "pattern": Name::PATTERN }))]
    pub(crate) resources: BTreeMap<String, At<Declared>>,
}

/// What history belongs to.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Project {
    /// The name of the project. That of the directory of `regatta.toml` when left out.
    pub(crate) name: Option<At<Name>>,
}

/// Tests that share a limit across the whole fleet.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Group {
    /// How many of its tests may run at the same time.
    pub(crate) max: At<Whole<1, 100_000>>,
}

impl File {
    /// Reads and checks a file that people know as `name`. `is_directory` answers for paths relative to its base.
    pub(crate) fn parse(name: &Arc<str>, text: &Arc<str>, is_directory: &dyn Fn(&Path) -> bool) -> Result<Self, Error> {
        let mut told = Mistakes::of(name.clone(), text.clone());
        let (document, broken) = DeTable::parse_recoverable(text);
        if !broken.is_empty() {
            // What was recovered of a broken file says little about what was meant.
            for error in broken {
                let mistake = Mistake::new(format!("this is not TOML: {}", error.message()));
                told.tell(error.span().unwrap_or_default(), mistake);
            }
            return told.into_result().map(|()| Self::default());
        }
        let file = Self::decode(document.get_ref(), document.span(), &mut told);
        file.check(&Names::of(document.get_ref()), is_directory, &mut told);
        told.into_result().map(|()| file)
    }

    fn decode(table: &DeTable<'_>, span: Range<usize>, told: &mut Mistakes) -> Self {
        let mut fields = Fields::of("regatta.toml", table, span);
        let project = fields.value("project").and_then(|value| Project::decode(value, told)).unwrap_or_default();
        let file = Self {
            project,
            suite: sections(&mut fields, "suite", told, Suite::decode),
            profile: sections(&mut fields, "profile", told, Profile::decode),
            group: sections(&mut fields, "group", told, Group::decode),
            resources: resources(&mut fields, told),
        };
        fields.finish(told);
        file
    }

    /// Finds what is wrong between the sections: names that nothing has, and profiles that inherit in a circle.
    fn check(&self, names: &Names, is_directory: &dyn Fn(&Path) -> bool, told: &mut Mistakes) {
        for root in self.suite.values().filter_map(|suite| suite.root.as_ref()) {
            if !is_directory(Path::new(&root.value)) {
                let mistake = Mistake::new(format!("there is no directory `{}`", root.value));
                told.tell(root.span.clone(), mistake.help("a root is relative to the directory of regatta.toml"));
            }
        }
        for (name, profile) in &self.profile {
            if let Some(parent) = &profile.inherits {
                self.check_parent(name, parent, names, told);
            }
            for suite in profile.suites.iter().flat_map(|suites| &suites.value) {
                refer("suite", suite, &names.suite, told);
            }
            for group in profile.r#override.iter().filter_map(|rules| rules.group.as_ref()) {
                refer("group", group, &names.group, told);
            }
        }
    }

    fn check_parent(&self, name: &str, parent: &At<Name>, names: &Names, told: &mut Mistakes) {
        if name == DEFAULT_PROFILE {
            let mistake = Mistake::new("the profile `default` cannot inherit");
            told.tell(parent.span.clone(), mistake.help("every profile inherits `default` in the end"));
        } else if parent.value.0 != DEFAULT_PROFILE {
            refer("profile", parent, &names.profile, told);
        }
        let mut chain = vec![name];
        let mut next = Some(&parent.value.0);
        while let Some(at) = next {
            if at == name {
                // Told once, at the member of the circle that comes first by name.
                if chain.iter().all(|member| *member >= name) {
                    let circle = format!("profiles inherit in a circle: {} -> {name}", chain.join(" -> "));
                    told.tell(parent.span.clone(), Mistake::new(circle));
                }
                return;
            }
            if chain.contains(&at.as_str()) {
                return;
            }
            chain.push(at);
            next = self.profile.get(at).and_then(|profile| profile.inherits.as_ref()).map(|parent| &parent.value.0);
        }
    }
}

/// The names of the sections, of those with mistakes, too: who refers to one of those makes no mistake of their own.
struct Names {
    suite: Vec<String>,
    profile: Vec<String>,
    group: Vec<String>,
}

impl Names {
    fn of(table: &DeTable<'_>) -> Self {
        let names = |key: &str| {
            let section = table.get(key).and_then(|value| value.get_ref().as_table());
            section.into_iter().flat_map(|section| section.keys()).map(|name| name.get_ref().to_string()).collect()
        };
        Self { suite: names("suite"), profile: names("profile"), group: names("group") }
    }
}

/// Tells when nothing is called as `name` says.
fn refer(what: &str, name: &At<Name>, known: &[String], told: &mut Mistakes) {
    let given = &name.value.0;
    if known.contains(given) {
        return;
    }
    let mistake = Mistake::new(format!("there is no {what} `{given}`"));
    let help = match nearest(given, known.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("describe it under `[{what}.{given}]`"),
        None => format!("there are {}", known.join(", ")),
    };
    told.tell(name.span.clone(), mistake.help(help));
}

type Section<T> = fn(&str, &Value<'_>, Range<usize>, &mut Mistakes) -> Option<T>;

/// Reads `[key.NAME]` for every name.
fn sections<T>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    told: &mut Mistakes,
    decode: Section<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    let Some(value) = fields.value(key) else { return found };
    let DeValue::Table(table) = value.get_ref() else {
        let mistake = Mistake::new(format!("`{key}` must be a table of named tables"));
        told.tell(value.span(), mistake.help(format!("write `[{key}.NAME]`")));
        return found;
    };
    for (name, value) in table {
        if let Some(section) = decode(name.get_ref(), value, name.span(), told) {
            found.insert(name.get_ref().clone().into_owned(), section);
        }
    }
    found
}

/// Reads a file that holds nothing but `[resources]`: what a coordinator is started with, or what is declared over its service.
///
/// # Errors
/// All mistakes, each with its place.
pub(crate) fn declared(name: &Arc<str>, text: &Arc<str>) -> Result<BTreeMap<String, At<Declared>>, Error> {
    let mut told = Mistakes::of(name.clone(), text.clone());
    let (document, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        for error in broken {
            let mistake = Mistake::new(format!("this is not TOML: {}", error.message()));
            told.tell(error.span().unwrap_or_default(), mistake);
        }
        return told.into_result().map(|()| BTreeMap::new());
    }
    let mut fields = Fields::of("a file of resources", document.get_ref(), document.span());
    let found = resources(&mut fields, &mut told);
    fields.finish(&mut told);
    told.into_result()?;
    if found.is_empty() {
        let what = format!("{name} declares nothing");
        return Err(Error::usage(what).help("write `[resources]`, and a line like `db = 1` for each"));
    }
    Ok(found)
}

/// Reads `[resources]`: seats, or tables, by name.
fn resources(fields: &mut Fields<'_, '_>, told: &mut Mistakes) -> BTreeMap<String, At<Declared>> {
    let mut found = BTreeMap::new();
    let Some(value) = fields.value("resources") else { return found };
    let DeValue::Table(table) = value.get_ref() else {
        let mistake = Mistake::new("`resources` must be a table of resources by name");
        told.tell(value.span(), mistake.help("write `[resources]`, and a line like `db = 1` for each"));
        return found;
    };
    for (name, value) in table {
        if let Err(mistake) = Name::check("a resource", name.get_ref()) {
            told.tell(name.span(), mistake);
        }
        if let Some(resource) = At::decode(name.get_ref(), value, told) {
            found.insert(name.get_ref().clone().into_owned(), resource);
        }
    }
    found
}

impl Project {
    fn decode(value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let mut fields = Fields::of_value("the project", "project", value, told)?;
        let project = Self { name: fields.take("name", told) };
        fields.finish(told);
        Some(project)
    }
}

impl Group {
    fn decode(name: &str, value: &Value<'_>, span: Range<usize>, told: &mut Mistakes) -> Option<Self> {
        if let Err(mistake) = Name::check("a group", name) {
            told.tell(span, mistake);
        }
        let mut fields = Fields::of_value("a group", &format!("group.{name}"), value, told)?;
        let max = fields.require("max", "4", told);
        fields.finish(told);
        Some(Self { max: max? })
    }
}
