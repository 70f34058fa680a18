//! Compressed bytes → bytes: gzip of any number of members and zstd, told by the first bytes and not by a name.
//!
//! Bytes are decompressed as they are read, so that a small file that stands for a large one takes no memory.

use std::{
    io::{self, Cursor, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::ManifestError;

/// The endings of names of compressed files, which come after that of the format.
const ENDINGS: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

/// The most that zstd may look back, as a power of two: memory stays bounded whatever a file asks for.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// Bytes that tell how a file is compressed.
const HEAD_BYTES: u64 = 6;

/// The beginnings of forms that are told by their name instead of being read as text.
const NOT_READ: [(&[u8], &str); 6] = [
    (b"BZh", "bzip2"),
    (b"\xFD7zXZ\0", "xz"),
    (b"\x04\x22\x4D\x18", "lz4"),
    (b"PK\x03\x04", "zip (a spreadsheet saves itself so: save it as `CSV UTF-8`)"),
    (b"\xD0\xCF\x11\xE0", "the form of old spreadsheets (save it as `CSV UTF-8`)"),
    (b"PAR1", "Parquet (--format parquet)"),
];

/// The text behind `input`, decompressed if it is compressed.
pub(super) fn decompressed(mut input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, ManifestError> {
    let mut head = Vec::with_capacity(usize::try_from(HEAD_BYTES).unwrap_or_default());
    input.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(ManifestError::Read)?;
    if let Some((_, form)) = NOT_READ.into_iter().find(|(beginning, _)| head.starts_with(beginning)) {
        return Err(ManifestError::OtherForm(form));
    }
    let is_zstd = matches!(*head.as_slice(), [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..]);
    let is_gzip = head.starts_with(&[0x1F, 0x8B]);
    let whole = Cursor::new(head).chain(input);
    Ok(match (is_gzip, is_zstd) {
        (true, _) => Box::new(Decompressed { codec: "gzip", decoder: MultiGzDecoder::new(whole) }),
        (_, true) => {
            let mut decoder = ZstdDecoder::new(whole).map_err(ManifestError::Read)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(ManifestError::Read)?;
            Box::new(Decompressed { codec: "zstd", decoder })
        }
        _ => Box::new(whole),
    })
}

/// The name without the ending that says how the file is compressed, if it has one.
pub(super) fn plain_name(path: &Path) -> Option<&Path> {
    let ending = path.extension()?.to_str()?;
    ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)).then(|| path.file_stem().map(Path::new)).flatten()
}

/// A decoder whose errors say what cannot be decompressed.
struct Decompressed<R> {
    codec: &'static str,
    decoder: R,
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let codec = self.codec;
        self.decoder.read(buffer).map_err(|source| match source.kind() {
            io::ErrorKind::Interrupted => source,
            kind => io::Error::new(kind, Undecoded { codec, source }),
        })
    }
}

/// What was wrong with compressed bytes.
#[derive(Debug, thiserror::Error)]
#[error("its {codec} data cannot be decompressed to their end (cut off, or damaged?)")]
struct Undecoded {
    codec: &'static str,
    source: io::Error,
}
