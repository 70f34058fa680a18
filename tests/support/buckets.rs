//! Buckets in a folder, on which something may happen at any call.
//!
//! An object is a file: `<folder>/<bucket>/<key>`. What a store does to a dataset is seen there by whoever reads folders.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read as _, Write},
    ops::Range,
    panic::resume_unwind,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use sha2::{Digest as _, Sha256};
use vcq::{
    config::ObjectStores,
    store::bucket::{Bucket, BucketError, Buckets, Entry, Object, Trouble, Upload},
};

use super::{
    oracle::{Files, files},
    world::Killed,
};

/// What happens to the calls, which are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ill {
    /// Nothing.
    None,
    /// The process is killed at this call, which has come about or has not.
    Kill { call: u64, is_done: bool },
    /// From this call on, for so many, there is no answer: each has come about or has not.
    Away { from: u64, count: u64, is_done: bool },
    /// This call has no answer, and if it puts an object, that comes when [`FrailBuckets::arrive`] says so.
    Late { call: u64 },
}

/// All buckets.
#[derive(Clone, Debug)]
pub(crate) struct FrailBuckets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// Whether an object is put only where there is none, or whatever is there.
    puts_only_new: bool,
    state: Mutex<State>,
}

/// A call: its method, and the key or the prefix that it was about.
pub(crate) type Asked = (&'static str, String);

#[derive(Debug)]
struct State {
    ill: Ill,
    /// Every call: what was asked, and of which key or prefix.
    asked: Vec<Asked>,
    is_dead: bool,
    under_way: Vec<(PathBuf, Vec<u8>)>,
    /// Objects without a digest: somebody else has put them.
    foreign: BTreeSet<PathBuf>,
}

/// One bucket.
#[derive(Debug)]
struct FrailBucket {
    all: FrailBuckets,
    folder: PathBuf,
}

impl FrailBuckets {
    /// Buckets under `folder`.
    pub(crate) fn new(folder: PathBuf, puts_only_new: bool) -> Self {
        let state = State {
            ill: Ill::None,
            asked: Vec::new(),
            is_dead: false,
            under_way: Vec::new(),
            foreign: BTreeSet::new(),
        };
        Self(Arc::new(Shared { folder, puts_only_new, state: Mutex::new(state) }))
    }

    /// Says what happens to the calls from here on.
    pub(crate) fn meet(&self, ill: Ill) {
        let mut state = self.state();
        (state.ill, state.is_dead) = (ill, false);
        state.asked.clear();
    }

    /// How many calls there were since then.
    pub(crate) fn calls(&self) -> u64 {
        self.state().asked.len() as u64
    }

    /// These calls, in their order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// What was under way comes about, unless the store keeps what has been put there meanwhile.
    pub(crate) fn arrive(&self) {
        for (path, content) in std::mem::take(&mut self.state().under_way) {
            if !(self.0.puts_only_new && path.exists()) {
                put(&path, &content);
            }
        }
    }

    /// Somebody else puts an object, without a digest.
    pub(crate) fn put_foreign(&self, path: &str, content: &[u8]) {
        let path = self.0.folder.join(path);
        put(&path, content);
        self.state().foreign.insert(path);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call, unless something happens to it.
    fn call<T>(
        &self,
        asked: (&'static str, &str),
        run: impl FnOnce(&mut State) -> Result<T, BucketError>,
    ) -> Result<T, BucketError> {
        let mut state = self.state();
        let number = state.asked.len() as u64;
        state.asked.push((asked.0, asked.1.to_owned()));
        if state.is_dead {
            drop(state);
            return die();
        }
        match state.ill {
            Ill::Kill { call, is_done } if call == number => {
                state.is_dead = true;
                if is_done {
                    drop(run(&mut state));
                }
                drop(state);
                die()
            }
            Ill::Away { from, count, is_done } if (from..from + count).contains(&number) => {
                if is_done {
                    drop(run(&mut state));
                }
                Err(BucketError::new(Trouble::Away, "there is no answer"))
            }
            Ill::Late { call } if call == number => Err(BucketError::new(Trouble::Away, "there is no answer yet")),
            _ => run(&mut state),
        }
    }
}

fn die<T>() -> Result<T, BucketError> {
    if !thread::panicking() {
        resume_unwind(Box::new(Killed));
    }
    Err(BucketError::new(Trouble::Away, "the process is dead"))
}

fn put(path: &std::path::Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

impl Buckets for FrailBuckets {
    fn open(&self, bucket: &str, _: &ObjectStores) -> Result<Arc<dyn Bucket>, BucketError> {
        Ok(Arc::new(FrailBucket { all: self.clone(), folder: self.0.folder.join(bucket) }))
    }
}

impl Bucket for FrailBucket {
    fn put_new(&self, upload: &Upload<'_>) -> Result<(), BucketError> {
        let path = self.folder.join(upload.key);
        let mut content = Vec::new();
        let mut file = upload.file;
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_end(&mut content).unwrap();
        assert_eq!((content.len() as u64, Sha256::digest(&content).into()), (upload.bytes, upload.sha256));
        if matches!(self.all.state(), state if state.ill == Ill::Late { call: state.asked.len() as u64 }) {
            self.all.state().under_way.push((path.clone(), content.clone()));
        }
        self.all.call(("put_new", upload.key), |_| {
            if self.all.0.puts_only_new && path.exists() {
                return Err(BucketError::new(Trouble::Taken, "412 PreconditionFailed"));
            }
            put(&path, &content);
            Ok(())
        })
    }

    fn look(&self, key: &str) -> Result<Option<Object>, BucketError> {
        let path = self.folder.join(key);
        self.all.call(("look", key), |state| {
            let Ok(content) = fs::read(&path) else { return Ok(None) };
            let kept = (!state.foreign.contains(&path)).then(|| Sha256::digest(&content).into());
            Ok(Some(Object { bytes: content.len() as u64, sha256: kept }))
        })
    }

    fn get(&self, key: &str, range: Range<u64>, into: &mut dyn Write) -> Result<(), BucketError> {
        self.all.call(("get", key), |_| {
            let content = fs::read(self.folder.join(key)).unwrap();
            let [from, to] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
            into.write_all(&content[from..to]).unwrap();
            Ok(())
        })
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BucketError> {
        self.all.call(("list", prefix), |_| {
            let Ok(entries) = fs::read_dir(self.folder.join(prefix)) else { return Ok(Vec::new()) };
            let entries = entries.map(Result::unwrap).filter_map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                let is_folder = entry.file_type().unwrap().is_dir();
                // A bucket has no empty folders.
                let has_objects = || fs::read_dir(entry.path()).unwrap().next().is_some();
                if is_folder {
                    has_objects().then_some(Entry::Folder(name))
                } else {
                    Some(Entry::Object { name, bytes: entry.metadata().unwrap().len() })
                }
            });
            Ok(entries.collect())
        })
    }

    fn list_all(&self, prefix: &str) -> Result<Vec<(String, u64)>, BucketError> {
        self.all.call(("list_all", prefix), |_| {
            let folder = self.folder.join(prefix);
            let objects = if folder.exists() { files(&folder) } else { Files::new() };
            Ok(objects.into_iter().map(|(name, content)| (name, content.len() as u64)).collect())
        })
    }

    fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.all.call(("delete", key), |_| match fs::remove_file(self.folder.join(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{key}: {error}"),
            _ => Ok(()),
        })
    }
}
