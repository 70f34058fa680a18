//! What the kernel says, in words of ours.

use delta_kernel::KernelError;

use super::log::Log;
use crate::{
    printable::Printable,
    store::{disk::DiskError, table_error::TableError},
};

/// What the kernel said, as an error of this log.
pub(super) fn told(log: &Log, error: KernelError) -> DiskError {
    let source = match error {
        KernelError::GenericError { source } => match source.downcast::<DiskError>() {
            Ok(ours) => return *ours,
            Err(other) => TableError::Damaged(on_one_line(&other.to_string())),
        },
        KernelError::Backtraced { source, .. } => return told(log, *source),
        KernelError::Unsupported(what) => TableError::Newer(on_one_line(&what)),
        error => TableError::Damaged(on_one_line(&error.to_string())),
    };
    DiskError::Table { path: log.path(), source }
}

/// The longest text of the kernel that is told, in characters.
const SAID_CHARS_MAX: usize = 300;

fn on_one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Printable(line.chars().take(SAID_CHARS_MAX).collect::<String>()).to_string()
}
