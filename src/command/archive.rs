//! `vcq archive`: landed pages out into files, back in, and dropped.

pub mod export;
pub mod import;
pub mod prune;

use std::path::Path;

use crate::{archive::Form, error::Error};

/// The form that the ending of an archive's name tells.
///
/// # Errors
///
/// [`Error::Usage`] if it tells none.
fn form_of(path: &Path) -> Result<Form, Error> {
    Form::of_file(path)
        .ok_or_else(|| Error::Usage(format!("`{}` ends in none of .ndjson, .ndjson.zst and .parquet", path.display())))
}
