//! Why a configuration cannot be used.

use crate::printable::Printable;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML. The line is not quoted: a secret may stand there by mistake.
    #[error(
        "`{}` is not TOML: line {line}, column {column}{}: {why}",
        Printable(name),
        key.as_ref().map(|key| format!(", the value of `{key}`")).unwrap_or_default()
    )]
    Syntax {
        /// The file.
        name: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// The known key whose line that is, if it is one.
        key: Option<&'static str>,
        /// What was expected.
        why: String,
    },
    /// A key that does not exist.
    #[error("{}: there is no key `{}`{}", Printable(origin), Printable(key), nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// The file or the environment.
        origin: String,
        /// The key as written.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
    },
    /// A value of the wrong kind or out of range.
    #[error("{}: `{key}` {value}, but must be {rule}", Printable(origin))]
    Value {
        /// The file, the environment or a flag.
        origin: String,
        /// The key's path.
        key: &'static str,
        /// What the value is, as far as it can be shown.
        value: String,
        /// What is accepted.
        rule: &'static str,
    },
}
