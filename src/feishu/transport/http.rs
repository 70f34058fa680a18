//! The network itself, by reqwest.
//!
//! A connection of HTTP/2 serves all requests at once, and may go silent with all of them. So a connection that has lost
//! a request serves no further one: the client it belongs to is set aside, to be dropped with the last of its requests,
//! and the next request opens a connection of a new client. Pings find a silent connection before its requests' time is up.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio::time::sleep;
use url::{Host, Url};

use super::{
    Answer, Call, Request, Sending, SetupError, Transport,
    cause::{Peer, TransportError},
    proxy::{self, Proxy},
    roots,
    steps::{Marked, Names, Step},
};
use crate::{
    config::Api,
    feishu::body::{Bodies, SMALL_BYTES},
};

/// A connection without a word for so long, used or idle, is pinged.
const PING_AFTER: Duration = Duration::from_secs(10);

/// A ping that is not answered for so long ends its connection.
const PING_ANSWER: Duration = Duration::from_secs(10);

/// How long what has arrived by the end of an answer's time may take to be read.
const ARRIVED_MEANWHILE: Duration = Duration::from_millis(250);

/// What a connection of HTTP/2 may bring of all its answers before they are read: a large one must come while others wait
/// for it to be over, each with what it may have brought.
const UNREAD_BYTES_MAX: u32 = 64 << 20;

/// Pings of TCP without an answer that end a connection.
const TCP_PINGS: u32 = 2;

/// A connection that was idle for so long is closed: a firewall may have forgotten it.
const IDLE_MAX: Duration = Duration::from_secs(45);

/// The network itself. Only this folder names reqwest.
pub struct HttpTransport {
    base_url: Url,
    proxy: Option<Proxy>,
    terms: ClientTerms,
    current: RefCell<Rc<Client>>,
    bodies: Bodies,
}

/// What each client is made from.
struct ClientTerms {
    tls: ClientConfig,
    proxy: Option<reqwest::Proxy>,
    is_https: bool,
    first_step: Step,
    connect_timeout: Duration,
    request_timeout: Duration,
}

/// One of reqwest's clients, and what is known of its connections.
struct Client {
    http: reqwest::Client,
    connecting: Marked,
    has_answered: Cell<bool>,
    is_set_aside: Cell<bool>,
}

impl HttpTransport {
    /// A client for one host: HTTPS by rustls unless the host is this machine, no redirects, no waiting longer than
    /// the configuration says.
    ///
    /// # Errors
    ///
    /// For https: if the system has no usable root certificates, or the environment names a proxy that cannot be used.
    pub fn new(api: &Api) -> Result<Self, SetupError> {
        let base_url = api.base_url.clone();
        let is_https = base_url.scheme() == "https";
        // Plain http is for loopback alone, and a proxy is not loopback; nor does it need an authority.
        #[expect(clippy::disallowed_methods, reason = "the way to the API is what other programs read of it here")]
        let proxy = if is_https { proxy::on_the_way_to(&base_url, |name| std::env::var(name))? } else { None };
        let roots = if is_https { roots::of_system()? } else { RootCertStore::empty() };
        let first = proxy.as_ref().map_or(&base_url, |proxy| &proxy.url);
        let terms = ClientTerms {
            tls: roots::tls(roots, base_url.host_str().unwrap_or_default())?,
            proxy: proxy
                .as_ref()
                .map(|it| reqwest::Proxy::all(it.url.clone()))
                .transpose()
                .map_err(SetupError::Client)?,
            is_https,
            first_step: if matches!(first.host(), Some(Host::Domain(_))) { Step::Name } else { Step::Connection },
            connect_timeout: api.connect_timeout,
            request_timeout: api.request_timeout,
        };
        let current = RefCell::new(Rc::new(terms.client().map_err(SetupError::Client)?));
        Ok(Self { base_url, proxy, terms, current, bodies: Bodies::default() })
    }

    /// The API's host and port.
    pub fn target(&self) -> String {
        proxy::place(&self.base_url)
    }

    /// The host whose name has to be resolved, if it is a name: the proxy's, where there is one.
    pub fn name(&self) -> Option<&str> {
        let host = self.proxy.as_ref().map_or(self.base_url.host_str(), |proxy| Some(proxy.host()));
        host.filter(|_| self.terms.first_step == Step::Name)
    }

    /// The proxy's host and port and the variable that names it, where there is one.
    pub fn proxy(&self) -> Option<(String, &'static str)> {
        self.proxy.as_ref().map(|proxy| (proxy.place(), proxy.variable))
    }

    /// True if the server has to show a certificate.
    pub fn is_https(&self) -> bool {
        self.terms.is_https
    }

    fn peer(&self) -> Peer {
        Peer { target: self.target(), proxy: self.proxy.as_ref().map(Proxy::place) }
    }

    async fn exchange(&self, request: Request) -> Result<Answer, TransportError> {
        let client = Rc::clone(&self.current.borrow());
        let answer = tokio::select! {
            biased;
            answer = self.ask(&client, request) => answer,
            () = self.patience() => {
                Err(TransportError::timed_out(self.peer(), client.connecting.under_way(), self.terms.request_timeout))
            }
        };
        match answer {
            Ok(answer) => {
                client.has_answered.set(true);
                Ok(answer)
            }
            Err(mut error) => {
                error.is_known = !error.is_unsent() && client.is_set_aside.get() && client.has_answered.get();
                self.set_aside(&client);
                Err(error)
            }
        }
    }

    /// Ends when an answer has had its time. A process that was frozen meanwhile, or kept from running, finds the answer and
    /// the end of its time at once; the answer has been paid for, so what has arrived is taken in first.
    async fn patience(&self) {
        sleep(self.terms.request_timeout).await;
        sleep(ARRIVED_MEANWHILE).await;
    }

    async fn ask(&self, client: &Client, request: Request) -> Result<Answer, TransportError> {
        let mut url = self.base_url.clone();
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        url.set_path(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let failed = |error| {
            let connecting = client.connecting.under_way();
            TransportError::new(error, self.peer(), connecting)
        };
        let builder = match request.call {
            Call::Get { bearer } => client.http.get(url).bearer_auth(bearer.expose_secret()),
            Call::Post { json } => client
                .http
                .post(url)
                .header(CONTENT_TYPE, "application/json; charset=utf-8")
                .body(json.expose_secret().to_owned()),
        };
        let mut response = builder.send().await.map_err(failed)?;
        let mut answer = head_of(&response);
        let next = async || response.chunk().await.map_err(failed);
        answer.body = self.bodies.read(next, || TransportError::too_large(self.peer())).await?;
        Ok(answer)
    }

    /// No further request goes over a connection of this client.
    fn set_aside(&self, client: &Rc<Client>) {
        client.is_set_aside.set(true);
        let mut current = self.current.borrow_mut();
        if Rc::ptr_eq(&current, client) {
            *current = Rc::new(self.terms.client().expect("of these terms a client was made before"));
        }
    }
}

impl ClientTerms {
    fn client(&self) -> reqwest::Result<Client> {
        let connecting = Marked::new(self.first_step, self.connect_timeout);
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("vcq/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .https_only(self.is_https)
            .http2_initial_stream_window_size(SMALL_BYTES)
            .http2_initial_connection_window_size(UNREAD_BYTES_MAX)
            .tls_backend_preconfigured(self.tls.clone())
            .no_proxy()
            .dns_resolver(Names)
            .connector_layer(connecting.clone())
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE_MAX)
            .http2_keep_alive_interval(PING_AFTER)
            .http2_keep_alive_timeout(PING_ANSWER)
            .http2_keep_alive_while_idle(true)
            .tcp_keepalive(PING_AFTER)
            .tcp_keepalive_interval(PING_ANSWER)
            .tcp_keepalive_retries(TCP_PINGS);
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        let http = builder.build()?;
        Ok(Client { http, connecting, has_answered: Cell::default(), is_set_aside: Cell::default() })
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

fn head_of(response: &reqwest::Response) -> Answer {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Answer {
        status: response.status().as_u16(),
        ratelimit_reset: header("x-ogw-ratelimit-reset"),
        retry_after: header("retry-after"),
        log_id: header("x-tt-logid"),
        location: header("location"),
        body: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        sync::mpsc,
        thread,
    };

    use secrecy::SecretString;
    use tokio::{task::yield_now, time::Instant};

    use super::*;
    use crate::config::{Config, Override};

    /// As after a SIGSTOP, or on a machine that was asleep: the answer comes, and its time is up before anybody looks.
    #[tokio::test]
    async fn an_answer_that_came_while_the_process_was_frozen_is_taken_in() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url: Override = ("api.base_url", format!("http://{}", listener.local_addr().unwrap()));
        let ((asked, is_asked), (freeze, is_frozen), (answered, is_answered)) =
            (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut head = BufReader::new(&stream).lines().map(Result::unwrap);
            assert!(head.any(|line| line.is_empty()), "a request's head ends with an empty line");
            asked.send(()).unwrap();
            is_frozen.recv().unwrap();
            (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"code\":0}").unwrap();
            answered.send(()).unwrap();
        });
        let limit = Duration::from_millis(100);
        let api = Api { request_timeout: limit, ..Config::load(None, [], &[base_url]).unwrap().api };
        let transport = HttpTransport::new(&api).unwrap();
        let call = Call::Get { bearer: SecretString::from("t-1") };
        let sent = Instant::now();
        let freezing = async {
            while is_asked.try_recv().is_err() {
                yield_now().await;
            }
            freeze.send(()).unwrap();
            is_answered.recv().unwrap();
            while sent.elapsed() < 2 * limit {}
        };
        let (answer, ()) = tokio::join!(transport.send(Request { path_and_query: "/".into(), call }), freezing);
        assert_eq!(answer.unwrap().body.as_ref(), b"{\"code\":0}");
        server.join().unwrap();
    }
}
