//! The simulator behind a socket.
//!
//! Built on hyper rather than on a web framework because a connection must be cut without an answer, which a framework
//! never does.

use std::{convert::Infallible, future::Future, io, pin::pin};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use futures_util::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};
use http_body_util::{BodyExt, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::{
    Response,
    body::{Frame, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::{
    SharedSimulator, lock,
    reply::{Delivery, Reply, Request},
};

/// The most connections at a time; more have to wait.
const CONNECTIONS_MAX: usize = 1024;

/// The largest body of a request that is read.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The connection is to be cut.
#[derive(Debug, thiserror::Error)]
#[error("connection cut on purpose")]
struct Cut;

type Body = BoxBody<Bytes, Cut>;

/// Serves the simulator until `shutdown` is ready; then every connection is cut. `wall` tells the wall time.
///
/// # Errors
///
/// The listener can accept no more connections.
pub async fn serve(
    listener: TcpListener,
    simulator: SharedSimulator,
    wall: impl Fn() -> DateTime<Utc>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut shutdown = pin!(shutdown);
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                connections.push(connection(accepted?.0, &simulator, &wall));
            }
            Some(()) = connections.next() => {}
        }
    }
}

async fn connection(stream: TcpStream, simulator: &SharedSimulator, wall: &impl Fn() -> DateTime<Utc>) {
    let service = service_fn(|request| answer(request, simulator, wall));
    // A connection that ends early is the client's affair, or a fault that was ordered.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: hyper::Request<Incoming>,
    simulator: &SharedSimulator,
    wall: &impl Fn() -> DateTime<Utc>,
) -> Result<Response<Body>, Cut> {
    let request = read(request).await?;
    if !request.path_and_query.starts_with("/_sim/") {
        let travel_time = lock(simulator).travel_time();
        sleep(travel_time).await;
    }
    let (delay, reply) = lock(simulator).handle(wall(), &request);
    sleep(delay).await;
    deliver(reply).await
}

async fn read(request: hyper::Request<Incoming>) -> Result<Request, Cut> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_BYTES_MAX).collect().await.map_err(|_| Cut)?.to_bytes();
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path_and_query: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        authorization: header(AUTHORIZATION),
        content_type: header(CONTENT_TYPE),
        body,
    })
}

async fn deliver(reply: Reply) -> Result<Response<Body>, Cut> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(HeaderName::from_static(name), value);
    }
    let length = reply.body.len();
    let body = match reply.delivery {
        Delivery::Reset | Delivery::NoConnection => return Err(Cut),
        Delivery::Hang => std::future::pending().await,
        Delivery::Whole | Delivery::Late => whole(reply.body),
        Delivery::Gzipped => {
            response = response.header("content-encoding", "gzip");
            whole(gzip(&reply.body))
        }
        Delivery::CutBody => {
            response = response.header("content-length", length);
            half(&reply.body, true)
        }
        Delivery::StalledBody => {
            response = response.header("content-length", length);
            half(&reply.body, false)
        }
    };
    response.body(body).map_err(|_| Cut)
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed()
}

/// The first half of the body, then a cut or silence.
fn half(body: &Bytes, is_cut: bool) -> Body {
    let first = stream::iter([Ok(Frame::data(body.slice(..body.len() / 2)))]);
    let end = stream::once(async move {
        if !is_cut {
            std::future::pending::<()>().await;
        }
        // Headers and first half are to be sent before the connection is cut.
        tokio::task::yield_now().await;
        Err(Cut)
    });
    BodyExt::boxed(StreamBody::new(first.chain(end)))
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory cannot fail; an empty body would be noticed by the client.
    let written = io::Write::write_all(&mut encoder, body).and_then(|()| encoder.finish());
    written.unwrap_or_default().into()
}
