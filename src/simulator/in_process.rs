//! The simulator as a [`Transport`]: no socket, and all waiting by tokio's clock, so that whole weeks pass in seconds
//! where a test pauses it.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    SharedSimulator, lock,
    reply::{self, Delivery, Reply},
};
use crate::{
    feishu::transport::{Answer, Call, Cause, Request, Sending, Step, Transport, TransportError},
    limits::BODY_BYTES_MAX,
};

/// A wall clock that shows `start` now and goes on with tokio's clock.
pub fn wall_from(start: DateTime<Utc>) -> impl Fn() -> DateTime<Utc> + Clone {
    let started = Instant::now();
    move || start + TimeDelta::from_std(started.elapsed()).unwrap_or(TimeDelta::MAX)
}

/// A client's way to a simulated server in the same process.
pub struct InProcess<W> {
    simulator: SharedSimulator,
    wall: W,
    request_timeout: Duration,
    witnesses: Vec<SharedSimulator>,
}

impl<W: Fn() -> DateTime<Utc>> InProcess<W> {
    /// A way to `simulator`, which reads the wall time from `wall` and gives up after `request_timeout`.
    pub fn new(simulator: SharedSimulator, wall: W, request_timeout: Duration) -> Self {
        Self { simulator, wall, request_timeout, witnesses: Vec::new() }
    }

    /// The same way, on which every request for data arrives at `witnesses` too. They answer nobody: they count the same
    /// arrivals by windows of their own.
    #[must_use]
    pub fn seen_by(self, witnesses: Vec<SharedSimulator>) -> Self {
        Self { witnesses, ..self }
    }

    async fn exchange(&self, request: Request) -> Result<Answer, TransportError> {
        let deadline = Instant::now() + self.request_timeout;
        let travel_time = lock(&self.simulator).travel_time();
        // A request that is given up on its way arrives all the same.
        sleep(travel_time.min(self.request_timeout)).await;
        let now = (self.wall)();
        if matches!(request.call, Call::Get { .. }) {
            for witness in &self.witnesses {
                lock(witness).witness(now, &request.path_and_query);
            }
        }
        let request = seen_by_server(request);
        let (delay, reply) = lock(&self.simulator).handle(now, &request);
        let is_silent = matches!(reply.delivery, Delivery::Hang | Delivery::StalledBody);
        let answered = Instant::now() + delay;
        if is_silent || answered > deadline {
            sleep_until(deadline).await;
            return Err(Cause::Timeout(Step::Answer).into());
        }
        sleep_until(answered).await;
        seen_by_client(reply)
    }
}

impl<W: Fn() -> DateTime<Utc>> Transport for InProcess<W> {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(self.exchange(request))
    }
}

fn seen_by_server(request: Request) -> reply::Request {
    let path_and_query = request.path_and_query;
    match request.call {
        Call::Get { bearer } => reply::Request {
            method: "GET".into(),
            path_and_query,
            authorization: Some(format!("Bearer {}", bearer.expose_secret())),
            ..reply::Request::default()
        },
        Call::Post { json } => reply::Request {
            method: "POST".into(),
            path_and_query,
            content_type: Some("application/json; charset=utf-8".into()),
            body: Bytes::copy_from_slice(json.expose_secret().as_bytes()),
            ..reply::Request::default()
        },
    }
}

fn seen_by_client(reply: Reply) -> Result<Answer, TransportError> {
    match reply.delivery {
        Delivery::NoConnection => return Err(Cause::Refused.into()),
        Delivery::Reset | Delivery::CutBody => return Err(Cause::Cut.into()),
        Delivery::Hang | Delivery::StalledBody => return Err(Cause::Timeout(Step::Answer).into()),
        Delivery::Whole | Delivery::Gzipped | Delivery::Late if reply.body.len() > BODY_BYTES_MAX => {
            return Err(Cause::TooLarge.into());
        }
        Delivery::Whole | Delivery::Gzipped | Delivery::Late => {}
    }
    let header = |name| reply.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone());
    Ok(Answer {
        status: reply.status,
        ratelimit_reset: header("x-ogw-ratelimit-reset"),
        retry_after: header("retry-after"),
        log_id: header("x-tt-logid"),
        location: header("location"),
        body: reply.body,
    })
}
