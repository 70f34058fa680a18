//! What an answer of a store means, and how it is told.

use std::{error, iter};

use object_store::client::HttpError;

use super::secrets::Secrets;
use crate::store::bucket::{BucketError, Trouble};

/// What an answer of 400 says by its code where the store does not know the condition that a put was sent with.
const UNKNOWN_CONDITION: [&str; 3] = ["NotImplemented", "InvalidArgument", "InvalidRequest"];

/// What an answer of 400 says by its code where the request was cut or bent on its way.
const BENT_ON_ITS_WAY: [&str; 4] = ["RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"];

/// The longest text of a store that is told, in characters.
const SAID_CHARS_MAX: usize = 200;

/// What an answer means, told without secrets. The library keeps the status and the body of an answer in the text of an error alone.
pub(super) fn read_error(error: &object_store::Error, secrets: &Secrets) -> BucketError {
    use object_store::Error as E;
    if let Some(found) = chain(error).find_map(<dyn error::Error>::downcast_ref::<BucketError>) {
        return BucketError::new(found.trouble, plain(&found.said, secrets));
    }
    let text = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let whole = chain(error).map(ToString::to_string).find(|text| text.contains("status code: ")).unwrap_or_default();
    let status = whole.split_once("status code: ").and_then(|(_, rest)| rest.get(..3)?.parse::<u16>().ok());
    let (code, message) = (element(&whole, "Code"), element(&whole, "Message"));
    let said = match (status, code, message) {
        (Some(status), Some(code), Some(message)) => format!("{status} {code}: {message}"),
        (Some(status), Some(code), None) => format!("{status} {code}"),
        (Some(status), None, _) => format!("status {status}"),
        (None, ..) => text,
    };
    let is_of_network = chain(error).any(<dyn error::Error>::is::<HttpError>);
    let trouble = match error {
        E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => Trouble::Taken,
        E::NotFound { .. } if code == Some("NoSuchKey") => Trouble::Gone,
        E::NotFound { .. } => Trouble::NoBucket,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Trouble::Denied,
        E::NotImplemented { .. } | E::NotSupported { .. } => Trouble::Unsupported,
        _ => match status {
            Some(501 | 405) => Trouble::Unsupported,
            Some(408 | 429) => Trouble::Away,
            // Of a listing the library says no more than the status.
            Some(301 | 307 | 404) => Trouble::NoBucket,
            Some(401 | 403) => Trouble::Denied,
            // What AWS says to a signature for another region.
            Some(400) if code == Some("AuthorizationHeaderMalformed") => Trouble::Denied,
            Some(400..=499) if code.is_some_and(|code| UNKNOWN_CONDITION.contains(&code)) => Trouble::Unsupported,
            Some(400..=499) if code.is_some_and(|code| BENT_ON_ITS_WAY.contains(&code)) => Trouble::Away,
            Some(400..=499) => Trouble::Refused,
            Some(_) => Trouble::Away,
            None if is_of_network => Trouble::Away,
            None if said.contains("redirect without LOCATION") => Trouble::NoBucket,
            None => Trouble::Other,
        },
    };
    BucketError::new(trouble, plain(&said, secrets))
}

/// The text in an element of a store's answer, which stands there once.
fn element<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// A text on one line, as far as it is told, without secrets.
pub(super) fn plain(text: &str, secrets: &Secrets) -> String {
    let text = secrets.strike(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SAID_CHARS_MAX).collect()
}

pub(super) fn innermost(error: &object_store::Error) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn chain<'a>(error: &'a (dyn error::Error + 'static)) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    iter::successors(Some(error), |error| error.source())
}
