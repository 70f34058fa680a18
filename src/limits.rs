//! Limits of what is asked and answered, kept by more than one folder.

/// The largest body that is read, decompressed: 32 MiB. A page of 100 samples has about 0.14 MB.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// The longest meeting that the API accepts: its end lies at most a day after its start.
pub const MEETING_LENGTH_MAX_S: i64 = 86_400;

/// Samples of a stay that end so long before the stay may have ended, in seconds, are not all that there will be, as long as its
/// meeting is young: a sample comes every minute.
pub const EARLY_END_S: i64 = 600;

/// Unix times from here on (the year 5138) are milliseconds that somebody took for seconds.
pub const TIME_MAX_S: i64 = 100_000_000_000;

/// The most bytes of a `user_id` or `room_id`; the API's own have about 40.
pub const ID_BYTES_MAX: usize = 256;
