//! Secrets that are known, so that none is told when a store quotes what it was sent.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
};

/// How many are kept: those of a few renewals.
const KEPT_MAX: usize = 32;

/// What is shorter is in words too, and is no secret that anybody gives out.
const SECRET_CHARS_MIN: usize = 6;

/// What stands in the place of a secret.
const STRUCK: &str = "[secret]";

/// What precedes the parts of a signature, up to a comma or a blank.
const SIGNATURE_PARTS: [&str; 2] = ["Credential=", "Signature="];

/// The secrets that requests were made with.
#[derive(Default)]
pub(super) struct Secrets(Mutex<VecDeque<String>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    /// Remembers one.
    pub(super) fn keep(&self, secret: &str) {
        let secret = secret.trim();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if secret.len() < SECRET_CHARS_MIN || kept.iter().any(|known| known == secret) {
            return;
        }
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(secret.to_owned());
    }

    /// A text without them, and without what a signature is made of.
    pub(super) fn strike(&self, text: &str) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let struck = kept.iter().fold(text.to_owned(), |text, secret| text.replace(secret, STRUCK));
        SIGNATURE_PARTS.iter().fold(struck, |text, part| strike_behind(&text, part))
    }
}

fn strike_behind(text: &str, part: &str) -> String {
    let mut pieces = text.split(part);
    let mut struck = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_whitespace() || ",<&;".contains(c)).unwrap_or(piece.len());
        struck.push_str(part);
        struck.push_str(STRUCK);
        struck.push_str(&piece[end..]);
    }
    struck
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_quotes_is_told_without_secrets() {
        let secrets = Secrets::default();
        for secret in ["SECRETCANARY", "token+canary=\n", "a", "SECRETCANARY"] {
            secrets.keep(secret);
        }
        let said = "denied: AWS4-HMAC-SHA256 Credential=AKIA/20250401/x, SignedHeaders=host, Signature=0af token+canary= SECRETCANARY a";
        let told =
            "denied: AWS4-HMAC-SHA256 Credential=[secret], SignedHeaders=host, Signature=[secret] [secret] [secret] a";
        assert_eq!(secrets.strike(said), told);
        (0..100).for_each(|number| secrets.keep(&format!("secret {number}")));
        assert_eq!(secrets.strike("secret 99"), STRUCK);
    }
}
