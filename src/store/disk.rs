//! The disk under the dataset: every effect that a fault can strike, and the error that tells of it.
//!
//! Reading is not here: it leaves nothing behind.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};

use super::{
    bucket::{BucketError, Trouble},
    table_error::TableError,
};

/// What the dataset does to a disk. Tests put another one in its place, which fails where it is told to.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates one folder with the permissions `mode` less the umask.
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Creates a file that does not exist yet, for writing.
    fn create_file(&self, path: &Path) -> io::Result<File>;

    /// Writes some of `bytes` and says how many.
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when the content of a file, or the entries of a folder, would outlive a power cut.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Moves `from` to `name` in `folder` in one step; fails with `AlreadyExists` if that name is taken.
    fn rename(&self, from: &Path, folder: &File, name: &str) -> io::Result<()>;

    /// Swaps `path` and `name` in `folder` in one step: at no moment is either of the names missing.
    fn exchange(&self, path: &Path, folder: &File, name: &str) -> io::Result<()>;

    /// Removes a file, or a folder with all that is in it.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The machine's own disk.
#[derive(Clone, Copy, Debug)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().mode(mode).create(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, folder: &File, name: &str) -> io::Result<()> {
        Ok(renameat_with(CWD, from, folder, name, RenameFlags::NOREPLACE)?)
    }

    fn exchange(&self, path: &Path, folder: &File, name: &str) -> io::Result<()> {
        Ok(renameat_with(CWD, path, folder, name, RenameFlags::EXCHANGE)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
    }
}

/// What is told of something among the files of a dataset that vcq did not put there.
pub const IS_STRANGER: &str = "is no file of vcq's; readers may take it for data";

/// What is told of a file of vcq's own form that the journal does not name.
pub const IS_UNKNOWN: &str = "is not in this journal";

/// Why the dataset could not be written or read. Nothing that was fetched is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system refused.
    #[error("cannot {operation} `{}`", path.display())]
    Io {
        /// What was tried, in the imperative.
        operation: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// An object store refused, or did not answer.
    #[error("cannot {operation} `{}`", path.display())]
    Bucket {
        /// What was tried, in the imperative.
        operation: &'static str,
        /// The address of what it was tried on.
        path: PathBuf,
        /// What the store said.
        source: BucketError,
    },
    /// The log of a table cannot be used.
    #[error("cannot use `{}`", path.display())]
    Table {
        /// The log.
        path: PathBuf,
        /// What is wrong with it.
        source: TableError,
    },
    /// A finished file cannot go from staging to the dataset in one step, most likely because `output` is a mount point.
    #[error("`{}` and its staging folder `{}` are not on one file system", output.display(), staging.display())]
    OtherFileSystem {
        /// The dataset's folder.
        output: PathBuf,
        /// The folder beside it.
        staging: PathBuf,
    },
    /// A file of this name is published, and a visible name never gets other bytes.
    #[error("`{}` is published already", path.display())]
    Exists {
        /// The published file.
        path: PathBuf,
    },
    /// A file of vcq's own form that nobody has told vcq of: of another journal, or of a journal from before a restore.
    #[error("`{}` {IS_UNKNOWN}", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// Something else stands where a file or folder of the dataset belongs: a link, another file.
    #[error("`{}` {IS_STRANGER}", path.display())]
    Stranger {
        /// What stands there.
        path: PathBuf,
    },
    /// What is in the staging folder was not put there by vcq: it is somebody's, who has happened to name it so.
    #[error("`{}` is none of vcq's, and stands where files are built", path.display())]
    InStaging {
        /// What stands there.
        path: PathBuf,
    },
    /// Something else stands where a folder belongs: a file, or a link, wherever it leads.
    #[error("`{}` is no folder, or a link to one", path.display())]
    NoFolder {
        /// What stands there.
        path: PathBuf,
    },
    /// Another process publishes or rebuilds at this moment.
    #[error("another process is publishing: it holds `{}`", staging.display())]
    Busy {
        /// The folder that is locked.
        staging: PathBuf,
    },
}

impl DiskError {
    /// `operation` was refused on `path`; made to be given to `map_err`.
    pub fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }

    /// True if it is known that nothing has become visible, whatever stands there.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Exists { .. }
            | Self::Unknown { .. }
            | Self::Stranger { .. }
            | Self::InStaging { .. }
            | Self::NoFolder { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::CrossesDevices,
            Self::OtherFileSystem { .. } | Self::Busy { .. } | Self::Bucket { .. } | Self::Table { .. } => false,
        }
    }

    /// True if what was to be made visible is not, and may be all the same once a request that is under way arrives.
    pub fn is_unclear(&self) -> bool {
        matches!(self, Self::Bucket { source, .. } if source.is_unclear())
    }

    /// True if a bucket has not answered: what was asked of it can be asked later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Bucket { source, .. } if source.trouble == Trouble::Away)
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { operation, source, .. } => hint_of(operation, source),
            Self::Bucket { source, .. } => source.hint(),
            Self::Table { source, .. } => Some(source.hint()),
            Self::OtherFileSystem { .. } => Some("set `output` to a folder inside of the mounted file system"),
            Self::Exists { .. } | Self::Unknown { .. } => Some(
                "restore the journal that knows it, or take its stays into this one with `vcq adopt`; if two state folders \
                 write into this dataset, give each its own `output`",
            ),
            Self::Stranger { .. } | Self::InStaging { .. } | Self::NoFolder { .. } => {
                Some("move it away, and run again: nothing is lost")
            }
            Self::Busy { .. } => Some("run again when it has ended"),
        }
    }
}

/// What is done where nothing is to be changed.
const READING: [&str; 5] = ["find", "list", "look at", "open", "read"];

fn hint_of(operation: &str, source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("free space and run again: nothing is lost"),
        io::ErrorKind::ReadOnlyFilesystem => Some("make the file system writable, or set `output` to another one"),
        io::ErrorKind::PermissionDenied if READING.contains(&operation) => {
            Some("let the user that runs vcq read there, or change `output`")
        }
        io::ErrorKind::PermissionDenied => Some("let the user that runs vcq write there, or change `output`"),
        // What `renameat2` answers where it knows no "without replacing" and no "exchange".
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => {
            Some("set `output` to a local file system such as ext4, xfs or btrfs: this one lacks an operation")
        }
        // What a container's own layer answers for a folder that came with the image.
        io::ErrorKind::CrossesDevices => Some(
            "set `output` to a volume: folders of an image's layer cannot be exchanged; nothing was changed, nothing is lost",
        ),
        _ => None,
    }
}

/// Opens a folder to sync it or to rename into it, and refuses a link that stands in its place.
pub(super) fn open_folder(path: &Path) -> Result<File, DiskError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map(File::from).map_err(|errno| match io::Error::from(errno) {
        error if error.kind() == io::ErrorKind::NotADirectory => DiskError::NoFolder { path: path.to_owned() },
        error => DiskError::io("open", path)(error),
    })
}

/// Creates a folder and those above it that are missing.
pub(super) fn create_folders(disk: &dyn Disk, path: &Path, mode: u32) -> Result<(), DiskError> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    missing.iter().rev().try_for_each(|folder| create_folder(disk, folder, mode))
}

/// Creates a folder unless it is there, and returns after a new one's entry is synced.
pub(super) fn create_folder(disk: &dyn Disk, path: &Path, mode: u32) -> Result<(), DiskError> {
    match disk.create_folder(path, mode) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(DiskError::io("create", path)(error)),
    }
    let parent = path.parent().expect("only the root has no parent, and it exists");
    File::open(parent).and_then(|parent| disk.sync(&parent)).map_err(DiskError::io("sync", parent))
}

/// A rename in one step needs both folders on one file system.
pub(super) fn check_one_file_system(output: &Path, staging: &Path) -> Result<(), DiskError> {
    let device_of = |path: &Path| Ok(fs::metadata(path).map_err(DiskError::io("look at", path))?.dev());
    if device_of(output)? == device_of(staging)? {
        return Ok(());
    }
    Err(DiskError::OtherFileSystem { output: output.to_owned(), staging: staging.to_owned() })
}

/// `None` where the answer is that there is nothing of this name.
pub(super) fn found<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}
