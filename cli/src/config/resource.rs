//! `[resources]`: what tests share, as it is declared: a number of seats, or a table. The same notation serves a coordinator's
//! file, and what is declared over its service.

use super::at::At;
use super::decode::{Choice, Decode, Fields, Mistakes, Value, refuse};
use super::value::{Argv, Limit, MAX_SEATS, Name, Whole};
use crate::error::Mistake;
use regatta_domain::database::{DatabaseServer, Engine};
use regatta_domain::resource::{Hook, Hooks};
use regatta_domain::{Item, Micros, Resource, ResourceKind};
use regatta_wire::limits::{ITEMS_PER_POOL, LABELS};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use toml::de::DeValue;

/// Seats of a resource.
pub(crate) type Seats = Whole<1, { MAX_SEATS as u64 }>;

/// A resource, as it is declared.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    /// What is declared; the programs of hooks as they were written.
    resource: Resource,
    /// Only seats were written.
    pub(crate) is_plain: bool,
}

/// The table form of [`Declared`].
#[derive(JsonSchema)]
#[schemars(rename = "resource", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only describes the table in the schema")]
struct ResourceTable {
    /// What kind of resource. Left out: "pool" where there are items, else "semaphore".
    kind: Option<Kind>,
    /// How many may hold some of it at once: of a semaphore; and of a database server, where its connections do not say it.
    seats: Option<Seats>,
    /// The items of a pool.
    #[schemars(length(min = 1, max = 10_000))]
    items: Option<Vec<ItemTable>>,
    /// Runs before an item is leased for the first time; a pool without items has those that it prints as JSON.
    prepare: Option<HookTable>,
    /// Runs between two leases.
    reset: Option<HookTable>,
    /// Runs now and then, and after a failed test.
    check: Option<CheckTable>,
    /// Runs when it is not offered any more.
    dispose: Option<HookTable>,
    /// The server of a database, with the rights to make databases and roles. Left out: one is started, and thrown away.
    #[schemars(length(min = 1))]
    url: Option<String>,
    /// Where the programs of a database server are. Left out: wherever they are found.
    #[schemars(length(min = 1))]
    programs: Option<String>,
}

/// An item of a pool.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename = "item", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only describes the table in the schema")]
struct ItemTable {
    /// Its name, unique in the pool.
    name: Name,
    /// What needs may ask for, by name.
    labels: Option<BTreeMap<String, String>>,
    /// What its holder is told, by name; nobody else is.
    values: Option<BTreeMap<String, String>>,
}

/// A command that is run with a resource.
#[derive(JsonSchema)]
#[schemars(rename = "hook", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only describes the table in the schema")]
struct HookTable {
    /// The command.
    run: Argv,
    /// After this it is stopped, and has failed. "60s" when left out.
    timeout: Option<Limit>,
    /// How often it is tried again. 0 when left out.
    retries: Option<Tries>,
}

/// A command that looks whether a resource is well.
#[derive(JsonSchema)]
#[schemars(rename = "check", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only describes the table in the schema")]
struct CheckTable {
    /// The command.
    run: Argv,
    /// After this it is stopped, and has failed. "60s" when left out.
    timeout: Option<Limit>,
    /// How often it is tried again. 0 when left out.
    retries: Option<Tries>,
    /// From one check to the next. "30s" when left out.
    every: Option<Limit>,
}

/// How often a hook is tried again.
type Tries = Whole<0, 100>;

/// What kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Kind {
    /// One holder at a time.
    Mutex,
    /// As many holders as it has seats.
    Semaphore,
    /// Items, each with one holder at a time.
    Pool,
    /// Any number of readers, or one writer.
    ReadersWriter,
    /// A server of PostgreSQL.
    Postgres,
    /// A server of MySQL or MariaDB.
    Mysql,
    /// A server of Redis or Valkey.
    Redis,
    /// Files of SQLite.
    Sqlite,
}

impl Choice for Kind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("mutex", Self::Mutex),
        ("semaphore", Self::Semaphore),
        ("pool", Self::Pool),
        ("readers-writer", Self::ReadersWriter),
        ("postgres", Self::Postgres),
        ("mysql", Self::Mysql),
        ("redis", Self::Redis),
        ("sqlite", Self::Sqlite),
    ];
}

impl Kind {
    const fn engine(self) -> Option<Engine> {
        match self {
            Self::Postgres => Some(Engine::Postgres),
            Self::Mysql => Some(Engine::Mysql),
            Self::Redis => Some(Engine::Redis),
            Self::Sqlite => Some(Engine::Sqlite),
            Self::Mutex | Self::Semaphore | Self::Pool | Self::ReadersWriter => None,
        }
    }

    const fn of_core(self) -> ResourceKind {
        match self {
            Self::Mutex => ResourceKind::Mutex,
            Self::Semaphore => ResourceKind::Semaphore,
            Self::Pool => ResourceKind::Pool,
            Self::ReadersWriter => ResourceKind::ReadersWriter,
            Self::Postgres | Self::Mysql | Self::Redis | Self::Sqlite => ResourceKind::Database,
        }
    }
}

impl Declared {
    /// The resource. Programs of hooks that are written as paths (`./reset.sh`) are those below `base`.
    pub(crate) fn resource(&self, base: Option<&Path>) -> Resource {
        let mut resource = self.resource.clone();
        let Hooks { prepare, check, reset, dispose } = &mut resource.hooks;
        for hook in [prepare, check, reset, dispose].into_iter().flatten() {
            let Some(program) = hook.argv.first_mut() else { continue };
            if let Some(base) = base.filter(|_| program.contains('/')) {
                *program = base.join(&**program).display().to_string().into();
            }
        }
        resource
    }

    /// What is shown of it: no values, no addresses.
    pub(crate) fn shown(&self) -> serde_json::Value {
        let Resource { kind, seats, items, hooks, server } = &self.resource;
        if self.is_plain {
            return serde_json::json!(self.resource.total());
        }
        let kind = server.as_ref().map_or(kind.name(), |server| server.engine.name());
        let mut shown = serde_json::Map::from_iter([("kind".to_owned(), kind.into())]);
        if *seats > 0 {
            shown.insert("seats".to_owned(), (*seats).into());
        }
        if !items.is_empty() {
            shown.insert("items".to_owned(), items.iter().map(|item| &*item.name).collect());
        }
        let hooks = [
            ("prepare", &hooks.prepare),
            ("reset", &hooks.reset),
            ("check", &hooks.check),
            ("dispose", &hooks.dispose),
        ];
        for (name, hook) in hooks {
            if let Some(hook) = hook {
                shown.insert(name.to_owned(), hook.argv.iter().map(|word| &**word).collect());
            }
        }
        shown.into()
    }
}

impl Decode for Declared {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(_) => {
                let seats: Seats = Whole::decode(key, value, told)?;
                Some(Self { resource: Resource::of_seats(seats.get()), is_plain: true })
            }
            DeValue::Table(table) => {
                let mut fields = Fields::of("a resource", table, value.span());
                let resource = table_of(key, &mut fields, value, told);
                fields.finish(told);
                resource.map(|resource| Self { resource, is_plain: false })
            }
            _ => {
                refuse(key, "a number of seats, or a table", value, told);
                None
            }
        }
    }
}

fn table_of(key: &str, fields: &mut Fields<'_, '_>, value: &Value<'_>, told: &mut Mistakes) -> Option<Resource> {
    let kind: Option<At<Kind>> = fields.take("kind", told);
    let has_kind = fields.value("kind").is_some();
    let seats: Option<At<Seats>> = fields.take("seats", told);
    let items: Option<At<Vec<ItemEntry>>> = fields.take("items", told);
    let hooks = Hooks {
        prepare: hook(fields, "prepare", told),
        reset: hook(fields, "reset", told),
        check: hook(fields, "check", told),
        dispose: hook(fields, "dispose", told),
    };
    let (url, programs): (Option<At<String>>, Option<At<String>>) =
        (fields.take("url", told), fields.take("programs", told));
    let concluded = match (&items, &seats) {
        (Some(_), _) => Some(Kind::Pool),
        (None, Some(_)) => Some(Kind::Semaphore),
        (None, None) => None,
    };
    if !has_kind && concluded.is_none() && fields.value("items").is_none() && fields.value("seats").is_none() {
        let mistake = Mistake::new(format!("`{key}` does not say what it is"));
        told.tell(value.span(), mistake.help("write `seats = 3`, `items = [...]`, or `kind = \"readers-writer\"`"));
    }
    let kind = kind.map(|kind| kind.value).or(concluded.filter(|_| !has_kind))?;
    let is_server = kind.engine().is_some();
    let mut strange = |span: std::ops::Range<usize>, what: &str, belongs: &str| {
        told.tell(span, Mistake::new(format!("`{what}` belongs to {belongs}, and to nothing else")));
    };
    if let Some(items) = items.as_ref().filter(|_| kind != Kind::Pool) {
        strange(items.span.clone(), "items", "a pool");
    }
    if let Some(seats) = seats.as_ref().filter(|_| kind != Kind::Semaphore && !is_server) {
        strange(seats.span.clone(), "seats", "a semaphore, or to a database server");
    }
    for (name, given) in [("url", &url), ("programs", &programs)] {
        if let Some(given) = given.as_ref().filter(|_| !is_server) {
            strange(given.span.clone(), name, "a database server");
        }
    }
    if kind == Kind::Semaphore && seats.is_none() && fields.value("seats").is_none() {
        let mistake = Mistake::new(format!("the semaphore `{key}` needs the key `seats`"));
        told.tell(value.span(), mistake.help("for example `seats = 3`"));
    }
    if kind == Kind::Pool && items.is_none() && fields.value("items").is_none() && hooks.prepare.is_none() {
        let mistake = Mistake::new(format!("the pool `{key}` has no items"));
        let help = "write `items = [{ name = \"a\" }]`, or a `prepare` hook that prints them as JSON";
        told.tell(value.span(), mistake.help(help));
    }
    let text = |text: Option<At<String>>| text.map(|text| text.value.into());
    Some(Resource {
        kind: kind.of_core(),
        seats: seats.map_or(0, |seats| seats.value.get()),
        items: unique(key, items, told),
        hooks,
        server: kind.engine().map(|engine| DatabaseServer { engine, url: text(url), programs: text(programs) }),
    })
}

/// The items, if no two of them have the same name.
fn unique(key: &str, items: Option<At<Vec<ItemEntry>>>, told: &mut Mistakes) -> Vec<Item> {
    let Some(At { value: entries, span }) = items else { return Vec::new() };
    if entries.is_empty() {
        let mistake = Mistake::new(format!("the pool `{key}` has no items"));
        told.tell(span.clone(), mistake.help("leave `items` out where a `prepare` hook prints them"));
    }
    if entries.len() > ITEMS_PER_POOL {
        told.tell(span, Mistake::new(format!("a pool may have {ITEMS_PER_POOL} items at most")));
    }
    let mut names = BTreeSet::new();
    for ItemEntry { item, span } in &entries {
        if !names.insert(Arc::clone(&item.name)) {
            told.tell(span.clone(), Mistake::new(format!("`{key}` has two items called `{}`", item.name)));
        }
    }
    entries.into_iter().map(|entry| entry.item).collect()
}

/// An item, and where its name stands.
#[derive(Clone, Debug)]
struct ItemEntry {
    item: Item,
    span: std::ops::Range<usize>,
}

impl Decode for ItemEntry {
    fn decode(key: &str, value: &Value<'_>, told: &mut Mistakes) -> Option<Self> {
        let mut fields = Fields::of_value("an item", key, value, told)?;
        let name: Option<At<Name>> = fields.require("name", "\"a\"", told);
        let labels = pairs(&mut fields, "labels", told);
        let values = pairs(&mut fields, "values", told);
        fields.finish(told);
        let name = name?;
        let item = Item { name: name.value.0.into(), labels, values };
        Some(Self { item, span: name.span })
    }
}

fn pairs(fields: &mut Fields<'_, '_>, key: &'static str, told: &mut Mistakes) -> BTreeMap<Arc<str>, Arc<str>> {
    let Some(At { value, span }) = fields.take::<BTreeMap<String, String>>(key, told) else { return BTreeMap::new() };
    if value.len() > LABELS {
        told.tell(span, Mistake::new(format!("an item may have {LABELS} `{key}` at most")));
    }
    value.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn hook(fields: &mut Fields<'_, '_>, key: &'static str, told: &mut Mistakes) -> Option<Hook> {
    let value = fields.value(key)?;
    let mut fields = Fields::of_value("a hook", key, value, told)?;
    let run: Option<At<Argv>> = fields.require("run", "[\"./reset.sh\"]", told);
    let timeout: Option<At<Limit>> = fields.take("timeout", told);
    let retries: Option<At<Tries>> = fields.take("retries", told);
    let every: Option<At<Limit>> = if key == "check" { fields.take("every", told) } else { None };
    fields.finish(told);
    let span = |limit: Option<At<Limit>>, otherwise| limit.map_or(otherwise, |limit| limit.value.0);
    Some(Hook {
        argv: run?.value.0.into_iter().map(Into::into).collect(),
        timeout: span(timeout, Micros::from_secs(60)),
        retries: retries.map_or(0, |tries| tries.value.get()),
        every: span(every, Micros::from_secs(30)),
    })
}

impl JsonSchema for Declared {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "seats-or-resource".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (seats, table) = (generator.subschema_for::<Seats>(), generator.subschema_for::<ResourceTable>());
        json_schema!({ "anyOf": [seats, table] })
    }
}
