//! A small object store that speaks S3 over HTTP, on which something may happen at any request. It checks no signature.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};
use socket2::{Domain, Socket, Type};

/// What the store does about `If-None-Match: *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Kept,
    /// With this status and code.
    Refused(u16, &'static str),
    Ignored,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not done, and answered with this status and code.
    Refuse(u16, &'static str),
    /// It is done, and answered with 500.
    DoneAnd500,
    /// It is done, and the connection is cut before the answer.
    DoneAndCut,
    /// The answer ends in the middle of its body.
    CutBody,
    /// One byte of the answer's body is another.
    BentBody,
    /// It is done, and not answered for as long as whoever asked waits.
    DoneAndHeld,
    /// The process that was named as the victim is killed; before that it is done or not.
    Kill { is_done: bool },
}

/// Says what happens to a request: its number from 0, method and path with query.
pub(crate) type Faults = Box<dyn FnMut(usize, &str, &str) -> Option<Fault> + Send>;

/// An object: its content and its metadata.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) content: Vec<u8>,
    pub(crate) sha256: Option<String>,
}

/// The store.
pub(crate) struct Server {
    pub(crate) address: String,
    /// Keeps the port while nothing listens: otherwise it could be given to whoever asks for any.
    port: Socket,
    shared: Arc<Mutex<Shared>>,
    victim: Arc<Victim>,
    listening: Option<Listening>,
}

/// Takes connections until it is told to end.
struct Listening {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// The process that is killed if a fault says so, once it is known.
#[derive(Default)]
struct Victim {
    process: Mutex<Option<Pid>>,
    is_named: Condvar,
}

impl Victim {
    fn kill(&self) {
        let unnamed = self.process.lock().unwrap();
        let mut named = self.is_named.wait_while(unnamed, |process| process.is_none()).unwrap();
        // It may have ended, which its test sees.
        let _ = kill_process(named.take().unwrap(), Signal::KILL);
    }
}

struct Shared {
    objects: BTreeMap<String, Kept>,
    /// Parts by upload and number.
    parts: BTreeMap<(String, u32), Vec<u8>>,
    digests_of_uploads: BTreeMap<String, Option<String>>,
    requests: Vec<String>,
    /// Bytes of objects that were read.
    read_bytes: u64,
    condition: Condition,
    faults: Faults,
}

struct Asked {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Server {
    /// A store with nothing in it.
    pub(crate) fn start(condition: Condition, faults: Faults) -> Self {
        let port = bound_to((Ipv4Addr::LOCALHOST, 0).into());
        let address = format!("http://{}", address_of(&port));
        let shared = Arc::new(Mutex::new(Shared {
            objects: BTreeMap::new(),
            parts: BTreeMap::new(),
            digests_of_uploads: BTreeMap::new(),
            requests: Vec::new(),
            read_bytes: 0,
            condition,
            faults,
        }));
        let mut server = Self { address, port, shared, victim: Arc::default(), listening: None };
        server.listen();
        server
    }

    fn listen(&mut self) {
        let listener = bound_to(address_of(&self.port));
        listener.listen(128).unwrap();
        let listener = TcpListener::from(listener);
        let ends = Arc::new(AtomicBool::new(false));
        let (shared, victim, is_over) = (Arc::clone(&self.shared), Arc::clone(&self.victim), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (shared, victim) = (Arc::clone(&shared), Arc::clone(&victim));
                thread::spawn(move || serve(&shared, &victim, &stream));
            }
        });
        self.listening = Some(Listening { ends, thread });
    }

    /// Takes no more connections; what is there stays.
    pub(crate) fn stop(&mut self) {
        let Listening { ends, thread } = self.listening.take().unwrap();
        ends.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(address_of(&self.port)));
        thread.join().unwrap();
    }

    /// Takes connections again, at the same address.
    pub(crate) fn restart(&mut self) {
        self.listen();
    }

    /// From here on this happens to requests, which are counted from 0 again.
    pub(crate) fn meet(&self, faults: Faults) {
        let mut shared = self.shared();
        shared.faults = faults;
        shared.requests.clear();
        shared.read_bytes = 0;
    }

    /// The process that is killed if a fault says so.
    pub(crate) fn name_victim(&self, process: Pid) {
        *self.victim.process.lock().unwrap() = Some(process);
        self.victim.is_named.notify_all();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there now, by bucket and key.
    pub(crate) fn objects(&self) -> BTreeMap<String, Kept> {
        self.shared().objects.clone()
    }

    /// Puts an object that nobody has asked for.
    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        let kept = Kept { content: content.to_owned(), sha256: None };
        self.shared().objects.insert(path.to_owned(), kept);
    }

    /// Method and path with query of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared().requests.clone()
    }

    /// How many bytes of objects have been read.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.shared().read_bytes
    }

    /// How many parts are kept of uploads that have not ended.
    pub(crate) fn parts(&self) -> usize {
        self.shared().parts.len()
    }
}

/// A socket that shares its port with others of this process: one that is being closed does not stand in the way of the next, and
/// neither does its copy in a process that another test is just starting.
fn bound_to(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

fn serve(shared: &Mutex<Shared>, victim: &Victim, stream: &TcpStream) {
    let Some(asked) = read(stream) else { return };
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let target = if asked.query.is_empty() { asked.path.clone() } else { format!("{}?{}", asked.path, asked.query) };
    let number = shared.requests.len();
    shared.requests.push(format!("{} {target}", asked.method));
    let fault = (shared.faults)(number, &asked.method, &target);
    let answer = match fault {
        Some(Fault::Refuse(status, code)) => error(status, code),
        Some(Fault::Kill { is_done: false }) => return victim.kill(),
        _ => shared.answer(&asked),
    };
    let mut bent = answer.body.clone();
    let half = answer.body.len() / 2;
    match fault {
        Some(Fault::DoneAnd500) => write(stream, &asked.method, &error(500, "InternalError"), None),
        Some(Fault::DoneAndCut) => {}
        Some(Fault::CutBody) => write(stream, &asked.method, &answer, Some(half)),
        Some(Fault::BentBody) => {
            bent[half] ^= 1;
            write(stream, &asked.method, &Answer { body: bent, ..answer }, None);
        }
        Some(Fault::DoneAndHeld) => {
            drop(shared);
            // Whoever waits no longer closes the connection.
            drop(BufReader::new(stream).read(&mut [0]));
        }
        Some(Fault::Kill { .. }) => victim.kill(),
        Some(Fault::Refuse(..)) | None => write(stream, &asked.method, &answer, None),
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    // A proxy is asked with the whole address.
    let target =
        target.strip_prefix("http://").map_or(&*target, |rest| rest.find('/').map_or("", |from| &rest[from..]));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    // Of what keys are made of, this alone is written otherwise.
    let path = path.replace("%3D", "=");
    let path = path.trim_start_matches('/');
    // A bucket may stand before the host's name.
    let bucket = headers.get("host").and_then(|host| host.split_once(".localhost")).map(|(bucket, _)| bucket);
    let path = bucket.map_or_else(|| path.to_owned(), |bucket| format!("{bucket}/{path}"));
    Some(Asked { method, path, query: query.to_owned(), headers, body })
}

fn write(mut stream: &TcpStream, method: &str, answer: &Answer, only: Option<usize>) {
    let mut head = format!("HTTP/1.1 {} -\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    if method != "HEAD" {
        write!(head, "content-length: {}\r\n", answer.body.len()).unwrap();
    }
    let body = if method == "HEAD" { &[] } else { &answer.body[..only.unwrap_or(answer.body.len())] };
    // Whoever asked may have gone.
    drop(stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(body)));
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as it was told to</Message>\
         <StringToSign>never to be told</StringToSign></Error>"
    );
    Answer { status, headers: Vec::new(), body: body.into() }
}

fn done(body: String) -> Answer {
    Answer { status: 200, headers: vec![("etag".into(), "\"e\"".into())], body: body.into() }
}

impl Shared {
    fn answer(&mut self, asked: &Asked) -> Answer {
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(asked.query.as_bytes()).into_owned().collect();
        let upload = query.get("uploadId").cloned();
        let signed = asked.headers.get("x-amz-content-sha256");
        if signed.is_none_or(|digest| *digest != format!("{:x}", Sha256::digest(&asked.body))) {
            return error(400, "XAmzContentSHA256Mismatch");
        }
        match (asked.method.as_str(), upload) {
            ("POST", None) if query.contains_key("uploads") => self.begin_parts(asked),
            ("PUT", Some(upload)) => {
                self.parts.insert((upload, query["partNumber"].parse().unwrap()), asked.body.clone());
                done(String::new())
            }
            ("POST", Some(upload)) => self.complete_parts(asked, &upload),
            ("DELETE", Some(upload)) => {
                self.parts.retain(|(of, _), _| *of != upload);
                Answer { status: 204, ..done(String::new()) }
            }
            ("PUT", None) => self.put(asked),
            ("DELETE", None) => {
                self.objects.remove(&asked.path);
                Answer { status: 204, ..done(String::new()) }
            }
            ("GET", None) if query.contains_key("list-type") => self.list(asked, &query),
            ("GET" | "HEAD", None) => {
                let answer = self.get(asked);
                self.read_bytes += answer.body.len() as u64;
                answer
            }
            _ => error(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, asked: &Asked) -> Answer {
        if asked.headers.contains_key("if-none-match") {
            match self.condition {
                Condition::Kept if self.objects.contains_key(&asked.path) => return error(412, "PreconditionFailed"),
                Condition::Refused(status, code) => return error(status, code),
                Condition::Kept | Condition::Ignored => {}
            }
        }
        let sha256 = asked.headers.get("x-amz-meta-sha256").cloned();
        self.objects.insert(asked.path.clone(), Kept { content: asked.body.clone(), sha256 });
        done(String::new())
    }

    fn get(&self, asked: &Asked) -> Answer {
        let Some(Kept { content, sha256 }) = self.objects.get(&asked.path) else { return error(404, "NoSuchKey") };
        let mut headers: Vec<(String, String)> =
            vec![("etag".into(), "\"e\"".into()), ("last-modified".into(), "Tue, 01 Apr 2025 00:00:00 GMT".into())];
        headers.extend(sha256.iter().map(|digest| ("x-amz-meta-sha256".into(), digest.clone())));
        if asked.method == "HEAD" {
            headers.push(("content-length".into(), content.len().to_string()));
            return Answer { status: 200, headers, body: Vec::new() };
        }
        let Some(range) = asked.headers.get("range") else {
            return Answer { status: 200, headers, body: content.clone() };
        };
        let (from, to) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse::<usize>().unwrap().min(content.len() - 1));
        headers.push(("content-range".into(), format!("bytes {from}-{to}/{}", content.len())));
        Answer { status: 206, headers, body: content[from..=to].to_owned() }
    }

    fn list(&self, asked: &Asked, query: &BTreeMap<String, String>) -> Answer {
        let bucket = asked.path.trim_end_matches('/');
        let prefix = query.get("prefix").cloned().unwrap_or_default();
        let (mut folders, mut contents) = (BTreeSet::new(), String::new());
        for (path, Kept { content, .. }) in &self.objects {
            let Some(key) = path.strip_prefix(&format!("{bucket}/")) else { continue };
            let Some(rest) = key.strip_prefix(&prefix) else { continue };
            match rest.split_once('/').filter(|_| query.contains_key("delimiter")) {
                Some((folder, _)) => {
                    folders.insert(format!("{prefix}{folder}/"));
                }
                None => write!(
                    contents,
                    "<Contents><Key>{key}</Key><Size>{}</Size><ETag>e</ETag>\
                     <LastModified>2025-04-01T00:00:00.000Z</LastModified></Contents>",
                    content.len()
                )
                .unwrap(),
            }
        }
        let folder = |name: &String| format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>");
        let folders: String = folders.iter().map(folder).collect();
        done(format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}{folders}</ListBucketResult>"))
    }

    fn begin_parts(&mut self, asked: &Asked) -> Answer {
        let upload = format!("upload{}", self.digests_of_uploads.len());
        self.digests_of_uploads.insert(upload.clone(), asked.headers.get("x-amz-meta-sha256").cloned());
        done(format!(
            "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{upload}</UploadId>\
             </InitiateMultipartUploadResult>"
        ))
    }

    fn complete_parts(&mut self, asked: &Asked, upload: &str) -> Answer {
        let parts = self.parts.iter().filter(|((of, _), _)| of == upload);
        let parts: Vec<_> = parts.map(|(_, part)| part.clone()).collect();
        if parts.is_empty() {
            return error(404, "NoSuchUpload");
        }
        let content = parts.concat();
        self.parts.retain(|(of, _), _| of != upload);
        let sha256 = self.digests_of_uploads.get(upload).cloned().flatten();
        self.objects.insert(asked.path.clone(), Kept { content, sha256 });
        done("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>".into())
    }
}
