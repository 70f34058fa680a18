//! The general path: a page as any JSON text, by serde.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{COLUMNS, DecodeError, Field, Sample, Section, Unknown, columns_of};

/// Decodes `page`, but leaves out its first `skip` samples, which `each` has seen.
pub(super) fn decode<'a>(
    page: &'a str,
    unknown: &mut Unknown,
    skip: u32,
    each: impl FnMut(&Sample<'a>),
) -> Result<u32, DecodeError> {
    let mut reading = Reading { unknown, sample: Sample::EMPTY, samples: 0, skip, each };
    let mut json = serde_json::Deserializer::from_str(page);
    Node { level: Level::Page, reading: &mut reading }
        .deserialize(&mut json)
        .and_then(|()| json.end())
        .map_err(|error| DecodeError { offset: offset(page, &error) })?;
    Ok(reading.samples)
}

/// The bytes of `page` that were read until `error` was noticed.
fn offset(page: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    page.split_inclusive('\n').take(lines_before).map(str::len).sum::<usize>() + error.column()
}

/// The state of one page's decoding.
struct Reading<'r, 'a, F> {
    unknown: &'r mut Unknown,
    sample: Sample<'a>,
    samples: u32,
    skip: u32,
    each: F,
}

/// The containers of a page, from the outside in.
#[derive(Clone, Copy)]
enum Level {
    Page,
    Data,
    List,
    Item,
    Section(Section),
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Data => "data",
            Self::List => "participant_quality_list",
            Self::Item => "participant_quality_list[]",
            Self::Section(section) => section.key(),
        }
    }
}

/// A place in the page where the API promises a container of this level.
struct Node<'n, 'r, 'a, F> {
    level: Level,
    reading: &'n mut Reading<'r, 'a, F>,
}

impl<'r, 'a, F: FnMut(&Sample<'a>)> Node<'_, 'r, 'a, F> {
    fn inner(&mut self, level: Level) -> Node<'_, 'r, 'a, F> {
        Node { level, reading: self.reading }
    }

    /// Counts a value that is not the promised container.
    fn other(&mut self, json_type: &str) {
        self.reading.unknown.add(&format!("{} ({json_type})", self.level.name()));
    }

    fn member<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match self.level {
            Level::Page if key == "data" => map.next_value_seed(self.inner(Level::Data)),
            Level::Data if key == "participant_quality_list" => map.next_value_seed(self.inner(Level::List)),
            Level::Page | Level::Data | Level::List => ignore_value(map),
            Level::Item => self.member_of_item(key, map),
            Level::Section(section) => self.member_of_section(section, key, map),
        }
    }

    fn member_of_item<A: MapAccess<'a>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if let Some(section) = Section::ALL.into_iter().find(|section| section.key() == key) {
            self.reading.sample.fields[columns_of(section)].fill(Field::Absent);
            map.next_value_seed(self.inner(Level::Section(section)))
        } else {
            self.reading.unknown.add(key);
            ignore_value(map)
        }
    }

    fn member_of_section<A: MapAccess<'a>>(
        &mut self,
        section: Section,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if let Some(column) = columns_of(section).find(|&column| COLUMNS[column].key == key) {
            self.reading.sample.fields[column] = field(map.next_value()?);
            Ok(())
        } else {
            self.reading.unknown.add(&format!("{}.{key}", section.key()));
            ignore_value(map)
        }
    }
}

impl<'a, F: FnMut(&Sample<'a>)> DeserializeSeed<'a> for Node<'_, '_, 'a, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'a, F: FnMut(&Sample<'a>)> Visitor<'a> for Node<'_, '_, 'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        if matches!(self.level, Level::List) {
            self.other("object");
        }
        while let Some(Text(key)) = map.next_key()? {
            self.member(&key, &mut map)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if !matches!(self.level, Level::List) {
            self.other("array");
            return ignore_elements(seq);
        }
        loop {
            self.reading.sample.fields.fill(Field::Absent);
            if seq.next_element_seed(self.inner(Level::Item))?.is_none() {
                return Ok(());
            }
            self.reading.samples += 1;
            if self.reading.samples > self.reading.skip {
                (self.reading.each)(&self.reading.sample);
            }
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(mut self, _: bool) -> Result<(), E> {
        self.other("boolean");
        Ok(())
    }

    fn visit_i64<E>(mut self, _: i64) -> Result<(), E> {
        self.other("number");
        Ok(())
    }

    fn visit_u64<E>(mut self, _: u64) -> Result<(), E> {
        self.other("number");
        Ok(())
    }

    fn visit_f64<E>(mut self, _: f64) -> Result<(), E> {
        self.other("number");
        Ok(())
    }

    fn visit_str<E>(mut self, _: &str) -> Result<(), E> {
        self.other("string");
        Ok(())
    }
}

/// A JSON string, borrowed unless it had to be unescaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn field(value: &RawValue) -> Field<'_> {
    match value.get() {
        "null" => Field::Absent,
        string if string.starts_with('"') => {
            serde_json::from_str(string).map_or(Field::Other(string), |Text(text)| Field::Text(text))
        }
        other => Field::Other(other),
    }
}

fn ignore_value<'a, A: MapAccess<'a>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|IgnoredAny| ())
}

fn ignore_elements<'a, A: SeqAccess<'a>>(mut seq: A) -> Result<(), A::Error> {
    while let Some(IgnoredAny) = seq.next_element()? {}
    Ok(())
}
