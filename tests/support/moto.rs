//! moto: a store that others wrote, with the bucket `lake`.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use super::python;

/// A server that ends with the test.
pub(crate) struct Moto {
    child: Child,
    pub(crate) address: String,
}

impl Moto {
    pub(crate) fn start() -> Self {
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
