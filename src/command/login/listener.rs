//! Where the consent page sends a browser of this machine.

use std::{cell::RefCell, convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use url::Url;

use crate::feishu::auth::user::NoAnswer;

/// Connections at a time: browsers open some that they never use.
const CONNECTIONS_MAX: usize = 16;

/// How long one may take to bring its request: those that bring none make room for others.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// Reads an address to which a browser was sent.
pub(super) type Read<'a> = &'a dyn Fn(&str) -> Result<SecretString, NoAnswer>;

/// The first answer that a browser brings. What is none is said, to the browser and by `tell`, and waited on.
pub(super) async fn heard(
    listener: &TcpListener,
    redirect_uri: &Url,
    read: Read<'_>,
    tell: &dyn Fn(&str),
) -> Result<SecretString, NoAnswer> {
    let found = RefCell::new(None);
    let judge = |path_and_query: &str| {
        let address = redirect_uri.join(path_and_query).map_err(|_| NoAnswer::OtherAddress);
        let answer = address.and_then(|address| read(address.as_str()));
        match answer {
            // Browsers ask for icons and the like.
            Err(NoAnswer::OtherAddress) => (404, "There is nothing here."),
            Err(no @ (NoAnswer::OtherQuestion | NoAnswer::WithoutCode)) => {
                tell(&format!("a browser came by: {no}"));
                (400, "This is no answer to the sign-in that waits: look at the terminal.")
            }
            answer => {
                found.replace(Some(answer));
                (200, "vcq has the answer: look at the terminal. This page can be closed.")
            }
        }
    };
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                // A connection that is gone before it is taken is no answer.
                if let Ok((stream, _)) = accepted {
                    connections.push(connection(stream, &judge));
                }
            }
            Some(()) = connections.next() => {
                if let Some(answer) = found.take() {
                    return answer;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, judge: &impl Fn(&str) -> (u16, &'static str)) {
    let service = service_fn(|request: Request<Incoming>| {
        let (status, text) = judge(request.uri().path_and_query().map_or("/", |path| path.as_str()));
        let body = format!("<!doctype html><meta charset=utf-8><title>vcq</title><p>{text}</p>");
        let response = Response::builder()
            .status(status)
            .header("content-type", "text/html; charset=utf-8")
            .header("cache-control", "no-store")
            .header("referrer-policy", "no-referrer")
            .body(Full::new(Bytes::from(body)))
            .expect("these headers are valid");
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    // One that ends early, or says nothing, is the browser's affair.
    let _ = timeout(REQUEST_MAX, served).await;
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net,
    };

    use secrecy::ExposeSecret as _;

    use super::*;

    /// Time is simulated: it goes on whenever nothing else does.
    #[tokio::test(start_paused = true)]
    async fn connections_that_say_nothing_do_not_keep_the_answer_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let idle: Vec<_> = (0..2 * CONNECTIONS_MAX).map(|_| net::TcpStream::connect(address).unwrap()).collect();
        let mut browser = net::TcpStream::connect(address).unwrap();
        write!(browser, "GET /?code=c-1 HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let redirect: Url = format!("http://{address}/").parse().unwrap();
        let read = |address: &str| Ok(SecretString::from(address.rsplit_once('=').unwrap().1.to_owned()));
        let heard = heard(&listener, &redirect, &read, &|_| {});
        let code = timeout(4 * REQUEST_MAX, heard).await.expect("others have made room").unwrap();
        assert_eq!(code.expose_secret(), "c-1");
        let mut answer = String::new();
        browser.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        drop(idle);
    }
}
