//! Requests as a server of a few lines reads them.

use std::io::{BufRead, Read};

/// Reads one request to its end, and returns its first line; none if the connection has ended.
pub(crate) fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let (mut first, mut body_bytes) = (String::new(), 0);
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    for line in reader.by_ref().lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(length) = line.strip_prefix("content-length:") {
            body_bytes = length.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    reader.by_ref().take(body_bytes).read_to_end(&mut Vec::new())?;
    Ok(Some(first))
}
