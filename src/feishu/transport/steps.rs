//! How far a connection that is being made has come.
//!
//! reqwest makes a connection in one go and says of a failure what the system said, but not where. So each attempt carries
//! a mark that is moved by what is called on the way: the resolver of names, and the TLS library when it begins to greet.

use std::{
    error, fmt,
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tower_layer::Layer;
use tower_service::Service;

/// A step on the way to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A name becomes addresses.
    Name,
    /// A connection is made, by a proxy where there is one.
    Connection,
    /// Both sides agree on TLS, and the server shows its certificate.
    Tls,
    /// The request is sent and its answer read.
    Answer,
}

type BoxError = Box<dyn error::Error + Send + Sync>;

tokio::task_local! {
    /// The mark of the attempt that is being polled.
    static MARK: Mark;
}

/// Where one attempt to connect is.
#[derive(Clone, Debug)]
struct Mark(Arc<AtomicU8>);

const MARKS: [Step; 3] = [Step::Name, Step::Connection, Step::Tls];

impl Mark {
    fn at(step: Step) -> Self {
        let mark = Self(Arc::default());
        mark.set(step);
        mark
    }

    fn set(&self, step: Step) {
        let position = MARKS.iter().position(|mark| *mark == step).unwrap_or_default();
        self.0.store(u8::try_from(position).unwrap_or_default(), Ordering::Relaxed);
    }

    fn step(&self) -> Step {
        MARKS[usize::from(self.0.load(Ordering::Relaxed))]
    }
}

/// Moves the mark of the attempt at work, if there is one.
fn now_at(step: Step) {
    // Outside of an attempt there is nobody to tell.
    let _ = MARK.try_with(|mark| mark.set(step));
}

/// No connection was made.
#[derive(Debug)]
pub(super) struct NotConnected {
    /// Where it ended.
    pub(super) step: Step,
    /// What was said; none if the time was up.
    source: Option<BoxError>,
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not connected: {:?}", self.step)
    }
}

impl error::Error for NotConnected {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl NotConnected {
    /// True if no step failed, but all of them together took too long.
    pub(super) fn is_timeout(&self) -> bool {
        self.source.is_none()
    }
}

/// Puts a mark and a limit on each attempt of a client to connect.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    first: Step,
    limit: Duration,
    /// The attempt under way, if there is one.
    under_way: Arc<Mutex<Option<Mark>>>,
}

impl Marked {
    /// Attempts begin with `first` and may take `limit`.
    pub(super) fn new(first: Step, limit: Duration) -> Self {
        Self { first, limit, under_way: Arc::default() }
    }

    /// Where the attempt under way is, if there is one.
    pub(super) fn under_way(&self) -> Option<Step> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Mark::step)
    }

    fn set_under_way(&self, mark: Option<Mark>) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }
}

impl<S> Layer<S> for Marked {
    type Service = MarkedService<S>;

    fn layer(&self, inner: S) -> MarkedService<S> {
        MarkedService { inner, marked: self.clone() }
    }
}

/// A client's way to make connections, with marks.
#[derive(Clone, Debug)]
pub(super) struct MarkedService<S> {
    inner: S,
    marked: Marked,
}

impl<S, R> Service<R> for MarkedService<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, destination: R) -> Self::Future {
        let (mark, marked) = (Mark::at(self.marked.first), self.marked.clone());
        let deadline = Instant::now() + marked.limit;
        marked.set_under_way(Some(mark.clone()));
        let connecting = MARK.sync_scope(mark.clone(), || self.inner.call(destination));
        let connecting = MARK.scope(mark.clone(), connecting);
        Box::pin(async move {
            let source = match timeout_at(deadline, connecting).await {
                Ok(Ok(connection)) => {
                    marked.set_under_way(None);
                    return Ok(connection);
                }
                Ok(Err(source)) => Some(source),
                Err(_) => None,
            };
            Err(NotConnected { step: mark.step(), source }.into())
        })
    }
}

/// Resolves names as the system does, each on a thread of its own: a process that is told to end does not wait for a name
/// server that says nothing.
#[derive(Debug)]
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            now_at(Step::Name);
            let (sender, found) = oneshot::channel::<io::Result<Vec<SocketAddr>>>();
            thread::Builder::new().name("names".into()).spawn(move || {
                let found = (name.as_str(), 0).to_socket_addrs().map(Iterator::collect);
                // Whoever asked may have given up.
                let _ = sender.send(found);
            })?;
            let found = found.await??;
            now_at(Step::Connection);
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Keeps no TLS sessions, but is asked for one when a connection to the API's host begins with TLS.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The API's host: TLS with a proxy is part of the way there.
    pub(super) host: Option<ServerName<'static>>,
}

impl ClientSessionStore for Greeting {
    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        if self.host.as_ref() == Some(server_name) {
            now_at(Step::Tls);
        }
        None
    }

    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}
