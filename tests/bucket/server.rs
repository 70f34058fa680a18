//! A small object store that speaks S3 over HTTP, on which something may happen at any request. It checks no signature.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What the store does about `If-None-Match: *`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Kept,
    Refused,
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
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    objects: BTreeMap<String, Kept>,
    /// Parts by upload and number.
    parts: BTreeMap<(String, u32), Vec<u8>>,
    digests_of_uploads: BTreeMap<String, Option<String>>,
    requests: Vec<String>,
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Mutex::new(Shared {
            objects: BTreeMap::new(),
            parts: BTreeMap::new(),
            digests_of_uploads: BTreeMap::new(),
            requests: Vec::new(),
            condition,
            faults,
        }));
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_thread);
                thread::spawn(move || serve(&shared, &stream));
            }
        });
        Self { address, shared }
    }

    /// What is there now, by bucket and key.
    pub(crate) fn objects(&self) -> BTreeMap<String, Kept> {
        self.shared.lock().unwrap().objects.clone()
    }

    /// Puts an object that nobody has asked for.
    pub(crate) fn put(&self, path: &str, content: &[u8]) {
        let kept = Kept { content: content.to_owned(), sha256: None };
        self.shared.lock().unwrap().objects.insert(path.to_owned(), kept);
    }

    /// Method and path with query of every request so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.lock().unwrap().requests.clone()
    }

    /// How many parts are kept of uploads that have not ended.
    pub(crate) fn parts(&self) -> usize {
        self.shared.lock().unwrap().parts.len()
    }
}

fn serve(shared: &Mutex<Shared>, stream: &TcpStream) {
    let Some(asked) = read(stream) else { return };
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let target = if asked.query.is_empty() { asked.path.clone() } else { format!("{}?{}", asked.path, asked.query) };
    let number = shared.requests.len();
    shared.requests.push(format!("{} {target}", asked.method));
    let fault = (shared.faults)(number, &asked.method, &target);
    let answer = match fault {
        Some(Fault::Refuse(status, code)) => error(status, code),
        _ => shared.answer(&asked),
    };
    match fault {
        Some(Fault::DoneAnd500) => write(stream, &asked.method, &error(500, "InternalError"), None),
        Some(Fault::DoneAndCut) => {}
        Some(Fault::CutBody) => {
            let half = answer.body.len() / 2;
            write(stream, &asked.method, &answer, Some(half));
        }
        _ => write(stream, &asked.method, &answer, None),
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
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    // Of what keys are made of, this alone is written otherwise.
    let path = path.replace("%3D", "=");
    Some(Asked { method, path: path.trim_start_matches('/').to_owned(), query: query.to_owned(), headers, body })
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
            ("GET" | "HEAD", None) => self.get(asked),
            _ => error(405, "MethodNotAllowed"),
        }
    }

    fn put(&mut self, asked: &Asked) -> Answer {
        if asked.headers.contains_key("if-none-match") {
            match self.condition {
                Condition::Kept if self.objects.contains_key(&asked.path) => return error(412, "PreconditionFailed"),
                Condition::Refused => return error(400, "NotImplemented"),
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
        let content: Vec<u8> = parts.flat_map(|(_, part)| part.clone()).collect();
        self.parts.retain(|(of, _), _| of != upload);
        let sha256 = self.digests_of_uploads.get(upload).cloned().flatten();
        self.objects.insert(asked.path.clone(), Kept { content, sha256 });
        done("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>".into())
    }
}
