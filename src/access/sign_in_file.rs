//! Where a sign-in is kept: `sign-in.json` in the state folder, for its owner alone.
//!
//! A refresh token can be used once, and what comes back is the only one that is good from then on. So room for it is made before
//! it is asked for, it is durable before it is used, and one process at a time does that. Until it takes its place, the new
//! sign-in stands in `sign-in.next`: whole, it is the newer one, whatever cut its writer off; anything else there says that a
//! renewal was cut off before its answer was kept.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{
    NoToken,
    sign_in::{SIGN_IN_VERSION, SignIn},
};
use crate::{
    credentials::check_private,
    error::Error,
    feishu::{
        answer::{Remedy, Said},
        auth::TokenError,
    },
    file,
    printable::Printable,
};

const FILE: &str = "sign-in.json";
const NEXT: &str = "sign-in.next";
const LOCK: &str = "sign-in.lock";

/// The largest sign-in: two tokens of 4 KB, and what is known of them.
const BYTES_MAX: usize = 32 << 10;

/// How often a process that waits for another one's renewal looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long it waits: the other one asks once for each time that it holds the lock.
const WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// How often writing is tried before a new sign-in is given up.
const WRITES_MAX: u32 = 3;

const DAMAGED_REMEDY: Remedy = Remedy("sign in again: `vcq login`");
const NEWER_REMEDY: Remedy = Remedy("use the newer version of vcq, or sign in again: `vcq login`");

/// The sign-in of a state folder.
#[derive(Clone, Debug)]
pub struct SignInFile {
    folder: PathBuf,
}

/// The right to change it, for as long as the value lives.
pub struct Locked<'a> {
    of: &'a SignInFile,
    _lock: File,
}

/// What is kept.
pub struct Found {
    /// The sign-in, if somebody has signed in.
    pub sign_in: Option<SignIn>,
    /// Whether a renewal was begun whose answer is not kept.
    pub is_cut: bool,
}

impl SignInFile {
    /// That of the state folder `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The sign-in, for somebody who only wants to know: nothing is created, changed or waited for.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or others have access to it.
    pub fn read(&self) -> Result<Option<SignIn>, Error> {
        // In this order: what takes its place between the two is seen as the second.
        let next = self.parse(NEXT).ok().flatten();
        let sign_in = self.parse(FILE)?;
        Ok(newer(sign_in, next))
    }

    /// The right to change it, if no other process has it. Creates the state folder, for its owner alone.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written.
    pub fn try_lock(&self) -> Result<Option<Locked<'_>>, Error> {
        self.create_folder().map_err(|source| self.failed("create", "", source))?;
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600).open(self.path(LOCK));
        let lock = lock.map_err(|source| self.failed("open", LOCK, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Locked { of: self, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(self.failed("lock", LOCK, source)),
        }
    }

    /// The right to change it, once no other process has it.
    ///
    /// # Errors
    ///
    /// As [`SignInFile::try_lock`]; also if another process keeps it for ten minutes.
    pub async fn lock(&self) -> Result<Locked<'_>, NoToken> {
        let began = Instant::now();
        loop {
            if let Some(locked) = self.try_lock()? {
                return Ok(locked);
            }
            if began.elapsed() >= WAIT_MAX {
                let text = format!("another process has been renewing the sign-in for {} s", WAIT_MAX.as_secs());
                return Err(TokenError::Transient(Said { text, log_id: None }).into());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    fn create_folder(&self) -> io::Result<()> {
        if self.folder.exists() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // The umask has no say.
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        File::open(file::folder_of(&self.folder))?.sync_all()
    }

    /// What stands in one of the two files; none if there is no such file.
    fn parse(&self, name: &str) -> Result<Option<SignIn>, Error> {
        let path = self.path(name);
        let shown = || format!("the sign-in `{}`", Printable(path.display()));
        let refused = |what: &str, remedy| Error::Access { what: format!("{} {what}", shown()), remedy };
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed("look at", name, source)),
        };
        if !metadata.is_file() {
            return Err(refused("is no regular file", DAMAGED_REMEDY));
        }
        check_private(&shown(), &metadata, true)?;
        let bytes = match file::read_small(&path, BYTES_MAX as u64) {
            Ok(bytes) => Zeroizing::new(bytes),
            // Another process has just put it in its place.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed("read", name, source)),
        };
        // What is wrong with it is not told: the parser's words quote what stands there.
        let version = serde_json::from_slice::<Version>(&bytes).map_err(|_| refused("is damaged", DAMAGED_REMEDY))?;
        if version.sign_in_version > SIGN_IN_VERSION {
            return Err(refused("is that of a newer version of vcq", NEWER_REMEDY));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|_| refused("is damaged", DAMAGED_REMEDY))
    }

    fn failed(&self, operation: &'static str, name: &str, source: io::Error) -> Error {
        let path = if name.is_empty() { self.folder.clone() } else { self.path(name) };
        Error::File { operation, path: Printable(path.display()).to_string(), source }
    }
}

#[derive(Deserialize)]
struct Version {
    sign_in_version: u32,
}

fn newer(sign_in: Option<SignIn>, next: Option<SignIn>) -> Option<SignIn> {
    match (sign_in, next) {
        (Some(sign_in), Some(next)) if next.serial > sign_in.serial => Some(next),
        (Some(sign_in), _) => Some(sign_in),
        (None, next) => next,
    }
}

impl Locked<'_> {
    /// What is kept. A sign-in that was written whole and has not taken its place takes it now.
    pub fn load(&self) -> Result<Found, Error> {
        let of = self.of;
        let sign_in = of.parse(FILE)?;
        let path = of.path(NEXT);
        if !path.exists() {
            return Ok(Found { sign_in, is_cut: false });
        }
        let is_newer = |next: &SignIn| sign_in.as_ref().is_none_or(|sign_in| next.serial > sign_in.serial);
        match of.parse(NEXT) {
            Ok(Some(next)) if is_newer(&next) => {
                let settle = || File::open(&path)?.sync_all().and_then(|()| self.put_in_place());
                settle().map_err(|source| of.failed("put in place", NEXT, source))?;
                Ok(Found { sign_in: Some(next), is_cut: false })
            }
            // It is in its place already.
            Ok(_) => {
                self.forget_next()?;
                Ok(Found { sign_in, is_cut: false })
            }
            Err(_) => Ok(Found { sign_in, is_cut: true }),
        }
    }

    /// Makes room for the next sign-in, before what it comes from is used up.
    pub fn make_room(&self) -> Result<(), Error> {
        let make = || {
            let mut file = self.open_next()?;
            file.write_all(&vec![b' '; BYTES_MAX])?;
            file.sync_all()?;
            // The name must be there too: it says that something was begun.
            File::open(&self.of.folder)?.sync_all()
        };
        make().map_err(|source| self.of.failed("make room in", NEXT, source))
    }

    /// Keeps the next sign-in: once this returns it outlives a power cut. What fails is tried again, for there is no second one.
    pub fn put(&self, sign_in: &SignIn) -> Result<(), Error> {
        let text = Zeroizing::new(serde_json::to_vec_pretty(sign_in).expect("a sign-in has string keys only"));
        let write = || {
            let mut file = self.open_next()?;
            file.rewind()?;
            file.write_all(&text)?;
            file.set_len(text.len() as u64)?;
            file.sync_all()?;
            self.put_in_place()
        };
        let mut put = write();
        for _ in 1..WRITES_MAX {
            put = put.or_else(|_| write());
        }
        put.map_err(|source| self.of.failed("write", NEXT, source))
    }

    /// Says that nothing was begun, or that it is known how it ended.
    pub fn forget_next(&self) -> Result<(), Error> {
        self.take_away(NEXT)
    }

    /// Removes the sign-in; false if there was none. What might take its place goes first.
    pub fn remove(&self) -> Result<bool, Error> {
        let was_there = [NEXT, FILE].iter().any(|name| self.of.path(name).exists());
        self.take_away(NEXT)?;
        self.take_away(FILE)?;
        Ok(was_there)
    }

    fn open_next(&self) -> io::Result<File> {
        let path = self.of.path(NEXT);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        // The umask may have taken what its owner needs.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }

    fn put_in_place(&self) -> io::Result<()> {
        fs::rename(self.of.path(NEXT), self.of.path(FILE))?;
        File::open(&self.of.folder)?.sync_all()
    }

    fn take_away(&self, name: &str) -> Result<(), Error> {
        let take = || match fs::remove_file(self.of.path(name)) {
            Ok(()) => File::open(&self.of.folder)?.sync_all(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        take().map_err(|source| self.of.failed("remove", name, source))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::{config::Config, feishu::auth::user::UserTokens};

    fn sign_in(serial: u64) -> SignIn {
        let token = |text: &str| (format!("{text}{serial}").into(), Duration::from_secs(7200));
        let tokens = UserTokens { access: token("a-"), refresh: Some(token("r-")), scope: "s".into() };
        let config = Config::load(None, [], &[]).unwrap();
        SignIn { serial, ..SignIn::new(&config, tokens, chrono::DateTime::UNIX_EPOCH) }
    }

    fn serial(found: Option<&SignIn>) -> Option<u64> {
        found.map(|sign_in| sign_in.serial)
    }

    /// What cuts a writer off leaves one of these states; the newest sign-in that is whole counts.
    #[test]
    fn whatever_a_writer_leaves_the_newest_whole_sign_in_counts() {
        let home = tempfile::tempdir().unwrap();
        let file = SignInFile::new(&home.path().join("state"));
        let locked = file.try_lock().unwrap().unwrap();
        assert!(file.try_lock().unwrap().is_none(), "one at a time");
        assert_eq!(serial(locked.load().unwrap().sign_in.as_ref()), None);
        locked.put(&sign_in(1)).unwrap();
        let whole = serde_json::to_vec_pretty(&sign_in(2)).unwrap();
        for length in 0..=whole.len() + 3 {
            locked.put(&sign_in(1)).unwrap();
            locked.make_room().unwrap();
            // Written in part over what made the room.
            let mut next = fs::read(file.path(NEXT)).unwrap();
            let written = length.min(whole.len());
            next[..written].copy_from_slice(&whole[..written]);
            fs::write(file.path(NEXT), &next).unwrap();
            let is_whole = length >= whole.len();
            assert_eq!(serial(file.read().unwrap().as_ref()), Some(1 + u64::from(is_whole)), "{length}");
            let found = locked.load().unwrap();
            assert_eq!((serial(found.sign_in.as_ref()), found.is_cut), (Some(1 + u64::from(is_whole)), !is_whole));
            assert_eq!(file.path(NEXT).exists(), !is_whole);
            if is_whole {
                // From here on it is as if it had never been cut.
                locked.remove().unwrap();
            }
        }
        locked.put(&sign_in(7)).unwrap();
        fs::write(file.path(NEXT), &whole).unwrap();
        fs::set_permissions(file.path(NEXT), fs::Permissions::from_mode(0o600)).unwrap();
        let found = locked.load().unwrap();
        assert_eq!((serial(found.sign_in.as_ref()), file.path(NEXT).exists()), (Some(7), false), "an older one");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file.path(FILE)), mode(&file.folder)), (0o600, 0o700));
        assert_eq!(found.sign_in.unwrap().access_token().expose_secret(), "a-7");
        assert!(locked.remove().unwrap() && !locked.remove().unwrap());
        assert!(file.read().unwrap().is_none());
    }

    #[test]
    fn what_others_can_read_or_nobody_can_is_refused_and_not_quoted() {
        let home = tempfile::tempdir().unwrap();
        let file = SignInFile::new(home.path());
        let said = || match file.read() {
            Err(Error::Access { what, .. }) => what.replace(home.path().to_str().unwrap(), "HOME"),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("it was read"),
        };
        file.try_lock().unwrap().unwrap().put(&sign_in(1)).unwrap();
        fs::set_permissions(file.path(FILE), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(said(), "the sign-in `HOME/sign-in.json` has mode 0644: others have access to it");
        fs::set_permissions(file.path(FILE), fs::Permissions::from_mode(0o600)).unwrap();
        for (text, expected) in [
            ("{\"sign_in_version\": \"s3cret\"}", "is damaged"),
            ("{\"sign_in_version\": 1, \"access\": \"s3cret\"}", "is damaged"),
            ("", "is damaged"),
            ("{\"sign_in_version\": 2}", "is that of a newer version of vcq"),
        ] {
            fs::write(file.path(FILE), text).unwrap();
            assert_eq!(said(), format!("the sign-in `HOME/sign-in.json` {expected}"), "{text}");
        }
    }
}
