//! Small files beside the dataset and the journal: reports, lists of rejects, metrics, archives.
//!
//! The one place that writes such a file. A reader sees the old file or the new one, whole; once the call returns, the new
//! one outlives a power cut. A link is followed, and what it leads to is replaced. What is no file, such as a device, a pipe
//! or a descriptor of this process (`/dev/stdout`), is written to and stays what it is.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{self, Component, Path, PathBuf},
};

use rustix::fs::{Access, OFlags, fcntl_setfl};

use crate::{config::Config, error::Error, place::Place, printable::Printable, store::staging_of};

/// Links that are followed from one path, as the system does.
const LINKS_MAX: usize = 40;

/// How often a file under construction may be taken away before it is given up: each time, another process was faster.
const PARTIAL_TRIES_MAX: usize = 10_000;

/// Who may read a file.
#[derive(Clone, Copy, Debug)]
pub enum Readers {
    /// Its owner: it names participants.
    Owner,
    /// Everybody, such as a collector of metrics.
    Everybody,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// Puts `bytes` at `path` in one step.
pub fn replace(path: &Path, readers: Readers, bytes: &[u8]) -> Result<(), Error> {
    replace_with(path, readers, |file| file.write_all(bytes)).map_err(|source| error("write", path, source))
}

/// Puts what `write` writes at `path`, in one step, once it has returned.
///
/// Until then it stands beside it under one known name, which the next writer takes away should this process be killed;
/// another process that writes the same file waits.
pub fn replace_with<T>(path: &Path, readers: Readers, write: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
    match place(path)? {
        Target::Through(path) => write(&mut open_through(&path)?),
        Target::File(path) => {
            let mut partial = Partial::create(&path, readers)?;
            let written = write(&mut partial.file)?;
            partial.put(&path)?;
            Ok(written)
        }
    }
}

/// Puts in the place of the file at `path` what `change` makes of it, in one step; no other process that does the same
/// comes between reading and writing. A file that is not there, or holds no text, is taken for an empty one.
pub fn update(path: &Path, readers: Readers, change: impl FnOnce(&str) -> String) -> Result<(), Error> {
    let put = || match place(path)? {
        Target::Through(path) => open_through(&path)?.write_all(change("").as_bytes()),
        Target::File(path) => {
            let mut partial = Partial::create(&path, readers)?;
            let before = fs::read_to_string(&path).unwrap_or_default();
            partial.file.write_all(change(&before).as_bytes())?;
            partial.put(&path)
        }
    };
    put().map_err(|source| error("write", path, source))
}

/// Takes away the file at `path`, if there is one; what is no file is left alone.
pub fn remove(path: &Path) -> Result<(), Error> {
    let remove = || match place(path)? {
        Target::Through(_) => Ok(()),
        Target::File(path) => match fs::remove_file(&path) {
            Ok(()) => File::open(folder_of(&path))?.sync_all(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        },
    };
    remove().map_err(|source| error("remove", path, source))
}

/// Makes sure, as far as can be known beforehand, that `path` can be written: creates its folder, and tries it.
pub fn prepare(path: &Path) -> Result<(), Error> {
    let try_out = || match place(path)? {
        Target::Through(path) => Ok(rustix::fs::access(&path, Access::WRITE_OK)?),
        Target::File(path) => {
            create_folders(folder_of(&path))?;
            tempfile::tempfile_in(folder_of(&path)).map(drop)
        }
    };
    try_out().map_err(|source| error("write", path, source))
}

/// Whether a file stands at `path`, or would: not a device, a pipe or a descriptor.
pub fn is_file(path: &Path) -> bool {
    matches!(place(path), Ok(Target::File(_)))
}

/// The folder that holds `path`: the current one if it has none.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses to write `path` where that would destroy what vcq reads, or put a stranger among its own files.
///
/// # Errors
///
/// [`Error::Usage`] if it is one of `inputs`, or the configuration or the secret, or lies in the dataset, staging or state.
pub fn refuse_input(what: &str, path: &Path, inputs: &[PathBuf], config: &Config) -> Result<(), Error> {
    let Ok(Target::File(file)) = place(path) else { return Ok(()) };
    let file = settled(&file);
    let refused = |why: String| Err(Error::Usage(format!("{what} `{}` {why}: name another file", path.display())));
    let named = [
        ("the configuration", &config.file),
        ("the app's secret", &config.app_secret_file),
        ("the access token", &config.auth.access_token_file),
        ("the address for notices", &config.notify.url_file),
        ("the secret of a bot", &config.notify.secret_file),
    ];
    let named = named.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
    for (name, input) in inputs.iter().map(|input| ("a manifest of this run", input)).chain(named) {
        if settled(input) == file || is_same_file(input, &file) {
            return refused(format!("is {name}"));
        }
    }
    for (name, folder) in folders(config) {
        if file.starts_with(&folder) {
            return refused(format!("lies in {name}, which holds nothing but vcq's own files"));
        }
    }
    Ok(())
}

/// Refuses folders of which one holds another: each is vcq's alone, and what is put into one would be taken for a stranger
/// in the other, or cleared away.
///
/// # Errors
///
/// [`Error::Usage`] naming both.
pub fn refuse_overlap(config: &Config) -> Result<(), Error> {
    let folders = folders(config);
    let (name, state) = &folders[0];
    for (position, (first_name, first)) in folders.iter().enumerate() {
        for (other_name, other) in &folders[position + 1..] {
            let how = match (first.starts_with(other), other.starts_with(first)) {
                (true, true) => "is",
                (true, false) => "lies in",
                (false, true) => "holds",
                (false, false) => continue,
            };
            let of = if first_name == name { "`state`" } else { first_name };
            return Err(Error::Usage(format!(
                "{of} is `{}`, which {how} {other_name} `{}`: give each a folder of its own, such as `{}`",
                first.display(),
                other.display(),
                if state == first { "state` and `quality" } else { "quality`, `meetings` and `participants" },
            )));
        }
    }
    refuse_overlap_in_buckets(config)
}

/// The same of datasets in one bucket.
fn refuse_overlap_in_buckets(config: &Config) -> Result<(), Error> {
    let datasets = [
        ("`output`", Some(&config.output)),
        ("`discover.meetings`", config.discover.meetings.as_ref()),
        ("`discover.participants`", config.discover.participants.as_ref()),
    ];
    let places: Vec<_> = datasets.iter().filter_map(|(name, place)| Some((name, (*place)?.bucket()?))).collect();
    for (position, (first_name, first)) in places.iter().enumerate() {
        if let Some((other_name, other)) = places[position + 1..].iter().find(|(_, other)| first.overlaps(other)) {
            return Err(Error::Usage(format!(
                "{first_name} is `{first}`, and {other_name} is `{other}`, of which one holds the other: give each a prefix of its \
                 own, such as `quality`, `meetings` and `participants`"
            )));
        }
    }
    Ok(())
}

/// The folders that are vcq's own, by what they are called, wherever their paths lead: the journal's first, then of each dataset
/// its own and its staging.
fn folders(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let mut folders = vec![("the state folder", settled(&config.state))];
    let datasets = [
        (Some(&config.output), "the dataset's folder", "the staging folder"),
        (
            config.discover.meetings.as_ref(),
            "the folder of `discover.meetings`",
            "the staging folder of `discover.meetings`",
        ),
        (
            config.discover.participants.as_ref(),
            "the folder of `discover.participants`",
            "the staging folder of `discover.participants`",
        ),
    ];
    for (position, (place, name, staging_name)) in datasets.into_iter().enumerate() {
        if let Some(folder) = place.and_then(Place::folder).map(settled) {
            let staging = staging_of(&folder);
            folders.extend([(name, folder), (staging_name, staging)]);
        }
        if position == 0 {
            let markers = config.complete_markers.iter();
            folders.extend(markers.map(|markers| ("the folder of `complete_markers`", settled(markers))));
        }
    }
    folders
}

/// The path without links and dots, as far as it exists; the rest of it as it is.
fn settled(path: &Path) -> PathBuf {
    settled_within(path, LINKS_MAX)
}

fn settled_within(path: &Path, links_max: usize) -> PathBuf {
    let mut settled = PathBuf::new();
    for component in path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if component == Component::ParentDir {
            settled.pop();
            continue;
        }
        settled.push(component);
        if let Ok(existing) = fs::canonicalize(&settled) {
            settled = existing;
        } else if let Some(left) = links_max.checked_sub(1)
            && let Ok(to) = fs::read_link(&settled)
        {
            // A link that leads to what is not there yet.
            settled = settled_within(&folder_of(&settled).join(to), left);
        }
    }
    settled
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// What a path leads to.
enum Target {
    /// A file, or nothing yet: here it is replaced.
    File(PathBuf),
    /// A device, a pipe or a descriptor: this is opened and written to.
    Through(PathBuf),
}

fn place(path: &Path) -> io::Result<Target> {
    let mut at = path.to_owned();
    for _ in 0..LINKS_MAX {
        let kind = match fs::symlink_metadata(&at) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Target::File(at)),
            Err(error) => return Err(error),
        };
        if kind.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        if kind.is_file() {
            return Ok(Target::File(at));
        }
        // What stands there is no name to be given to another file, but an open descriptor.
        if !kind.is_symlink() || fs::canonicalize(folder_of(&at))?.starts_with("/proc") {
            return Ok(Target::Through(path.to_owned()));
        }
        at = folder_of(&at).join(fs::read_link(&at)?);
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Opens a device or a pipe; a pipe that nobody reads is refused instead of waited for.
fn open_through(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().append(true).custom_flags(flags).open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        fcntl_setfl(&file, OFlags::APPEND)?;
    }
    Ok(file)
}

/// A file under construction, beside the one whose place it will take.
struct Partial {
    file: File,
    /// Where it stands; none once it is in place.
    path: Option<PathBuf>,
}

impl Partial {
    /// The known name is this process's for as long as it holds its lock.
    fn create(target: &Path, readers: Readers) -> io::Result<Self> {
        create_folders(folder_of(target))?;
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().ok_or(ErrorKind::InvalidInput)?);
        name.push(".vcq-partial");
        let path = folder_of(target).join(name);
        for _ in 0..PARTIAL_TRIES_MAX {
            let created = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&path);
            match created {
                Ok(file) => {
                    file.lock()?;
                    // Whoever comes to see what was left here may have taken it away before it was locked.
                    if stands_at(&file, &path)? {
                        // The umask has no say: a collector of metrics is to read it.
                        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(readers.mode()))?;
                        return Ok(Self { file, path: Some(path) });
                    }
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => take_away(&path)?,
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::new(ErrorKind::ResourceBusy, "too many others write it at the same time"))
    }

    /// Makes the file durable, and visible in the place of `target`.
    fn put(mut self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(path) = self.path.take() {
            fs::rename(&path, target).inspect_err(|_| drop(fs::remove_file(&path)))?;
        }
        File::open(folder_of(target))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be taken away now is by the next writer.
            let _ = fs::remove_file(path);
        }
    }
}

/// Takes away what a process that was killed left, once no living one holds it.
fn take_away(path: &Path) -> io::Result<()> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed();
    let left = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(left) => left,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    left.lock()?;
    if stands_at(&left, path)? { fs::remove_file(path) } else { Ok(()) }
}

fn stands_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(there) => {
            let this = file.metadata()?;
            Ok((there.dev(), there.ino()) == (this.dev(), this.ino()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Creates a folder and those above it, each of them durable.
fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    create_folders(folder_of(folder))?;
    match DirBuilder::new().mode(0o777).create(folder) {
        Ok(()) => File::open(folder_of(folder))?.sync_all(),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads a file of at most `bytes_max` bytes, and nothing but a file: a pipe could keep its reader waiting, a device has no
/// end.
pub fn read_small(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let no_file = || io::Error::new(ErrorKind::InvalidInput, "it is no regular file");
    // Asked before it is opened, which alone changes some devices; and again of what has been opened.
    if !fs::metadata(path)?.is_file() {
        return Err(no_file());
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(no_file());
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("it is larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn error(operation: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { operation, path: Printable(path.display()).to_string(), source }
}

#[cfg(test)]
mod tests;
