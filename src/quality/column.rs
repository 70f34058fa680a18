//! The table of columns: the one place where a metric is named.
//!
//! Decoder, Arrow schema, builders and the reference in `config/COLUMNS.md` come from these tables; nothing else lists
//! the columns. The dataset's columns are, in this order, [`KEY_COLUMNS`], [`COLUMNS`] and [`UNPARSED`].

/// One of the five objects that a sample of the API consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The connection as a whole.
    Network,
    /// Microphone and speaker.
    Audio,
    /// The camera's picture.
    Video,
    /// The shared screen's picture.
    ScreenSharing,
    /// The load of the participant's machine.
    CpuUsage,
}

impl Section {
    /// All sections, in the API's order.
    pub const ALL: [Self; 5] = [Self::Network, Self::Audio, Self::Video, Self::ScreenSharing, Self::CpuUsage];

    /// The section's key in a sample of the API.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Audio => "audio",
            Self::Video => "video",
            Self::ScreenSharing => "screen_sharing",
            Self::CpuUsage => "cpu_usage",
        }
    }
}

/// What a column measures; decides how its texts are read, its unit and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A point in time.
    Time,
    /// Delay, latency or jitter, in milliseconds.
    Delay,
    /// Bits per second, in thousands.
    BitRate,
    /// A share in percent: 8 % is 8.0.
    Percent,
    /// Loudness, in decibels.
    Volume,
    /// Pictures per second.
    FrameRate,
    /// The shorter side of a picture, in pixels.
    Resolution,
}

impl Kind {
    /// The unit of the values in the dataset; empty for a time.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Time => "",
            Self::Delay => "ms",
            Self::BitRate => "kbps",
            Self::Percent => "%",
            Self::Volume => "dB",
            Self::FrameRate => "fps",
            Self::Resolution => "px",
        }
    }
}

/// One column that comes from a text of a sample. Always nullable.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The column's name in the dataset.
    pub name: &'static str,
    /// The section that the text stands in.
    pub section: Section,
    /// The text's key in its section.
    pub key: &'static str,
    /// What is measured.
    pub kind: Kind,
    /// What the value means, as a sentence for the reference.
    pub doc: &'static str,
}

/// The number of columns that come from texts of a sample: 39 metrics and 5 section times.
pub const COLUMN_COUNT: usize = 44;

/// Turns the table below into an array, section by section, so that a row needs to say only what differs.
macro_rules! columns {
    ($($section:ident { $($name:literal $key:literal $kind:ident $doc:literal)* })*) => {
        [$($(Column { name: $name, section: Section::$section, key: $key, kind: Kind::$kind, doc: $doc },)*)*]
    };
}

/// The columns that come from texts of a sample, in the dataset's order: section by section as in [`Section::ALL`],
/// in each its time first, then its metrics in the API's order.
pub static COLUMNS: [Column; COLUMN_COUNT] = columns! {
    Network {
        "network_time"                         "time"                     Time    "Minute of the network values."
        "network_delay_ms"                     "network_delay"            Delay   "Network delay."
        "network_bitrate_received_kbps"        "bitrate_received"         BitRate "Bit rate received."
        "network_packet_loss_avg_received_pct" "packet_loss_avg_received" Percent "Mean packet loss, receiving."
        "network_packet_loss_max_received_pct" "packet_loss_max_received" Percent "Highest packet loss, receiving."
        "network_bitrate_sent_kbps"            "bitrate_sent"             BitRate "Bit rate sent."
        "network_packet_loss_avg_sent_pct"     "packet_loss_avg_sent"     Percent "Mean packet loss, sending."
        "network_packet_loss_max_sent_pct"     "packet_loss_max_sent"     Percent "Highest packet loss, sending."
    }
    Audio {
        "audio_time"                  "time"             Time    "Minute of the audio values."
        "audio_mic_input_volume_db"   "mic_input_volume" Volume  "Loudness picked up by the microphone."
        "audio_speaker_volume_db"     "speaker_volume"   Volume  "Loudness played by the speaker."
        "audio_bitrate_received_kbps" "bitrate_received" BitRate "Bit rate of the audio received."
        "audio_latency_received_ms"   "latency_received" Delay   "Latency of the audio received."
        "audio_jitter_received_ms"    "jitter_received"  Delay   "Jitter of the audio received."
        "audio_bitrate_sent_kbps"     "bitrate_sent"     BitRate "Bit rate of the audio sent."
        "audio_latency_sent_ms"       "latency_sent"     Delay   "Latency of the audio sent."
        "audio_jitter_sent_ms"        "jitter_sent"      Delay   "Jitter of the audio sent."
    }
    Video {
        "video_time"                           "time"                        Time       "Minute of the video values."
        "video_bitrate_received_kbps"          "bitrate_received"            BitRate    "Bit rate of the video received."
        "video_latency_received_ms"            "latency_received"            Delay      "Latency of the video received."
        "video_jitter_received_ms"             "jitter_received"             Delay      "Jitter of the video received."
        "video_maximum_resolution_received_px" "maximum_resolution_received" Resolution "Highest resolution received."
        "video_framerate_received_fps"         "framerate_received"          FrameRate  "Frame rate received."
        "video_bitrate_sent_kbps"              "bitrate_sent"                BitRate    "Bit rate of the video sent."
        "video_latency_sent_ms"                "latency_sent"                Delay      "Latency of the video sent."
        "video_jitter_sent_ms"                 "jitter_sent"                 Delay      "Jitter of the video sent."
        "video_maximum_resolution_sent_px"     "maximum_resolution_sent"     Resolution "Highest resolution sent."
        "video_framerate_sent_fps"             "framerate_sent"              FrameRate  "Frame rate sent."
    }
    ScreenSharing {
        "screen_sharing_time"                           "time"                        Time       "Minute of these values."
        "screen_sharing_bitrate_received_kbps"          "bitrate_received"            BitRate    "Bit rate received."
        "screen_sharing_latency_received_ms"            "latency_received"            Delay      "Latency received."
        "screen_sharing_jitter_received_ms"             "jitter_received"             Delay      "Jitter received."
        "screen_sharing_maximum_resolution_received_px" "maximum_resolution_received" Resolution "Highest resolution received."
        "screen_sharing_framerate_received_fps"         "framerate_received"          FrameRate  "Frame rate received."
        "screen_sharing_bitrate_sent_kbps"              "bitrate_sent"                BitRate    "Bit rate sent."
        "screen_sharing_latency_sent_ms"                "latency_sent"                Delay      "Latency sent."
        "screen_sharing_jitter_sent_ms"                 "jitter_sent"                 Delay      "Jitter sent."
        "screen_sharing_maximum_resolution_sent_px"     "maximum_resolution_sent"     Resolution "Highest resolution sent."
        "screen_sharing_framerate_sent_fps"             "framerate_sent"              FrameRate  "Frame rate sent."
    }
    CpuUsage {
        "cpu_usage_time"           "time"                 Time    "Minute of the CPU values."
        "client_avg_cpu_usage_pct" "client_avg_cpu_usage" Percent "Mean CPU usage of the meeting client."
        "client_max_cpu_usage_pct" "client_max_cpu_usage" Percent "Highest CPU usage of the meeting client."
        "system_avg_cpu_usage_pct" "system_avg_cpu_usage" Percent "Mean CPU usage of the whole machine."
        "system_max_cpu_usage_pct" "system_max_cpu_usage" Percent "Highest CPU usage of the whole machine."
    }
};

/// The type of a column that does not come from a text of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// A string.
    Text,
    /// A point in time.
    Time,
    /// A 32-bit count from 0.
    Index,
    /// A map from string to string, neither of them null.
    TextMap,
}

/// One column that says what a row is about, rather than what was measured.
#[derive(Clone, Copy, Debug)]
pub struct KeyColumn {
    /// The column's name in the dataset.
    pub name: &'static str,
    /// Its type.
    pub key_type: KeyType,
    /// Whether it can be null.
    pub nullable: bool,
    /// What the value means, as a sentence for the reference.
    pub doc: &'static str,
}

/// The columns that stand before [`COLUMNS`].
pub static KEY_COLUMNS: [KeyColumn; 8] = [
    KeyColumn { name: "meeting_no", key_type: KeyType::Text, nullable: false, doc: "Nine digits." },
    KeyColumn { name: "meeting_start_time", key_type: KeyType::Time, nullable: false, doc: "When the meeting began." },
    KeyColumn { name: "meeting_end_time", key_type: KeyType::Time, nullable: false, doc: "When the meeting ended." },
    KeyColumn { name: "join_time", key_type: KeyType::Time, nullable: false, doc: "When the participant joined." },
    KeyColumn { name: "user_id", key_type: KeyType::Text, nullable: true, doc: "The user who took part." },
    KeyColumn { name: "room_id", key_type: KeyType::Text, nullable: true, doc: "The room that took part." },
    KeyColumn { name: "sample_index", key_type: KeyType::Index, nullable: false, doc: "Position in the stay, from 0." },
    KeyColumn { name: "sample_time", key_type: KeyType::Time, nullable: true, doc: "The first section time present." },
];

/// The column that stands after [`COLUMNS`].
pub static UNPARSED: KeyColumn = KeyColumn {
    name: "unparsed",
    key_type: KeyType::TextMap,
    nullable: true,
    doc: "Column name and original text of each value that could not be read; null when there is none.",
};
