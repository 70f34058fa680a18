//! A disk on which something may happen at any effect, and that forgets what was not synced.
//!
//! It does everything to the real one. What is not synced yet it can undo: when the power is cut, the content of a file
//! is as long as it was at its last sync, or zeros stand in its place, and an entry of a folder (created, renamed,
//! exchanged, removed) is as it was at the folder's last sync. Which of these survive is decided by a seed: all may, for
//! a process that is killed takes nothing with it, and none need.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use vcq::store::disk::{Disk, LocalDisk};

use super::world::Killed;

/// What happens to the effects of a process, which are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// The process is killed at this effect, and the power cut; the effect has come about or has not.
    Kill { effect: u64, is_done: bool },
    /// The disk is full from this effect on, for so many.
    Full { from: u64, count: u64 },
    /// The first sync from this effect on fails, and what it was to keep is lost at the next cut.
    Sync { from: u64 },
}

/// The disk.
#[derive(Debug)]
pub(crate) struct FrailDisk {
    /// Where removed things stand until their removal is synced.
    limbo: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    trouble: Trouble,
    /// Effects since the trouble was chosen.
    effects: u64,
    has_struck: bool,
    /// Nothing more comes about: the process is dead.
    is_dead: bool,
    /// Changes of entries whose folder has not been synced since, oldest first.
    unsynced: Vec<Change>,
    /// Files with content that is not synced, by their number.
    dirty: BTreeMap<u64, Dirty>,
    removed_count: u64,
    rng: StdRng,
}

#[derive(Debug)]
struct Dirty {
    file: File,
    synced_bytes: u64,
    /// A sync of it has failed: no later one helps.
    is_lost: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Folder(PathBuf),
    File(PathBuf),
    Rename { from: PathBuf, to: PathBuf },
    Exchange(PathBuf, PathBuf),
    Remove { path: PathBuf, kept: PathBuf },
}

impl Change {
    fn paths(&self) -> [&Path; 2] {
        match self {
            Self::Folder(path) | Self::File(path) | Self::Remove { path, .. } => [path, path],
            Self::Rename { from, to } => [from, to],
            Self::Exchange(one, other) => [one, other],
        }
    }

    /// The folder whose sync makes it last.
    fn folder(&self) -> &Path {
        match self {
            Self::Rename { to: path, .. }
            | Self::Exchange(_, path)
            | Self::Folder(path)
            | Self::File(path)
            | Self::Remove { path, .. } => path.parent().unwrap(),
        }
    }

    /// A later change that has lasted stands on this one: it cannot be undone alone.
    fn carries(&self, later: &Self) -> bool {
        let touches = |one: &Path, other: &Path| one.starts_with(other) || other.starts_with(one);
        self.paths().iter().any(|one| later.paths().iter().any(|other| touches(one, other)))
    }

    fn undo(&self) -> io::Result<()> {
        match self {
            Self::Folder(path) => fs::remove_dir_all(path),
            Self::File(path) => fs::remove_file(path),
            Self::Rename { from, to } => fs::rename(to, from),
            Self::Exchange(one, other) => {
                let folder = File::open(other.parent().unwrap())?;
                LocalDisk.exchange(one, &folder, other.file_name().unwrap().to_str().unwrap())
            }
            Self::Remove { path, kept } => fs::rename(kept, path),
        }
    }
}

impl FrailDisk {
    /// A disk whose cuts are decided by `seed`, and that keeps in `limbo`, a folder of the same file system, what may
    /// come back.
    pub(crate) fn new(limbo: PathBuf, seed: u64) -> Self {
        fs::create_dir(&limbo).unwrap();
        let state = State {
            trouble: Trouble::None,
            effects: 0,
            has_struck: false,
            is_dead: false,
            unsynced: Vec::new(),
            dirty: BTreeMap::new(),
            removed_count: 0,
            rng: StdRng::seed_from_u64(seed),
        };
        Self { limbo, state: Mutex::new(state) }
    }

    /// Says what happens to the effects from here on.
    pub(crate) fn meet(&self, trouble: Trouble) {
        let mut state = self.state();
        (state.trouble, state.effects, state.has_struck, state.is_dead) = (trouble, 0, false, false);
    }

    /// Whether a process has been killed on it.
    pub(crate) fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// Cuts the power: some of what is not synced is gone. Whoever is at work has been killed before.
    pub(crate) fn cut_power(&self) {
        let mut state = self.state();
        // One share for the whole cut: to lose nothing, or everything, is as likely as something between.
        let lost_share = [0.0, 0.5, 1.0][state.rng.random_range(0..3)];
        let mut lasting: Vec<Change> = Vec::new();
        while let Some(change) = state.unsynced.pop() {
            let is_carrier = lasting.iter().any(|later| change.carries(later));
            // What stood on it may be gone with something else: then it is as if it had lasted.
            if is_carrier || !state.rng.random_bool(lost_share) || change.undo().is_err() {
                lasting.push(change);
            }
        }
        for dirty in std::mem::take(&mut state.dirty).into_values() {
            let bytes = dirty.file.metadata().unwrap().len();
            if dirty.is_lost || state.rng.random_bool(lost_share) {
                dirty.file.set_len(dirty.synced_bytes).unwrap();
                // Some file systems grow a file before its bytes are there.
                if state.rng.random_bool(0.5) {
                    dirty.file.set_len(bytes).unwrap();
                }
            }
        }
        fs::remove_dir_all(&self.limbo).unwrap();
        fs::create_dir(&self.limbo).unwrap();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an effect, unless something happens to it.
    fn effect<T>(&self, is_sync: bool, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        if state.is_dead {
            drop(state);
            return die();
        }
        let number = state.effects;
        state.effects += 1;
        match state.trouble {
            Trouble::Kill { effect, is_done } if effect == number => {
                (state.has_struck, state.is_dead) = (true, true);
                if is_done {
                    drop(run(&mut state));
                }
                drop(state);
                die()
            }
            Trouble::Full { from, count } if !is_sync && (from..from + count).contains(&number) => {
                state.has_struck = true;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => run(&mut state),
        }
    }
}

/// Ends the process, unless it is ending: what it would do while it unwinds does not come about.
fn die<T>() -> io::Result<T> {
    if !thread::panicking() {
        resume_unwind(Box::new(Killed));
    }
    Err(io::Error::other("the process is dead"))
}

fn path_of(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

fn inode(file: &File) -> u64 {
    file.metadata().unwrap().ino()
}

impl Disk for FrailDisk {
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.effect(false, |state| {
            LocalDisk.create_folder(path, mode)?;
            state.unsynced.push(Change::Folder(path.to_owned()));
            Ok(())
        })
    }

    fn create_file(&self, path: &Path) -> io::Result<File> {
        self.effect(false, |state| {
            let file = LocalDisk.create_file(path)?;
            state.unsynced.push(Change::File(path.to_owned()));
            Ok(file)
        })
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.effect(false, |state| {
            let synced_bytes = file.metadata()?.len();
            let dirty = Dirty { file: file.try_clone()?, synced_bytes, is_lost: false };
            state.dirty.entry(inode(file)).or_insert(dirty);
            LocalDisk.write(file, bytes)
        })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.effect(true, |state| {
            let fails = matches!(state.trouble, Trouble::Sync { from } if state.effects > from) && !state.has_struck;
            state.has_struck |= fails;
            if file.metadata()?.is_dir() {
                if fails {
                    return Err(io::Error::other("the disk did not take it"));
                }
                let folder = path_of(file);
                state.unsynced.retain(|change| change.folder() != folder);
                return Ok(());
            }
            if fails {
                if let Some(dirty) = state.dirty.get_mut(&inode(file)) {
                    dirty.is_lost = true;
                }
                return Err(io::Error::other("the disk did not take it"));
            }
            if state.dirty.get(&inode(file)).is_some_and(|dirty| !dirty.is_lost) {
                state.dirty.remove(&inode(file));
            }
            Ok(())
        })
    }

    fn rename(&self, from: &Path, folder: &File, name: &str) -> io::Result<()> {
        self.effect(false, |state| {
            LocalDisk.rename(from, folder, name)?;
            state.unsynced.push(Change::Rename { from: from.to_owned(), to: path_of(folder).join(name) });
            Ok(())
        })
    }

    fn exchange(&self, path: &Path, folder: &File, name: &str) -> io::Result<()> {
        self.effect(false, |state| {
            LocalDisk.exchange(path, folder, name)?;
            state.unsynced.push(Change::Exchange(path.to_owned(), path_of(folder).join(name)));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.effect(false, |state| {
            // Kept until the removal is synced: it may come back.
            fs::symlink_metadata(path)?;
            state.removed_count += 1;
            let kept = self.limbo.join(state.removed_count.to_string());
            fs::rename(path, &kept)?;
            state.unsynced.push(Change::Remove { path: path.to_owned(), kept });
            Ok(())
        })
    }
}
