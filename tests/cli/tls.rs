//! A tenant behind TLS and HTTP/2, whose connections misbehave one by one, and what else can stand on the way to it.

use std::{
    convert::Infallible,
    future::{Future as _, pending, poll_fn},
    io::{BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::runtime::Builder;
use tokio_rustls::TlsAcceptor;
use vcq::simulator::{SharedSimulator, reply};

use super::{
    way::request::read_request,
    world::{World, wall},
};

/// What a connection does with its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// Answers all.
    Serves,
    /// Answers so many, and no further one, but pings.
    Ignores(usize),
    /// Answers so many, and then nothing at all, as when a firewall has forgotten it.
    Dies(usize),
    /// Answers so many, then closes its half and says nothing more.
    HalfCloses(usize),
}

impl Manner {
    /// How many requests.
    pub(crate) fn answers(self) -> usize {
        match self {
            Self::Serves => usize::MAX,
            Self::Ignores(answers) | Self::Dies(answers) | Self::HalfCloses(answers) => answers,
        }
    }
}

/// A certificate authority, and certificates by it.
pub(crate) struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self(Issuer::new(params, key), pem)
    }

    /// Writes its certificate into the world's folder.
    pub(crate) fn write(&self, world: &World, name: &str) -> PathBuf {
        world.write(name, &self.1);
        world.path(name)
    }

    /// A server's side of TLS as `host`, with a certificate that ends with that year.
    pub(crate) fn acceptor(&self, host: &str, last_year: i32) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 12, 31);
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.0).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(tls))
    }
}

/// A server until the test process ends.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// Requests by connection.
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Peer {
    /// Hands each connection, counted from 1, to a thread of its own.
    fn start(serve: impl Fn(usize, TcpStream, &Arc<Mutex<Vec<usize>>>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (counted, serve) = (Arc::clone(&asked), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counted, serve) = (Arc::clone(&counted), Arc::clone(&serve));
                counted.lock().unwrap().push(0);
                let number = counted.lock().unwrap().len();
                thread::spawn(move || serve(number, stream.unwrap(), &counted));
            }
        });
        Self { address, asked }
    }

    /// The world's tenant by HTTP/2 over TLS.
    pub(crate) fn tls(world: &World, acceptor: TlsAcceptor, manner: fn(usize) -> Manner) -> Self {
        let simulator = world.shared();
        Self::start(move |number, stream, asked| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let asked = Arc::clone(asked);
            let count = move || {
                let mut asked = asked.lock().unwrap();
                asked[number - 1] += 1;
                asked[number - 1]
            };
            runtime.block_on(talk(Arc::clone(&simulator), &acceptor, manner(number), stream, count));
        })
    }

    /// Takes connections, and says nothing.
    pub(crate) fn silent() -> Self {
        Self::start(|_, stream, _| {
            // Until the other side has had enough.
            let _ = std::io::copy(&mut &stream, &mut std::io::sink());
        })
    }

    /// A server that does not speak TLS, and says so whatever it is told.
    pub(crate) fn plain() -> Self {
        Self::start(|_, mut stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = std::io::copy(&mut &stream, &mut std::io::sink());
        })
    }

    /// Answers each request with one line; a proxy does so that refuses.
    pub(crate) fn saying(line: &'static str) -> Self {
        Self::start(move |_, mut stream, _| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            if let Ok(Some(_)) = read_request(&mut reader) {
                let _ = write!(stream, "{line}\r\ncontent-length: 0\r\n\r\n");
            }
        })
    }

    /// A proxy that leads every CONNECT to `target`, whatever it names.
    pub(crate) fn proxy(target: SocketAddr) -> Self {
        Self::start(move |_, mut stream, _| {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let Ok(Some(first)) = read_request(&mut reader) else { return };
            assert!(first.starts_with("CONNECT "), "{first}");
            let mut way = TcpStream::connect(target).unwrap();
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            let (mut back, mut forth) = (way.try_clone().unwrap(), stream.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut back, &mut forth));
            let _ = std::io::copy(&mut reader, &mut way);
            let _ = way.shutdown(Shutdown::Write);
        })
    }

    /// Requests by connection, in the order of the connections.
    pub(crate) fn asked(&self) -> Vec<usize> {
        self.asked.lock().unwrap().clone()
    }
}

/// Serves one connection as its manner is; `asked` counts its requests.
async fn talk(
    simulator: SharedSimulator,
    acceptor: &TlsAcceptor,
    manner: Manner,
    stream: TcpStream,
    asked: impl Fn() -> usize + Clone + Send + 'static,
) {
    stream.set_nonblocking(true).unwrap();
    let raw = Arc::new(stream.try_clone().unwrap());
    // A client that does not like the certificate goes away.
    let Ok(tls) = acceptor.accept(tokio::net::TcpStream::from_std(stream).unwrap()).await else { return };
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let service = service_fn(move |request: Request<Incoming>| {
        let (number, simulator, over, raw) = (asked(), Arc::clone(&simulator), Arc::clone(&over), Arc::clone(&raw));
        async move {
            if number <= manner.answers() {
                return Ok::<_, Infallible>(answer(&simulator, request).await);
            }
            if matches!(manner, Manner::HalfCloses(_)) {
                raw.shutdown(Shutdown::Write).unwrap();
            }
            over.store(!matches!(manner, Manner::Ignores(_)), Ordering::Relaxed);
            pending().await
        }
    });
    let mut serving = pin!(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service));
    poll_fn(
        |context| {
            if is_over.load(Ordering::Relaxed) { Poll::Pending } else { serving.as_mut().poll(context).map(drop) }
        },
    )
    .await;
}

async fn answer(simulator: &SharedSimulator, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let request = reply::Request {
        method: head.method.as_str().to_owned(),
        path_and_query: head.uri.path_and_query().unwrap().to_string(),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: body.collect().await.unwrap().to_bytes(),
    };
    let (_, reply) = simulator.lock().unwrap().handle(wall(), &request);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(reply.body)).unwrap()
}
