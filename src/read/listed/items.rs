//! Page bytes → the items of its list.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::read::decode::without_bom;

/// A page whose list cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is not JSON.
    #[error("page is not valid JSON at line {line}, column {column}")]
    Json {
        /// The line where that was noticed, from 1 on.
        line: usize,
        /// The column in it, in bytes.
        column: usize,
    },
    /// Another value stands in the place of an object or of the list.
    #[error("`{place}` of the page is {found}")]
    Form {
        /// The place in the page, such as `data`.
        place: String,
        /// What stands there, such as `a number`.
        found: &'static str,
    },
}

/// The items of the list `list_key` in the `data` of a page, in its order. `page` is any JSON text, with a byte order mark
/// before it or not. None where `data` or the list is missing or null. Where a key stands twice, the last one counts.
///
/// Half a surrogate pair (`\ud83d` alone), as a cut name ends with, becomes U+FFFD.
///
/// # Errors
///
/// If it is not JSON, or `data`, the list or an item has another form.
pub fn items(page: &[u8], list_key: &str) -> Result<Vec<Map<String, Value>>, PageError> {
    let mut page = object(parse(without_bom(page))?, || "body".to_owned())?;
    let mut data = match page.remove("data") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(data) => object(data, || "data".to_owned())?,
    };
    let list = match data.remove(list_key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return Err(form(list_key.to_owned(), &other)),
    };
    let items = list.into_iter().enumerate();
    items.map(|(index, item)| object(item, || format!("{list_key}[{index}]"))).collect()
}

fn parse(json: &[u8]) -> Result<Value, PageError> {
    serde_json::from_slice(json).or_else(|error| {
        let damaged = || PageError::Json { line: error.line(), column: error.column() };
        let text = str::from_utf8(json).map_err(|_| damaged())?;
        match with_whole_surrogates(text) {
            Cow::Borrowed(_) => Err(damaged()),
            Cow::Owned(text) => serde_json::from_str(&text).map_err(|_| damaged()),
        }
    })
}

/// The JSON text with `\ufffd` in the place of each half of a surrogate pair that stands alone.
fn with_whole_surrogates(json: &str) -> Cow<'_, str> {
    let mut whole = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        let unit = unicode_escape(json, escape);
        at = match unit {
            Some(0xd800..0xdc00) if matches!(unicode_escape(json, escape + ESCAPE_BYTES), Some(0xdc00..0xe000)) => {
                escape + 2 * ESCAPE_BYTES
            }
            Some(0xd800..0xe000) => {
                whole.push_str(&json[copied..escape]);
                whole.push_str("\\ufffd");
                copied = escape + ESCAPE_BYTES;
                copied
            }
            Some(_) => escape + ESCAPE_BYTES,
            // Such as `\\`: what is escaped begins no escape itself.
            None => escape + 2,
        };
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    whole.push_str(&json[copied..]);
    Cow::Owned(whole)
}

/// The bytes of `\uXXXX`.
const ESCAPE_BYTES: usize = 6;

/// The unit of UTF-16 that the escape at byte `at` writes, if one begins there.
fn unicode_escape(json: &str, at: usize) -> Option<u16> {
    let hex = json.get(at..at + ESCAPE_BYTES)?.strip_prefix("\\u")?;
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(hex, 16).ok())?
}

fn object(value: Value, place: impl FnOnce() -> String) -> Result<Map<String, Value>, PageError> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(form(place(), &other)),
    }
}

fn form(place: String, value: &Value) -> PageError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    PageError::Form { place, found }
}
