//! Published files in a folder of this machine: `<root>/date=YYYY-MM-DD/part-<16 hex digits>.parquet`.

use std::{
    ffi::OsString,
    fs::{self, File, FileType},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::NaiveDate;

use super::{
    FileName, Listing, PartFile, Partitions,
    disk::{Disk, DiskError, found, open_folder},
    folder_name, is_read, parse_folder_name,
};

/// A dataset in a folder.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    /// The folder itself.
    pub(super) root: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
}

impl Folder {
    pub(super) fn confirm(&self, date: NaiveDate, name: FileName) -> Result<Option<PartFile>, DiskError> {
        let path = self.path_of(date, name);
        let Some(metadata) = found(fs::symlink_metadata(&path)).map_err(DiskError::io("look at", &path))? else {
            return Ok(None);
        };
        if !metadata.is_file() {
            return Err(DiskError::Stranger { path });
        }
        self.sync_folder(&self.folder_of(date))?;
        self.sync_folder(&self.root)?;
        Ok(Some(PartFile { date, name, bytes: metadata.len() }))
    }

    pub(super) fn is_visible(&self, date: NaiveDate, name: FileName) -> Result<bool, DiskError> {
        let path = self.path_of(date, name);
        Ok(found(fs::symlink_metadata(&path)).map_err(DiskError::io("look at", &path))?.is_some())
    }

    pub(super) fn open_file(&self, date: NaiveDate, name: FileName) -> Result<File, DiskError> {
        let path = self.path_of(date, name);
        File::open(&path).map_err(DiskError::io("open", &path))
    }

    pub(super) fn path_of(&self, date: NaiveDate, name: FileName) -> PathBuf {
        self.folder_of(date).join(name.to_string())
    }

    /// The size of what stands at a path; `None`, if no file does.
    pub(super) fn size_at(&self, path: &str) -> Result<Option<u64>, DiskError> {
        let path = self.root.join(path);
        let metadata = found(fs::metadata(&path)).map_err(DiskError::io("look at", &path))?;
        Ok(metadata.filter(fs::Metadata::is_file).map(|metadata| metadata.len()))
    }

    pub(super) fn partitions(&self) -> Result<Partitions, DiskError> {
        let mut found = Partitions::default();
        for entry in entries(&self.root)? {
            match parse_folder_name(&entry.name).filter(|_| entry.kind.is_dir()) {
                Some(date) => found.dates.push(date),
                None => found.strangers.push(self.root.join(&entry.name)),
            }
        }
        found.dates.sort_unstable();
        found.strangers.sort_unstable();
        Ok(found)
    }

    pub(super) fn list(&self, date: NaiveDate) -> Result<Listing, DiskError> {
        let mut listing = Listing::default();
        let folder = self.folder_of(date);
        for entry in entries(&folder)? {
            let path = folder.join(&entry.name);
            if let Some(name) = entry.name.to_str().and_then(FileName::parse).filter(|_| entry.kind.is_file()) {
                let bytes = fs::metadata(&path).map_err(DiskError::io("look at", &path))?.len();
                listing.files.push(PartFile { date, name, bytes });
                continue;
            }
            if let Some((name, metadata)) = entry.name.to_str().zip(fs::metadata(&path).ok())
                && metadata.is_file()
            {
                listing.sizes.insert(name.to_owned(), metadata.len());
            }
            listing.strangers.push(path);
        }
        listing.files.sort_unstable();
        listing.strangers.sort_unstable();
        Ok(listing)
    }

    pub(super) fn folder_of(&self, date: NaiveDate) -> PathBuf {
        self.root.join(folder_name(date))
    }

    pub(super) fn sync_folder(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.sync(&open_folder(path)?).map_err(DiskError::io("sync", path))
    }
}

/// Whether it is a folder in which something has the name of data. Of one that cannot be listed nothing is known.
pub(super) fn holds_data(path: &Path) -> bool {
    entries(path).is_ok_and(|found| found.iter().any(|entry| is_read(entry.name.as_ref())))
}

/// What stands in a folder.
pub(super) struct Entry {
    pub(super) name: OsString,
    /// Of the entry itself: a link is a link, wherever it leads.
    kind: FileType,
}

/// What a folder holds: nothing, if it is not there.
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>, DiskError> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry?;
        Ok(Entry { name: entry.file_name(), kind: entry.file_type()? })
    };
    let listed = found(fs::read_dir(folder)).and_then(|entries| entries.into_iter().flatten().map(entry).collect());
    listed.map_err(DiskError::io("list", folder))
}
