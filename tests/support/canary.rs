//! Looks for a secret in whatever form it may have been written.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use url::form_urlencoded::byte_serialize;

/// The text as it is, as it stands in a URL, in JSON, and in Base64 at any offset.
pub(crate) fn forms(canary: &str) -> Vec<String> {
    let mut forms = vec![canary.to_owned(), byte_serialize(canary.as_bytes()).collect()];
    forms.push(serde_json::to_string(canary).unwrap().trim_matches('"').to_owned());
    for offset in 0..3 {
        let shifted = format!("{}{canary}", "x".repeat(offset));
        let encoded = STANDARD_NO_PAD.encode(&shifted);
        // The first and the last characters depend on what stands beside the text.
        forms.push(encoded[4..encoded.len() - 2].to_owned());
    }
    forms
}

/// Whether a part stands anywhere in these bytes.
pub(crate) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
