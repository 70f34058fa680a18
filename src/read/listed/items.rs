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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(page: &str) -> Result<Vec<Map<String, Value>>, String> {
        items(page.as_bytes(), "participants").map_err(|error| error.to_string())
    }

    /// The value of `a` in the only item.
    fn only_a(page: &str) -> Value {
        let items = read(page).unwrap();
        let [item] = items.as_slice() else { panic!("{items:?}") };
        item["a"].clone()
    }

    #[test]
    fn items_come_in_the_order_of_the_list() {
        let page =
            r#"{"code": 0, "data": {"has_more": false, "participants": [{"a": 1}, {}, {"a": null, "b": [{}]}]}}"#;
        let items = read(page).unwrap();
        let items: Vec<_> = items.into_iter().map(|item| Value::Object(item).to_string()).collect();
        assert_eq!(items, [r#"{"a":1}"#, "{}", r#"{"a":null,"b":[{}]}"#]);
    }

    #[test]
    fn what_is_missing_or_null_has_no_items() {
        for page in [
            "{}",
            r#"{"data": null}"#,
            r#"{"data": {}}"#,
            r#"{"data": {"participants": null}}"#,
            r#"{"data": {"participants": []}}"#,
            r#"{"data": {"meeting_list": [{"a": 1}]}}"#,
        ] {
            assert_eq!(read(page), Ok(Vec::new()), "{page}");
        }
    }

    #[test]
    fn another_form_is_an_error_that_names_the_place() {
        for (page, error) in [
            ("[]", "`body` of the page is a list"),
            ("null", "`body` of the page is null"),
            (r#"{"data": 1}"#, "`data` of the page is a number"),
            (r#"{"data": ""}"#, "`data` of the page is a string"),
            (r#"{"data": {"participants": {}}}"#, "`participants` of the page is an object"),
            (r#"{"data": {"participants": false}}"#, "`participants` of the page is a truth value"),
            (r#"{"data": {"participants": [{}, null]}}"#, "`participants[1]` of the page is null"),
            (r#"{"data": {"participants": [[]]}}"#, "`participants[0]` of the page is a list"),
            ("", "page is not valid JSON at line 1, column 0"),
            ("{} {}", "page is not valid JSON at line 1, column 4"),
            (r#"{"data": {"participants": [{"a": "#, "page is not valid JSON at line 1, column 33"),
            ("{\"data\":\n{\"a\": \"\\ud83d\", }}", "page is not valid JSON at line 2, column 14"),
        ] {
            assert_eq!(read(page), Err(error.to_owned()), "{page}");
        }
        let not_unicode = items(b"{\"data\": {\"participants\": [{\"a\": \"\xff\"}]}}", "participants");
        assert!(matches!(not_unicode, Err(PageError::Json { .. })), "{not_unicode:?}");
    }

    #[test]
    fn a_byte_order_mark_and_keys_that_stand_twice_do_not_matter() {
        let item = |page| only_a(&format!("{page}{}", r#"{"data": {"participants": [{"a": 1, "a": 2}]}}"#));
        assert_eq!(item(""), 2);
        assert_eq!(item("\u{feff}"), 2);
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced_and_nothing_else() {
        for (json, text) in [
            (r"\ud83d\ude00 x", "\u{1f600} x"),
            (r"x\ud83d", "x\u{fffd}"),
            (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\uD83D\\ude00", "\u{fffd}\\ude00"),
            (r"\\ud83d \ud83d\n", "\\ud83d \u{fffd}\n"),
            (r"\ud83d\u00e9é", "\u{fffd}éé"),
        ] {
            let page = format!(r#"{{"data": {{"participants": [{{"a": "{json}"}}]}}}}"#);
            assert_eq!(only_a(&page), text, "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_page_is_too_odd(page in "\\PC*", list in r#"(\{|\}|\[|\]|"a"|:|,|1|null|\\u[dD][89abcd]..|\\|é){0,20}"#) {
            let _ = read(&page);
            let _ = read(&format!(r#"{{"data": {{"participants": {list}}}}}"#));
            let _ = read(&format!(r#"{{"data": {{"participants": ["{list}"]}}}}"#));
        }

        #[test]
        fn a_string_cut_anywhere_between_units_is_read(text in "[a\u{1f600}\u{10ffff}\\\\é]{0,8}", cut in 0..16_usize) {
            let units: Vec<u16> = text.encode_utf16().collect();
            let units = &units[..cut.min(units.len())];
            let json = units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
            let page = format!(r#"{{"data": {{"participants": [{{"a": "{json}"}}]}}}}"#);
            prop_assert_eq!(only_a(&page), String::from_utf16_lossy(units));
        }
    }
}
