//! Pages, as every endpoint cuts its answer into them.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    read::{decode::without_bom, listed::items},
    tables::listed::Table,
};

/// A page: how many items it has, and what comes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items in it, such as samples.
    pub items: u32,
    /// What `has_more` and `page_token` say.
    pub next: Next,
}

/// What comes after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is the last.
    End,
    /// The page that this token asks for.
    Token(String),
    /// `has_more` without a token.
    TokenMissing,
}

/// Reads a JSON object. serde would take a list for one, its items for the fields in their order.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok())?
}

#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// What stands in the object `data` of a body; a default where that is missing or null.
pub(super) fn data<'a, D: Deserialize<'a> + Default>(body: &'a [u8]) -> Option<D> {
    let data = serde_json::from_slice::<Body<'_>>(without_bom(body)).ok()?.data;
    data.map_or_else(|| Some(D::default()), |data| object(data.get()))
}

/// What comes after the page. `has_more` and `page_token` are read leniently: a page that was paid for is not thrown away
/// because a truth value comes as text or a token as number. Where `has_more` says nothing, the token speaks for it.
pub(super) fn next(has_more: &Value, page_token: &Value) -> Option<Next> {
    let has_more = match has_more {
        Value::Null => None,
        Value::Bool(has_more) => Some(*has_more),
        Value::String(text) => Some(text.parse().ok()?),
        _ => return None,
    };
    let token = match page_token {
        Value::String(token) if token.trim().is_empty() => None,
        Value::String(token) => Some(token.clone()),
        Value::Number(token) => Some(token.to_string()),
        _ => None,
    };
    Some(match (has_more, token) {
        (Some(false), _) | (None, None) => Next::End,
        (Some(true), None) => Next::TokenMissing,
        (Some(true) | None, Some(token)) => Next::Token(token),
    })
}

#[derive(Debug, Default, Deserialize)]
struct ListData {
    #[serde(default)]
    has_more: Value,
    #[serde(default)]
    page_token: Value,
}

/// Reads the page of a list. A page is landed only if phase 2 can read it, so its items are looked at here.
pub(super) fn list_page(body: &[u8], table: &Table) -> Option<Page> {
    let items = u32::try_from(items(body, table.list_key).ok()?.len()).ok()?;
    let ListData { has_more, page_token } = data(body)?;
    Some(Page { items, next: next(&has_more, &page_token)? })
}
