//! Small files beside the dataset and the journal: reports and metrics.

use std::{io::Write, path::Path};

use tempfile::NamedTempFile;

use crate::{error::Error, intake::folder_of};

/// Puts `bytes` at `path` in one step: a reader sees the old file or the new one, whole.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let put = || -> std::io::Result<()> {
        let mut file = NamedTempFile::new_in(folder_of(path))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(|source| Error::File { operation: "write", path: path.display().to_string(), source })
}
