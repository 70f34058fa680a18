//! What a fault does to an answer.

use std::sync::LazyLock;

use bytes::Bytes;
use rand::{Rng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    endpoint::Endpoint,
    faults::FaultKind,
    page::{Asked, PageDraft, Place},
    parameters::{DATA_NOT_EXIST, NO_DEVICE, NO_MEETING, NO_PERMISSION, NO_SUCH_ID, PARAM_ERROR},
    random::{one_of, one_text},
    reply::{Delivery, Reply},
    token,
};

/// Larger than any client should read: its limit is 32 MiB.
static OVERSIZED: LazyLock<Bytes> = LazyLock::new(|| vec![b' '; (32 << 20) + 1].into());

/// Changes a page as the fault demands, before it is written.
pub(super) fn twist_page(fault: FaultKind, page: &mut PageDraft, asked: &Asked, seed: u64) {
    let token = |first| Some(asked.token(seed, Place { first, empty_pages: 0 }));
    let next = asked.place.first.saturating_add(asked.page_size);
    match fault {
        FaultKind::PageTokenRepeated => (page.has_more, page.next_token) = (true, token(asked.page_size)),
        FaultKind::PageTokenMissing => (page.has_more, page.next_token) = (true, None),
        FaultKind::EmptyPage if asked.place.empty_pages == 0 => *page = empty_page(asked, seed),
        FaultKind::EndlessEmptyPages => *page = empty_page(asked, seed),
        FaultKind::EndlessPages => {
            // Beyond the end the first items come again, so that no page is empty if there is anything at all. There is
            // always another sample, but never a meeting or participant that does not exist.
            if page.items.is_empty() {
                let least = u32::from(asked.endpoint == Endpoint::Quality);
                page.items = 0..asked.count.clamp(least, asked.page_size);
            }
            (page.has_more, page.next_token) = (true, token(next));
        }
        FaultKind::TokenAtEnd if !page.has_more => page.next_token = token(page.items.end),
        FaultKind::ShortPages if page.items.len() > (asked.page_size / 2) as usize => {
            page.items.end = page.items.start + asked.page_size / 2;
            (page.has_more, page.next_token) = (true, token(page.items.end));
        }
        _ => {}
    }
}

/// A page without items, whose token leads to where it stands itself.
fn empty_page(asked: &Asked, seed: u64) -> PageDraft {
    let place = Place { empty_pages: asked.place.empty_pages + 1, ..asked.place };
    PageDraft { items: 0..0, has_more: true, next_token: Some(asked.token(seed, place)) }
}

/// The answer that takes the place of `served`, the endpoint's answer without the fault; none is the token endpoint.
pub(super) fn twist_reply(fault: FaultKind, served: Reply, endpoint: Option<Endpoint>, rng: &mut StdRng) -> Reply {
    let items = endpoint.unwrap_or(Endpoint::Quality).items_key();
    let named = |body: &str| body.replace("ITEMS", items);
    match fault {
        FaultKind::LostAnswer => served.delivered(Delivery::Reset),
        FaultKind::CutBody => served.delivered(Delivery::CutBody),
        FaultKind::StalledBody => served.delivered(Delivery::StalledBody),
        FaultKind::Reset => nothing(Delivery::Reset),
        FaultKind::NoConnection => nothing(Delivery::NoConnection),
        FaultKind::Hang => nothing(Delivery::Hang),
        FaultKind::InvalidJson => {
            let half = served.body.len() / 2;
            Reply::json(200, served.body.slice(..half))
        }
        FaultKind::EmptyBody => Reply::json(200, ""),
        FaultKind::OddCode => Reply::json(200, named(one_text(rng, ODD_CODES))),
        FaultKind::OtherForm => Reply::json(200, named(one_text(rng, OTHER_FORMS))),
        FaultKind::OversizedBody => Reply::json(200, OVERSIZED.clone()),
        FaultKind::GzipBomb => Reply::json(200, OVERSIZED.clone()).delivered(Delivery::Gzipped),
        FaultKind::Redirect => Reply::new(302, "text/html", "").with_header("location", "http://elsewhere.invalid/"),
        FaultKind::TokenRejected | FaultKind::TokenRevoked | FaultKind::TokenDead => token::rejected(),
        FaultKind::NoPermission => NO_PERMISSION.reply(),
        FaultKind::NoScope => Reply::failure(403, 99_991_672, "Access denied. One of the scopes is required."),
        FaultKind::AbsentMeeting => NO_MEETING.reply(),
        FaultKind::AbsentDevice => NO_DEVICE.reply(),
        FaultKind::AbsentData => DATA_NOT_EXIST.reply(),
        FaultKind::RejectedRow | FaultKind::PageTokenRefused => PARAM_ERROR.reply(),
        FaultKind::ForeignId => NO_SUCH_ID.reply(),
        FaultKind::NoSamples => Reply::json(200, named(one_text(rng, NO_SAMPLES))).with_code(0),
        FaultKind::HasMoreMissing => without_has_more(served),
        FaultKind::UnknownCode => Reply::failure(400, 777_777, "\u{1b}[31mnew\u{1b}[0m \u{7}\u{202e}trouble\r\n"),
        FaultKind::MonthUsedUp => month_used_up(),
        FaultKind::GatewayHtml | FaultKind::TokenUnavailable => gateway(rng),
        FaultKind::GatewayJson => Reply::json(*one_of(rng, GATEWAY_STATUSES), r#"{"error":"upstream"}"#)
            .with_header("retry-after", *one_of(rng, RETRY_AFTERS)),
        FaultKind::InternalError => internal_error(rng),
        FaultKind::TokenDenied => Reply::json(200, json!({"code": 10014, "msg": "app secret invalid"}).to_string()),
        FaultKind::ThrottledEmpty => Reply { headers: Vec::new(), ..Reply::json(429, "") },
        FaultKind::ThrottledNoReset => throttled(*one_of(rng, &[429, 400, 200])),
        FaultKind::ThrottledBriefly => throttled(429).with_header("x-ogw-ratelimit-reset", "1"),
        FaultKind::ThrottledOddReset => throttled(429).with_header("x-ogw-ratelimit-reset", *one_of(rng, ODD_RESETS)),
        FaultKind::ThrottledOtherCode => {
            Reply::failure(*one_of(rng, &[429, 400]), *one_of(rng, &[1_000_004, 1_000_005]), "too many requests")
        }
        FaultKind::PortalHtml => Reply::new(200, "text/html", "<html><body><form>Sign in</form></body></html>"),
        FaultKind::OddStatus => Reply::new(*one_of(rng, ODD_STATUSES), "text/plain", ""),
        FaultKind::TrailingBytes => Reply::json(200, [served.body.as_ref(), *one_of(rng, TRAILING)].concat()),
        FaultKind::OddJson => Reply::json(200, odd_json(items, rng)),
        FaultKind::OtherMediaType => Reply { headers: vec![("content-type", "text/html".into())], ..served },
        FaultKind::SlowAnswer => served.delivered(Delivery::Late),
        FaultKind::HasMoreAsText => has_more_as_text(served),
        FaultKind::TokenOddLife => odd_life(served, rng),
        FaultKind::PageTokenRepeated
        | FaultKind::PageTokenMissing
        | FaultKind::EmptyPage
        | FaultKind::EndlessEmptyPages
        | FaultKind::EndlessPages
        | FaultKind::TokenAtEnd
        | FaultKind::ShortPages => served,
    }
}

const GATEWAY_STATUSES: &[u16] = &[500, 502, 503, 504];

const RETRY_AFTERS: &[&str] = &["3", "Thu, 10 Apr 2025 00:00:30 GMT", "soon", "1000000000", "-1"];

const ODD_STATUSES: &[u16] = &[204, 206, 304, 408, 421, 425, 499];

const TRAILING: &[&[u8]] = &[b"x", b"{}", b"\0", b"\n<!-- -->"];

const ODD_RESETS: &[&str] = &["soon", "-1", "", "0", "1e9", "99999999999999999999", "NaN"];

// `ITEMS` stands for the key of the endpoint's items.
const ODD_CODES: &[&str] = &[
    r#"{"code":"0","msg":"success","data":{"ITEMS":[],"has_more":false}}"#,
    r#"{"code":null,"msg":"success","data":{"ITEMS":[],"has_more":false}}"#,
    r#"{"code":1e20,"msg":"success"}"#,
    r#"{"msg":"success","data":{"ITEMS":[],"has_more":false}}"#,
    "[]",
    "null",
];

const OTHER_FORMS: &[&str] = &[
    r#"{"code":0,"msg":"success","data":[]}"#,
    r#"{"code":0,"msg":"success","data":{"ITEMS":{"items":[]},"has_more":false}}"#,
    r#"{"code":0,"msg":"success","data":{"ITEMS":[],"has_more":{}}}"#,
];

const NO_SAMPLES: &[&str] = &[
    r#"{"code":0,"msg":"ok"}"#,
    r#"{"code":0,"msg":"success","data":null}"#,
    r#"{"code":0,"msg":"success","data":{}}"#,
    r#"{"code":0,"msg":"success","data":{"ITEMS":null,"has_more":false}}"#,
    r#"{"code":0,"msg":"success","data":{"ITEMS":[],"has_more":false,"page_token":""}}"#,
];

/// The codes that the API documents as internal errors.
const INTERNAL_CODES: &[u64] = &[121_001, 1500, 1663, 1668, 2200, 5000, 10_101, 55_001, 65_001, 105_001];

/// A body that a lenient reader could take for a page.
fn odd_json(items: &str, rng: &mut StdRng) -> Vec<u8> {
    let page = |list: &[u8], msg: &[u8]| {
        let parts: [&[u8]; 7] = [
            b"{\"code\":0,\"msg\":\"",
            msg,
            b"\",\"data\":{\"",
            items.as_bytes(),
            b"\":",
            list,
            b",\"has_more\":false}}",
        ];
        parts.concat()
    };
    match rng.random_range(0..4) {
        0 => page(b"[]", b"\xff"),
        1 => page(b"[NaN]", b"success"),
        2 => page(b"[]", b"success\",\"code\":0,\"msg\":\""),
        _ => page(b"[],", b"success"),
    }
}

fn has_more_as_text(served: Reply) -> Reply {
    let body = String::from_utf8_lossy(&served.body).into_owned();
    let body = body.replace("\"has_more\":true", "\"has_more\":\"true\"");
    Reply { body: body.replace("\"has_more\":false", "\"has_more\":\"false\"").into(), ..served }
}

fn without_has_more(served: Reply) -> Reply {
    let body = String::from_utf8_lossy(&served.body).into_owned();
    let body = body.replace(",\"has_more\":true", "").replace(",\"has_more\":false", "");
    Reply { body: body.into(), ..served }
}

fn odd_life(served: Reply, rng: &mut StdRng) -> Reply {
    let Ok(mut body) = serde_json::from_slice::<Value>(&served.body) else { return served };
    body["expire"] = one_of(rng, &[Value::Null, json!(0), json!(-1), json!("7200"), json!(1_000_000_000)]).clone();
    Reply { body: body.to_string().into(), ..served }
}

fn nothing(delivery: Delivery) -> Reply {
    Reply::json(200, "").delivered(delivery)
}

fn gateway(rng: &mut StdRng) -> Reply {
    let status = *one_of(rng, GATEWAY_STATUSES);
    Reply::new(status, "text/html", format!("<html><body><h1>{status}</h1></body></html>"))
}

fn internal_error(rng: &mut StdRng) -> Reply {
    Reply::failure(*one_of(rng, &[500, 200]), *one_of(rng, INTERNAL_CODES), "internal error")
}

/// The documented refusal of a request beyond the minute's quota, without its headers.
pub(super) fn throttled(status: u16) -> Reply {
    Reply::failure(status, 99_991_400, "request trigger frequency limit")
}

/// The documented refusal of a request beyond the month's quota.
pub(super) fn month_used_up() -> Reply {
    Reply::failure(429, 99_991_403, "This month's API call quota has been exceeded")
}
