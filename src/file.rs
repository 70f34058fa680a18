//! Small files beside the dataset and the journal: reports and metrics.

use std::{fs::Permissions, io::Write, os::unix::fs::PermissionsExt, path::Path};

use tempfile::Builder;

use crate::error::Error;

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
pub enum Readers {
    /// Its owner: it names participants.
    Owner,
    /// Everybody, such as a collector of metrics.
    Everybody,
}

/// Puts `bytes` at `path` in one step: a reader sees the old file or the new one, whole.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), Error> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Everybody => 0o644,
    };
    let put = || -> std::io::Result<()> {
        let mut file = Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder_of(path))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    put().map_err(|source| Error::File { operation: "write", path: path.display().to_string(), source })
}

/// The folder that holds `path`: the current one if it has none.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes sure, as far as can be known beforehand, that [`replace`] will find its folder: creates that, and tries it.
pub fn prepare(path: &Path) -> Result<(), Error> {
    let try_out = || -> std::io::Result<()> {
        if path.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        std::fs::create_dir_all(folder_of(path))?;
        Builder::new().tempfile_in(folder_of(path))?.close()
    };
    try_out().map_err(|source| Error::File { operation: "write", path: path.display().to_string(), source })
}
