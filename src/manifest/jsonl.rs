//! JSON Lines → rows: one object a line, its values strings, integers or null.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Input, ManifestError, RECORD_BYTES_MAX, Row,
    column::{Column, Fields, IgnoredNames},
    lines::LineReader,
    reason::{Reason, Rule},
    rules::Rules,
};

/// Reads rows of a JSON Lines text.
pub(super) struct JsonRows {
    lines: LineReader<Input>,
}

impl JsonRows {
    pub(super) fn new(input: Input) -> Self {
        Self { lines: LineReader::new(input, RECORD_BYTES_MAX) }
    }

    /// The next row that is not blank. Notes the keys that are not the manifest's.
    pub(super) fn next_row(&mut self, rules: &Rules, ignored: &mut IgnoredNames) -> Result<Option<Row>, ManifestError> {
        let is_there = self.lines.advance().map_err(ManifestError::Read)?;
        Ok(is_there.then(|| self.row(rules, ignored).of_text(self.lines.bytes())))
    }

    fn row(&self, rules: &Rules, ignored: &mut IgnoredNames) -> Row {
        let object = match self.object(ignored) {
            Ok(object) => object,
            Err(reason) => return Row::rejected(self.lines.number(), &Fields::default(), reason),
        };
        let texts = object.values.map(|value| value.map_or(Ok(Cow::Borrowed("")), text));
        let as_written = |column| object.values[column as usize].map_or("", RawValue::get);
        let fields = Fields::of(|column| texts[column as usize].as_deref().unwrap_or_else(|_| as_written(column)));
        let wrong_type = Column::ALL.into_iter().find_map(|column| {
            let found = *texts[column as usize].as_ref().err()?;
            Some(Reason::Value { column, rule: Rule::JsonType { found } })
        });
        match object.key_twice.map(Reason::KeyTwice).or(wrong_type) {
            Some(reason) => Row::rejected(self.lines.number(), &fields, reason),
            None => Row::checked(self.lines.number(), &fields, rules),
        }
    }

    fn object(&self, ignored: &mut IgnoredNames) -> Result<Object<'_>, Reason> {
        if self.lines.is_too_long() {
            return Err(Reason::TooLong);
        }
        let text = std::str::from_utf8(self.lines.bytes()).map_err(|_| Reason::NotUtf8)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let object = ObjectSeed { ignored }.deserialize(&mut json);
        object
            .and_then(|object| json.end().map(|()| object))
            .map_err(|error| Reason::NotAnObject { byte: error.column().max(1) })
    }
}

/// The text of a value as the rules read it, or what else it is. Null is no text.
pub(crate) fn text(value: &RawValue) -> Result<Cow<'_, str>, &'static str> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map(|Text(text)| text).map_err(|_| "a string that is not Unicode"),
        Some(b'-' | b'0'..=b'9') if json.contains(['.', 'e', 'E']) => Err("a number with a fraction or an exponent"),
        Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(json)),
        Some(b'n') => Ok(Cow::Borrowed("")),
        Some(b'[') => Err("a list"),
        Some(b'{') => Err("an object"),
        _ => Err("true or false"),
    }
}

/// A string, borrowed from the line where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The values of one line by column, as they are written.
#[derive(Default)]
struct Object<'a> {
    values: [Option<&'a RawValue>; Column::ALL.len()],
    key_twice: Option<Column>,
}

struct ObjectSeed<'s> {
    ignored: &'s mut IgnoredNames,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = Object<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_> {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Object::default();
        while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            match Column::from_name(&key) {
                None => self.ignored.note(&key),
                Some(column) => {
                    if object.values[column as usize].replace(value).is_some() {
                        object.key_twice.get_or_insert(column);
                    }
                }
            }
        }
        Ok(object)
    }
}
