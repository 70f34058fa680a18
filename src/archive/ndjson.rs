//! Archives as lines: one JSON object a page, plain or compressed.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write},
    ops::Range,
};

use serde::Deserialize;
use serde_json::value::RawValue;
use zstd::stream::{Decoder, Encoder};

use super::{
    ArchiveError, ArchivedListing, BUFFER_BYTES, Entry, LINE_BYTES_MAX, ListingOf, NextEntry, Output, Refusal, Refused,
    keys::{Key, Keys},
};
use crate::{
    manifest::{
        column::{Column, Fields},
        jsonl::text,
        lines::LineReader,
        reason::{Reason, Rule},
        reject::Reject,
        rules::Rules,
    },
    meeting::Meeting,
    stay::{Participant, Stay},
};

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// Writes pages as lines.
pub enum NdjsonWriter {
    Plain(BufWriter<Output>),
    Zstd(Box<Encoder<'static, BufWriter<Output>>>),
}

impl NdjsonWriter {
    pub(super) fn plain(output: Output) -> Self {
        Self::Plain(BufWriter::with_capacity(BUFFER_BYTES, output))
    }

    pub(super) fn zstd(output: Output) -> io::Result<Self> {
        let mut encoder = Encoder::new(BufWriter::with_capacity(BUFFER_BYTES, output), ZSTD_LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self::Zstd(Box::new(encoder)))
    }

    pub(super) fn write(&mut self, stay: &Stay, page: (u32, u32), body: &str) -> io::Result<()> {
        match self {
            Self::Plain(out) => write_line(out, stay, page, body),
            Self::Zstd(out) => write_line(out, stay, page, body),
        }
    }

    pub(super) fn write_listed(&mut self, listing: &ArchivedListing, number: u32, body: &str) -> io::Result<()> {
        match self {
            Self::Plain(out) => write_listed_line(out, listing, number, body),
            Self::Zstd(out) => write_listed_line(out, listing, number, body),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Zstd(out) => out.finish()?.flush(),
        }
    }
}

fn write_line(out: &mut impl Write, stay: &Stay, (number, first_sample): (u32, u32), body: &str) -> io::Result<()> {
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
    write!(out, ",\"page\":{number},\"first_sample\":{first_sample}")?;
    write_body(out, body)
}

fn write_listed_line(out: &mut impl Write, listing: &ArchivedListing, number: u32, body: &str) -> io::Result<()> {
    let ArchivedListing { of, begun_at_s, landed } = listing;
    write!(out, "{{\"endpoint\":\"{}\"", of.endpoint().name())?;
    match of {
        ListingOf::Window(Range { start, end }) => {
            write!(out, ",\"window_start_time\":\"{start}\",\"window_end_time\":\"{end}\"")?;
        }
        ListingOf::Meeting(Meeting { start_s, no, end_s }) => {
            let end_s = end_s.unwrap_or(*start_s);
            write!(
                out,
                ",\"meeting_no\":\"{no}\",\"meeting_start_time\":\"{start_s}\",\"meeting_end_time\":\"{end_s}\""
            )?;
        }
    }
    write!(out, ",\"begun_at\":\"{begun_at_s}\",\"landed\":{landed},\"page\":{number}")?;
    write_body(out, body)
}

/// Writes the rest of a line.
fn write_body(out: &mut impl Write, body: &str) -> io::Result<()> {
    out.write_all(b",\"body\":")?;
    let json = body.strip_prefix('\u{feff}').unwrap_or(body).trim();
    if json == body && !body.contains(['\n', '\r']) {
        out.write_all(body.as_bytes())?;
    } else {
        // In JSON a line end can only stand between tokens, where a blank means the same.
        out.write_all(json.replace(['\n', '\r'], " ").as_bytes())?;
        out.write_all(b",\"body_text\":")?;
        serde_json::to_writer(&mut *out, body)?;
    }
    out.write_all(b"}\n")
}

/// What a zstd frame begins with, and one that holds no data; of the latter, the first four bits count up.
const ZSTD_MAGIC: u32 = 0xFD2F_B528;
const ZSTD_SKIPPED_MAGIC: u32 = 0x184D_2A50;

/// Whether a file that begins so is compressed by zstd.
pub(super) fn is_zstd(head: &[u8]) -> bool {
    head.try_into().is_ok_and(|head| {
        let magic = u32::from_le_bytes(head);
        magic == ZSTD_MAGIC || magic & !0xF == ZSTD_SKIPPED_MAGIC
    })
}

/// Byte order marks of UTF-16.
const UTF16_MARKS: [&[u8]; 2] = [&[0xFF, 0xFE], &[0xFE, 0xFF]];

/// Reads pages from lines.
pub struct NdjsonReader {
    lines: LineReader<Box<dyn BufRead>>,
}

impl NdjsonReader {
    pub(super) fn plain(input: impl Read + 'static) -> Self {
        Self::new(BufReader::with_capacity(BUFFER_BYTES, input))
    }

    pub(super) fn zstd(file: File) -> Result<Self, ArchiveError> {
        let failed = |source| ArchiveError::Read { after_line: 0, source };
        let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut head = Vec::with_capacity(4);
        file.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
        if !is_zstd(&head) {
            return Err(ArchiveError::OtherForm("zstd"));
        }
        Self::zstd_stream(Cursor::new(head).chain(file))
    }

    pub(super) fn zstd_stream(input: impl BufRead + 'static) -> Result<Self, ArchiveError> {
        let decoder = Decoder::with_buffer(input).map_err(|source| ArchiveError::Read { after_line: 0, source })?;
        Ok(Self::new(BufReader::with_capacity(BUFFER_BYTES, decoder)))
    }

    fn new(input: impl BufRead + 'static) -> Self {
        Self { lines: LineReader::new(Box::new(input), LINE_BYTES_MAX) }
    }

    /// The next line that is not blank: its number, and the page on it.
    pub(super) fn next_entry(&mut self, rules: &Rules) -> NextEntry<'_> {
        let after_line = self.lines.number();
        if !self.lines.advance().map_err(|source| ArchiveError::Read { after_line, source })? {
            return Ok(None);
        }
        if self.lines.number() == 1 && UTF16_MARKS.iter().any(|mark| self.lines.bytes().starts_with(mark)) {
            return Err(ArchiveError::Utf16);
        }
        Ok(Some((self.lines.number(), page(&self.lines, rules))))
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
    endpoint: Option<&'a RawValue>,
    #[serde(borrow, default)]
    window_start_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    window_end_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    begun_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    landed: Option<&'a RawValue>,
    #[serde(borrow, default)]
    first_sample: Option<&'a RawValue>,
    #[serde(borrow, default)]
    page: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body_text: Option<Cow<'a, str>>,
}

impl<'a> Line<'a> {
    fn other(&self, key: Key) -> Option<&'a RawValue> {
        match key {
            Key::Endpoint => self.endpoint,
            Key::WindowStart => self.window_start_time,
            Key::WindowEnd => self.window_end_time,
            Key::BegunAt => self.begun_at,
            Key::Landed => self.landed,
            Key::FirstSample => self.first_sample,
        }
    }

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

fn page<'a>(lines: &'a LineReader<impl BufRead>, rules: &Rules) -> Result<Entry<'a>, Refused> {
    if lines.is_too_long() {
        return Err(Refusal::LineTooLong.into());
    }
    match page_on(lines.bytes(), rules) {
        Err(Refused { why: Refusal::NotUtf8 | Refusal::NotAnObject { .. }, .. }) if lines.is_unfinished() => {
            Err(Refusal::Cut.into())
        }
        page => page,
    }
}

fn page_on<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Entry<'a>, Refused> {
    let json = std::str::from_utf8(bytes).map_err(|_| Refusal::NotUtf8)?;
    // A list would be read as the object's values.
    if !json.trim_start().starts_with('{') {
        return Err(Refusal::NotAnObject { byte: 1 }.into());
    }
    let line: Line<'a> =
        serde_json::from_str(json).map_err(|error| Refusal::NotAnObject { byte: error.column().max(1) })?;
    let texts = Column::ALL.map(|column| line.key(column).map_or(Ok(Cow::Borrowed("")), text));
    let fields = Fields::of(|column| texts[column as usize].as_deref().unwrap_or_default());
    for column in Column::ALL {
        if let Err(found) = texts[column as usize] {
            let reason = Reason::Value { column, rule: Rule::JsonType { found } };
            return Err(Refusal::Keys(Box::new(Reject::new(&fields, reason))).into());
        }
    }
    let others = Key::ALL.map(|key| line.other(key).map_or(Ok(Cow::Borrowed("")), text));
    if let Some((key, found)) =
        Key::ALL.into_iter().zip(&others).find_map(|(key, text)| Some((key, *text.as_ref().err()?)))
    {
        return Err(Refusal::KeyType { key: key.name(), found }.into());
    }
    let keys = Keys { fields, others: others.each_ref().map(|text| text.as_deref().unwrap_or_default()) };
    let number = line.page.and_then(|value| text(value).ok()?.parse().ok());
    let body = line.body_text.map(Ok).or_else(|| line.body.map(body_text)).unwrap_or(Err(Refusal::NoBody));
    Entry::checked(&keys, number, body, rules)
}

/// The body as the API sent it: an answer is an object, so that a string is one that holds an answer.
fn body_text(body: &RawValue) -> Result<Cow<'_, str>, Refusal> {
    let json = body.get();
    if json.starts_with('"') { text(body).map_err(|_| Refusal::Unreadable) } else { Ok(Cow::Borrowed(json)) }
}
