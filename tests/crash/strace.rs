//! strace, which counts the system calls of a command, kills it at one of them or makes one fail.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::PathBuf,
    process::{Command, Output},
};

/// The calls by which a process changes its disk or talks to the network, and the opening of files.
pub(crate) const EFFECTS: [&str; 24] = [
    "write",
    "writev",
    "pwrite64",
    "fsync",
    "fdatasync",
    "open",
    "openat",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "sendto",
    "recvfrom",
];

/// What happens to a process at one of its system calls.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// The call.
    pub(crate) call: String,
    /// Which such call of a thread: the first is 1.
    ordinal: u32,
    pub(crate) blow: Blow,
    pub(crate) on: On,
}

/// Which files a call has to be on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    /// Any, or none at all.
    Everything,
    /// Files that are built in staging.
    Staging,
    /// The journal's database and its log.
    Journal,
}

/// See [`Cut`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    /// The process is killed before the call.
    Kill,
    /// The call fails.
    Fail(&'static str),
    /// The call and all later ones fail.
    FailForGood(&'static str),
}

impl Cut {
    pub(crate) fn new(call: &str, ordinal: u32, blow: Blow) -> Self {
        Self { call: call.to_owned(), ordinal, blow, on: On::Everything }
    }

    /// The same, of calls on these files alone.
    pub(crate) fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    /// Runs `vcq` to where this ends it, and says how many calls were made to fail. If `paths` are given, only calls on
    /// them count.
    pub(crate) fn run(&self, vcq: &Command, paths: &[PathBuf]) -> (Output, usize) {
        let Self { call, ordinal, .. } = self;
        let (what, from) = match self.blow {
            Blow::Kill => ("signal=KILL".to_owned(), ""),
            Blow::Fail(error) => (format!("error={error}"), ""),
            Blow::FailForGood(error) => (format!("error={error}"), "+"),
        };
        let log = tempfile::NamedTempFile::new().unwrap();
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{what}:when={ordinal}{from}"));
        let options = ["-o", log.path().to_str().unwrap(), "-e", &trace, "-e", &inject];
        let output = strace(&options, vcq, paths);
        let struck = fs::read_to_string(log.path()).unwrap().matches("(INJECTED)").count();
        (output, struck)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.call, self.ordinal, self.blow)
    }
}

/// Runs `vcq` and counts its `calls` by name: of the thread that makes the most of them.
pub(crate) fn count(vcq: &Command, calls: &[&str], paths: &[PathBuf]) -> (Output, BTreeMap<String, u32>) {
    let log = tempfile::NamedTempFile::new().unwrap();
    // With `?`, a call that the processor does not have is no error.
    let calls: Vec<_> = calls.iter().map(|call| format!("?{call}")).collect();
    let trace = format!("trace={}", calls.join(","));
    let output = strace(&["-o", log.path().to_str().unwrap(), "-e", &trace], vcq, paths);
    let mut by_thread = BTreeMap::<(String, String), u32>::new();
    for line in fs::read_to_string(log.path()).unwrap().lines() {
        let (thread, rest) = line.split_once(' ').unwrap();
        // Other lines tell of signals, and of the end of a call during which another thread made one.
        if let Some((call, _)) = rest.trim_start().split_once('(').filter(|(call, _)| !call.contains(' ')) {
            *by_thread.entry((call.to_owned(), thread.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((call, _), count) in by_thread {
        let of_call = most.entry(call).or_default();
        *of_call = count.max(*of_call);
    }
    (output, most)
}

fn strace(options: &[&str], vcq: &Command, paths: &[PathBuf]) -> Output {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq"]).args(options);
    for path in paths {
        strace.arg("-P").arg(path);
    }
    strace.arg("--").arg(vcq.get_program()).args(vcq.get_args()).current_dir(vcq.get_current_dir().unwrap());
    strace.env_clear().envs(vcq.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = strace.output().unwrap_or_else(|error| {
        panic!("this test needs strace, which cannot be run ({error}): on Debian and Ubuntu, `apt-get install strace`")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("strace: "), "strace cannot trace here; in a container, allow ptrace:\n{errors}");
    output
}
