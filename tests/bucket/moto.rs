//! The same against moto, a store that others wrote.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use vcq::store::{Store, Trust, disk::DiskError};

use crate::{NAME, date, publish, python, store_at};

/// A server that ends with the test.
struct Moto {
    child: Child,
    address: String,
}

impl Moto {
    fn start() -> Self {
        let python = python::environment("moto", &["moto[server]==5.2.5"]);
        let mut child = Command::new(python.with_file_name("moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address =
            lines.find_map(|line| Some(format!("http://{}", line.split_once("Running on http://")?.1.trim())));
        let address = address.expect("moto says where it listens");
        // Whoever does not read on holds the server up.
        std::thread::spawn(move || lines.for_each(drop));
        let moto = Self { child, address };
        moto.create_bucket("lake");
        moto
    }

    fn create_bucket(&self, name: &str) {
        let host = self.address.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "PUT /{name} HTTP/1.0\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn digests(store: &Store) -> [[u8; 32]; 2] {
    [Trust::Kept, Trust::Bytes].map(|trust| store.sha256(date(), NAME, trust).unwrap())
}

#[test]
fn moto_is_put_to_listed_read_and_tried() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&moto.address, folder.path());
    let tried = store.try_out().unwrap().unwrap().to_string();
    assert!(tried.contains("puts a file only where there is none"), "{tried}");
    assert_eq!(publish(&store, b"a file").unwrap(), 6);
    assert_eq!(publish(&store, b"a file").unwrap(), 6, "the same bytes are no conflict");
    assert!(matches!(publish(&store, b"another").unwrap_err(), DiskError::Exists { .. }));
    let at_once = store.at_once().unwrap();
    assert_eq!(at_once.partitions().unwrap(), store.partitions().unwrap());
    assert_eq!(at_once.list(date()).unwrap(), store.list(date()).unwrap());
    assert_eq!(store.partitions().unwrap().dates, [date()]);
    let [kept, read] = digests(&store);
    assert_eq!(kept, read);
}

#[test]
fn moto_takes_a_large_file_in_parts() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&moto.address, folder.path());
    publish(&store, &vec![7; 20 * 1024 * 1024]).unwrap();
    let [kept, read] = digests(&store);
    assert_eq!(kept, read);
}
