//! Archives as lines: one JSON object a page, plain or compressed.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
};

use serde::Deserialize;
use serde_json::value::RawValue;
use zstd::stream::{Decoder, Encoder};

use super::{ArchiveError, LINE_BYTES_MAX, NextPage, Page, Refusal};
use crate::{
    manifest::{
        column::{Column, Fields},
        jsonl::{read_line, text},
        reject::{Reason, Reject, Rule},
        rules::Rules,
    },
    stay::{Participant, Stay},
};

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

const BUFFER_BYTES: usize = 256 << 10;

/// Writes pages as lines.
pub(super) enum Writer {
    Plain(BufWriter<File>),
    Zstd(Box<Encoder<'static, BufWriter<File>>>),
}

impl Writer {
    pub(super) fn plain(file: File) -> Self {
        Self::Plain(BufWriter::with_capacity(BUFFER_BYTES, file))
    }

    pub(super) fn zstd(file: File) -> io::Result<Self> {
        let mut encoder = Encoder::new(BufWriter::with_capacity(BUFFER_BYTES, file), ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self::Zstd(Box::new(encoder)))
    }

    pub(super) fn write(&mut self, stay: &Stay, number: u32, body: &str) -> io::Result<()> {
        match self {
            Self::Plain(out) => write_line(out, stay, number, body),
            Self::Zstd(out) => write_line(out, stay, number, body),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Zstd(out) => out.finish()?.flush(),
        }
    }
}

fn write_line(out: &mut impl Write, stay: &Stay, number: u32, body: &str) -> io::Result<()> {
    let Stay { meeting_no, meeting_start_s, meeting_end_s, join_s, participant } = stay;
    write!(
        out,
        "{{\"meeting_no\":\"{meeting_no}\",\"meeting_start_time\":\"{meeting_start_s}\",\
         \"meeting_end_time\":\"{meeting_end_s}\",\"join_time\":\"{join_s}\",\"{}\":",
        match participant {
            Participant::User(_) => Column::UserId.name(),
            Participant::Room(_) => Column::RoomId.name(),
        }
    )?;
    serde_json::to_writer(&mut *out, participant.id())?;
    write!(out, ",\"page\":{number},\"body\":")?;
    if body.trim() == body && !body.contains(['\n', '\r']) {
        out.write_all(body.as_bytes())?;
    } else {
        // In JSON a line end can only stand between tokens, where a blank means the same.
        out.write_all(body.trim().replace(['\n', '\r'], " ").as_bytes())?;
        out.write_all(b",\"body_text\":")?;
        serde_json::to_writer(&mut *out, body)?;
    }
    out.write_all(b"}\n")
}

/// Reads pages from lines.
pub(super) struct Reader {
    input: Box<dyn BufRead>,
    line_bytes: Vec<u8>,
    line: u64,
}

impl Reader {
    pub(super) fn plain(file: File) -> Self {
        Self::new(BufReader::with_capacity(BUFFER_BYTES, file))
    }

    pub(super) fn zstd(file: File) -> io::Result<Self> {
        Ok(Self::new(BufReader::with_capacity(BUFFER_BYTES, Decoder::new(file)?)))
    }

    fn new(input: impl BufRead + 'static) -> Self {
        Self { input: Box::new(input), line_bytes: Vec::new(), line: 0 }
    }

    /// The next line that is not blank: its number, and the page on it.
    pub(super) fn next_page(&mut self, rules: &Rules) -> NextPage<'_> {
        let failed = |after_line| move |source| ArchiveError::Read { after_line, source };
        while read_line(&mut self.input, &mut self.line_bytes, LINE_BYTES_MAX).map_err(failed(self.line))? {
            self.line += 1;
            if !self.line_bytes.trim_ascii().is_empty() {
                return Ok(Some((self.line, page(&self.line_bytes, rules))));
            }
        }
        Ok(None)
    }
}

/// The values of a line as they are written; other keys mean nothing.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    meeting_no: Option<&'a RawValue>,
    #[serde(borrow, default)]
    meeting_start_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    meeting_end_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    join_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    room_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    page: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body_text: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    fn key(&self, column: Column) -> Option<&'a RawValue> {
        match column {
            Column::MeetingNo => self.meeting_no,
            Column::MeetingStartTime => self.meeting_start_time,
            Column::MeetingEndTime => self.meeting_end_time,
            Column::JoinTime => self.join_time,
            Column::UserId => self.user_id,
            Column::RoomId => self.room_id,
        }
    }
}

fn page<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Page<'a>, Refusal> {
    if bytes.len() > LINE_BYTES_MAX {
        return Err(Refusal::LineTooLong);
    }
    let json = std::str::from_utf8(bytes).map_err(|_| Refusal::NotUtf8)?;
    // A list would be read as the object's values.
    if !json.trim_start().starts_with('{') {
        return Err(Refusal::NotAnObject { byte: 1 });
    }
    let line: Line<'a> =
        serde_json::from_str(json).map_err(|error| Refusal::NotAnObject { byte: error.column().max(1) })?;
    let texts = Column::ALL.map(|column| line.key(column).map_or(Ok(Cow::Borrowed("")), text));
    let keys = Fields::of(|column| texts[column as usize].as_deref().unwrap_or_default());
    for column in Column::ALL {
        if let Err(found) = texts[column as usize] {
            let reason = Reason::Value { column, rule: Rule::JsonType { found } };
            return Err(Refusal::Keys(Box::new(Reject::new(&keys, reason))));
        }
    }
    let number = line.page.and_then(|value| text(value).ok()?.parse().ok());
    let body = line.body_text.or_else(|| line.body.map(|body| Cow::Borrowed(body.get())));
    Page::checked(&keys, number, body, rules)
}
