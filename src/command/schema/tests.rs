//! The schemas are drawn from the types that are written, and, of the configuration, from what its check accepts: it is asked.

use std::{collections::BTreeMap, fs, path::Path};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::Schema;
use crate::{
    config::{Config, ConfigError, DEFAULTS},
    figures::Figures,
    observe::report::Report,
};

#[test]
fn the_schemas_are_those_of_the_code() {
    for schema in Schema::ALL {
        let (name, drawn) = match schema {
            Schema::Config => ("vcq", of_config()),
            Schema::Report => ("report", of_report()),
            Schema::Figures => ("figures", of_type::<Figures>()),
        };
        let drawn = serde_json::to_string_pretty(&drawn).unwrap() + "\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{name}.schema.json"));
        #[expect(clippy::disallowed_methods, reason = "a test that writes its reference anew when it is asked to")]
        if std::env::var_os("VCQ_BLESS").is_some() {
            fs::write(&path, &drawn).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap() == drawn,
            "config/{name}.schema.json differs from the code; `VCQ_BLESS=1 cargo test --lib schema` writes it anew, `git diff` \
             then shows what changed"
        );
    }
}

/// Of what is serialised. Numbers are numbers, whatever type they have in the code.
fn of_type<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().for_serialize().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    each_object(&mut schema, &mut |object| {
        let is_of_dates = |format: &Value| format.as_str().is_some_and(|format| format.starts_with("date"));
        if object.get("format").is_some_and(|format| !is_of_dates(format)) {
            object.remove("format");
        }
    });
    schema
}

fn each_object(value: &mut Value, act: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            act(object);
            object.values_mut().for_each(|value| each_object(value, act));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| each_object(value, act)),
        _ => {}
    }
}

/// The report's keys are described as on its page.
fn of_report() -> Value {
    let mut schema = of_type::<Report>();
    each_object(&mut schema, &mut |object| {
        if object.get("description").is_some_and(Value::is_string) {
            object.remove("description");
        }
    });
    for row in include_str!("../../../config/REPORT.md").lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (key, unit, meaning) = (cells[0].trim_end_matches('`'), cells[1], cells[2]);
        let node = at(&mut schema, key).unwrap_or_else(|| panic!("`{key}` is not in the report"));
        let description = [unit, meaning].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        node.insert("description".to_owned(), description.into());
    }
    schema["description"] = "The report of a run: config/REPORT.md. Within a version keys are added".into();
    schema
}

/// The schema of a key, such as `manifest.files[].rows` or `unparsed.<column>.count`.
fn at<'a>(schema: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    let mut node = schema;
    for part in key.split('.') {
        if node.get("anyOf").is_some() {
            node = node.get_mut("anyOf")?.as_array_mut()?.iter_mut().find(|one| one.get("properties").is_some())?;
        }
        node = match part.strip_suffix("[]") {
            Some(list) => node.get_mut("properties")?.get_mut(list)?.get_mut("items")?,
            None if part.starts_with('<') => node.get_mut("additionalProperties")?,
            None => node.get_mut("properties")?.get_mut(part)?,
        };
    }
    node.as_object_mut()
}

fn of_config() -> Value {
    let comments = comments();
    let table = |path: &str, table: &toml::Table| {
        let of_key = |(key, value): (&String, &toml::Value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            (!value.is_table()).then(|| (key.clone(), of_key(&path, value, &comments[&path])))
        };
        table.iter().filter_map(of_key).collect::<Map<String, Value>>()
    };
    let object = |properties: Map<String, Value>| json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let defaults: toml::Table = DEFAULTS.parse().unwrap();
    let mut properties = table("", &defaults);
    for (name, value) in &defaults {
        if let toml::Value::Table(inner) = value {
            properties.insert(name.clone(), object(table(name, inner)));
        }
    }
    let mut schema = object(properties);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "vcq.toml".into();
    schema
}

/// What stands above each key of the documented file.
fn comments() -> BTreeMap<String, String> {
    let (mut comments, mut table, mut comment) = (BTreeMap::new(), String::new(), Vec::new());
    for line in DEFAULTS.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
            comment.clear();
        } else if let Some((key, _)) = line.split_once(" = ") {
            comments.insert(format!("{table}{key}"), comment.join(" "));
        } else if line.is_empty() {
            comment.clear();
        }
    }
    comments
}

fn of_key(path: &str, default: &toml::Value, comment: &str) -> Value {
    let rule = accepts(path, "[[]]").expect_err("a list of lists is accepted nowhere");
    let mut schema = Map::new();
    let kind = match default {
        toml::Value::Boolean(_) => "boolean",
        toml::Value::Integer(default) => {
            if let Some(least) = bound(path, *default, i64::MIN) {
                schema.insert("minimum".to_owned(), least.into());
            }
            if let Some(most) = bound(path, *default, i64::MAX) {
                schema.insert("maximum".to_owned(), most.into());
            }
            if accepts(path, &format!("{default}.5")).is_ok() { "number" } else { "integer" }
        }
        toml::Value::Array(_) => {
            let words: Vec<_> = rule.trim_start_matches("a list of ").split(", ").collect();
            // A rule that names no words leaves them open.
            let is_choice = words.iter().all(|word| accepts(path, &format!("[{word:?}]")).is_ok());
            let items = if is_choice { json!({ "enum": words }) } else { json!({ "type": "string" }) };
            schema.insert("items".to_owned(), items);
            "array"
        }
        toml::Value::String(_) => {
            if let Some(words) = words(&rule) {
                assert!(words.iter().all(|word| accepts(path, &format!("{word:?}")).is_ok()), "`{path}`: {rule}");
                schema.insert("enum".to_owned(), words.into());
            }
            "string"
        }
        other => panic!("`{path}` is {other:?}"),
    };
    schema.insert("type".to_owned(), kind.into());
    schema.insert("default".to_owned(), serde_json::to_value(default).unwrap());
    schema.insert("description".to_owned(), format!("{comment} Must be {rule}.").trim_start().into());
    schema.into()
}

/// The rule that a value breaks.
fn accepts(path: &str, value: &str) -> Result<(), String> {
    let text = match path.split_once('.') {
        Some((table, key)) => format!("[{table}]\n{key} = {value}"),
        None => format!("{path} = {value}"),
    };
    match Config::load(Some(("vcq.toml", &text)), [], &[]) {
        Ok(_) => Ok(()),
        Err(ConfigError::Value { rule, .. }) => Err(rule.to_owned()),
        Err(error) => panic!("{text}: {error}"),
    }
}

/// The number farthest from `accepted`, towards `end`, that is accepted; none: all are.
fn bound(path: &str, accepted: i64, end: i64) -> Option<i64> {
    let is_accepted = |number: i64| accepts(path, &number.to_string()).is_ok();
    if is_accepted(end) {
        return None;
    }
    let (mut accepted, mut refused) = (accepted, end);
    while accepted.abs_diff(refused) > 1 {
        let middle = accepted.midpoint(refused);
        *(if is_accepted(middle) { &mut accepted } else { &mut refused }) = middle;
    }
    Some(accepted)
}

/// The words of a rule that is a choice between them, such as "`a`, `b` or `c`".
fn words(rule: &str) -> Option<Vec<&str>> {
    let is_separator = |text: &str| ["", ", ", " or ", ", or "].contains(&text);
    let parts: Vec<_> = rule.split('`').collect();
    let is_choice = parts.len() > 3 && parts.iter().step_by(2).all(|part| is_separator(part));
    is_choice.then(|| parts.into_iter().skip(1).step_by(2).collect())
}
