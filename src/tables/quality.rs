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
    /// The key as compact JSON, up to and with the opening quote of its text: `"key":"`.
    pub(crate) key_json: &'static str,
    /// What is measured.
    pub kind: Kind,
    /// What the value means, as a sentence for the reference.
    pub doc: &'static str,
}

/// The number of columns that come from texts of a sample: 39 metrics and 5 section times.
pub const COLUMN_COUNT: usize = 44;

/// Turns the table below into an array, so that a row says only what differs. Its doc comment becomes [`Column::doc`].
macro_rules! columns {
    ($($section:ident { $(#[doc = $doc:literal] $name:literal = $key:literal: $kind:ident,)* })*) => {
        [$($(Column {
            name: $name,
            section: Section::$section,
            key: $key,
            key_json: concat!("\"", $key, "\":\""),
            kind: Kind::$kind,
            doc: $doc.trim_ascii(),
        },)*)*]
    };
}

/// The columns that come from texts of a sample, in the dataset's order: section by section as in [`Section::ALL`],
/// in each its time first, then its metrics in the API's order.
pub static COLUMNS: [Column; COLUMN_COUNT] = columns! {
    Network {
        /// The minute that the values of this section belong to.
        "network_time" = "time": Time,
        /// Delay of the network.
        "network_delay_ms" = "network_delay": Delay,
        /// Bit rate received.
        "network_bitrate_received_kbps" = "bitrate_received": BitRate,
        /// Packets lost on receiving: mean of the minute.
        "network_packet_loss_avg_received_pct" = "packet_loss_avg_received": Percent,
        /// Packets lost on receiving: highest of the minute.
        "network_packet_loss_max_received_pct" = "packet_loss_max_received": Percent,
        /// Bit rate sent.
        "network_bitrate_sent_kbps" = "bitrate_sent": BitRate,
        /// Packets lost on sending: mean of the minute.
        "network_packet_loss_avg_sent_pct" = "packet_loss_avg_sent": Percent,
        /// Packets lost on sending: highest of the minute.
        "network_packet_loss_max_sent_pct" = "packet_loss_max_sent": Percent,
    }
    Audio {
        /// The minute that the values of this section belong to.
        "audio_time" = "time": Time,
        /// Loudness that the microphone picks up.
        "audio_mic_input_volume_db" = "mic_input_volume": Volume,
        /// Loudness that the speaker plays.
        "audio_speaker_volume_db" = "speaker_volume": Volume,
        /// Bit rate of the audio received.
        "audio_bitrate_received_kbps" = "bitrate_received": BitRate,
        /// Latency of the audio received.
        "audio_latency_received_ms" = "latency_received": Delay,
        /// Jitter of the audio received: how much the latency varies.
        "audio_jitter_received_ms" = "jitter_received": Delay,
        /// Bit rate of the audio sent.
        "audio_bitrate_sent_kbps" = "bitrate_sent": BitRate,
        /// Latency of the audio sent.
        "audio_latency_sent_ms" = "latency_sent": Delay,
        /// Jitter of the audio sent.
        "audio_jitter_sent_ms" = "jitter_sent": Delay,
    }
    Video {
        /// The minute that the values of this section belong to.
        "video_time" = "time": Time,
        /// Bit rate of the camera's video received.
        "video_bitrate_received_kbps" = "bitrate_received": BitRate,
        /// Latency of the camera's video received.
        "video_latency_received_ms" = "latency_received": Delay,
        /// Jitter of the camera's video received: how much the latency varies.
        "video_jitter_received_ms" = "jitter_received": Delay,
        /// Highest resolution received, by its shorter side: 1080 for `1080P`, 2160 for `4K`.
        "video_maximum_resolution_received_px" = "maximum_resolution_received": Resolution,
        /// Frame rate received.
        "video_framerate_received_fps" = "framerate_received": FrameRate,
        /// Bit rate of the camera's video sent.
        "video_bitrate_sent_kbps" = "bitrate_sent": BitRate,
        /// Latency of the camera's video sent.
        "video_latency_sent_ms" = "latency_sent": Delay,
        /// Jitter of the camera's video sent.
        "video_jitter_sent_ms" = "jitter_sent": Delay,
        /// Highest resolution sent, by its shorter side.
        "video_maximum_resolution_sent_px" = "maximum_resolution_sent": Resolution,
        /// Frame rate sent.
        "video_framerate_sent_fps" = "framerate_sent": FrameRate,
    }
    ScreenSharing {
        /// The minute that the values of this section belong to.
        "screen_sharing_time" = "time": Time,
        /// Bit rate of the shared screen received.
        "screen_sharing_bitrate_received_kbps" = "bitrate_received": BitRate,
        /// Latency of the shared screen received.
        "screen_sharing_latency_received_ms" = "latency_received": Delay,
        /// Jitter of the shared screen received: how much the latency varies.
        "screen_sharing_jitter_received_ms" = "jitter_received": Delay,
        /// Highest resolution received, by its shorter side: 1080 for `1080P`, 2160 for `4K`.
        "screen_sharing_maximum_resolution_received_px" = "maximum_resolution_received": Resolution,
        /// Frame rate received.
        "screen_sharing_framerate_received_fps" = "framerate_received": FrameRate,
        /// Bit rate of the shared screen sent.
        "screen_sharing_bitrate_sent_kbps" = "bitrate_sent": BitRate,
        /// Latency of the shared screen sent.
        "screen_sharing_latency_sent_ms" = "latency_sent": Delay,
        /// Jitter of the shared screen sent.
        "screen_sharing_jitter_sent_ms" = "jitter_sent": Delay,
        /// Highest resolution sent, by its shorter side.
        "screen_sharing_maximum_resolution_sent_px" = "maximum_resolution_sent": Resolution,
        /// Frame rate sent.
        "screen_sharing_framerate_sent_fps" = "framerate_sent": FrameRate,
    }
    CpuUsage {
        /// The minute that the values of this section belong to.
        "cpu_usage_time" = "time": Time,
        /// CPU used by the meeting's client: mean of the minute.
        "client_avg_cpu_usage_pct" = "client_avg_cpu_usage": Percent,
        /// CPU used by the meeting's client: highest of the minute.
        "client_max_cpu_usage_pct" = "client_max_cpu_usage": Percent,
        /// CPU used on the participant's machine as a whole: mean of the minute.
        "system_avg_cpu_usage_pct" = "system_avg_cpu_usage": Percent,
        /// CPU used on the participant's machine as a whole: highest of the minute.
        "system_max_cpu_usage_pct" = "system_max_cpu_usage": Percent,
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
    KeyColumn {
        name: "meeting_no",
        key_type: KeyType::Text,
        nullable: false,
        doc: "The meeting's number: nine digits, leading zeros included. Not unique by itself.",
    },
    KeyColumn {
        name: "meeting_start_time",
        key_type: KeyType::Time,
        nullable: false,
        doc: "When the meeting began. Decides `date`.",
    },
    KeyColumn { name: "meeting_end_time", key_type: KeyType::Time, nullable: false, doc: "When the meeting ended." },
    KeyColumn {
        name: "join_time",
        key_type: KeyType::Time,
        nullable: false,
        doc: "When the participant joined: who leaves and comes back has a second stay.",
    },
    KeyColumn {
        name: "user_id",
        key_type: KeyType::Text,
        nullable: true,
        doc: "The user who took part; null for a room.",
    },
    KeyColumn {
        name: "room_id",
        key_type: KeyType::Text,
        nullable: true,
        doc: "The meeting room that took part; null for a user.",
    },
    KeyColumn {
        name: "sample_index",
        key_type: KeyType::Index,
        nullable: false,
        doc: "The sample's position among all samples of the stay, from 0.",
    },
    KeyColumn {
        name: "sample_time",
        key_type: KeyType::Time,
        nullable: true,
        doc: "The minute of the sample: the first of the five section times that is present.",
    },
];

/// The column that stands after [`COLUMNS`].
pub static UNPARSED: KeyColumn = KeyColumn {
    name: "unparsed",
    key_type: KeyType::TextMap,
    nullable: true,
    doc: "Column name → original text of each value that could not be read; null when there is none.",
};

/// The section of this dataset in the column reference.
pub(super) fn reference() -> String {
    let keys = KEY_COLUMNS.iter().map(key_row).collect::<Vec<_>>().join("\n");
    let sections = Section::ALL.map(section_table).join("\n\n");
    let unparsed = key_row(&UNPARSED);
    format!(
        "{INTRODUCTION}\n{KEY_HEAD}\n{keys}\n\n{MEASURED}\n{sections}\n\n{UNREAD}\n{KEY_HEAD}\n{unparsed}\n\n{QUERY}"
    )
}

fn key_row(column: &KeyColumn) -> String {
    let KeyColumn { name, key_type, nullable, doc } = column;
    let type_name = match key_type {
        KeyType::Text => "string",
        KeyType::Time => "timestamp",
        KeyType::Index => "int32",
        KeyType::TextMap => "map",
    };
    let null = if *nullable { "yes" } else { "no" };
    format!("| `{name}` | {type_name} | {null} | {doc} |")
}

fn section_table(section: Section) -> String {
    let title = match section {
        Section::Network => "Network",
        Section::Audio => "Audio",
        Section::Video => "Video",
        Section::ScreenSharing => "Screen sharing",
        Section::CpuUsage => "CPU",
    };
    let rows = COLUMNS.iter().filter(|column| column.section == section).map(metric_row).collect::<Vec<_>>().join("\n");
    format!("#### {title}\n\n| column | type | unit | API | meaning |\n| --- | --- | --- | --- | --- |\n{rows}")
}

fn metric_row(column: &Column) -> String {
    let Column { name, section, key, kind, doc, .. } = column;
    let type_name = match kind {
        Kind::Time => "timestamp",
        Kind::Resolution => "int32",
        Kind::Delay | Kind::BitRate | Kind::Percent | Kind::Volume | Kind::FrameRate => "double",
    };
    format!("| `{name}` | {type_name} | {} | `{}.{key}` | {doc} |", kind.unit(), section.key())
}

const INTRODUCTION: &str = "\
## quality

One row is one sample: one minute of one stay, which is one participant in one meeting from one join on. Rows are sorted
by meeting start, meeting number, join time, participant, sample index.

### Which stay, which minute

All but `sample_time` comes from the manifest, from the lists or from counting. Meeting number, meeting start, join time and
participant name a stay; together with `sample_index` they name a row.
";

const KEY_HEAD: &str = "| column | type | null | meaning |\n| --- | --- | --- | --- |";

const MEASURED: &str = "\
### What was measured

Every column below can be null: then the API gave no value (no such section or key, or a text such as `-` or `N/A`), or
one that could not be read, which then stands in `unparsed`. A 0 is a zero that the API gave. Values are never NaN.

- The API names its metrics but does not define them: whether a delay is one way or a round trip, what 0 dB is, whether
  a client's CPU share is of one core or of all. Compare like with like.
- Received and sent are seen from the participant.
- Percent are percent: `8%` is 8.0. A kbps is 1000 bits a second.
- Sections of one sample can carry different times; `sample_time` is the first that is present, in the order below.
";

const UNREAD: &str = "\
### What could not be read

How texts are read, each exactly to the decimal:

| unit | texts | examples |
| --- | --- | --- |
| ms | `us`, `µs`, `ms`, `s` | `53ms` is 53, `1.5 s` is 1500 |
| kbps | `bps`, `kbps`, `Mbps`, `Gbps`; not with a capital `B`, which means bytes | `8kbps` is 8, `1.2Mbps` is 1200 |
| % | `%`, `％` | `0.8%` is 0.8 |
| dB | `dB` | `-6dB` is -6 |
| fps | `fps` | `30fps` is 30 |
| px | `P`; `2K`, `4K`, `8K`; two sides | `1080P` is 1080, `4K` is 2160, `1280x720` is 720 |
| timestamp | with or without a zone; without: the configured offset | `2022.12.23 11:16:00 (GMT+08:00)` |

Otherwise letter case does not matter. A lone `0` is zero in every unit. The empty text, `-`, `--`, `—`, `N/A`, `n/a`,
`null` and `/` mean that there is no value. Any other text gives null, and is kept:
";

const QUERY: &str = "\
The texts that this dataset holds and vcq could not read, in DuckDB:

```sql
SELECT entry.key AS column_name, entry.value AS text, count(*) AS samples
FROM (SELECT unnest(map_entries(unparsed)) AS entry FROM 'quality/*/*.parquet')
GROUP BY ALL
ORDER BY samples DESC;
```
";

#[cfg(test)]
mod tests {
    use super::*;

    /// The response of `participant_quality_list` as its page lists it.
    const API: [(&str, &str); 5] = [
        (
            "network",
            "time network_delay bitrate_received packet_loss_avg_received packet_loss_max_received bitrate_sent \
             packet_loss_avg_sent packet_loss_max_sent",
        ),
        (
            "audio",
            "time mic_input_volume speaker_volume bitrate_received latency_received jitter_received bitrate_sent \
             latency_sent jitter_sent",
        ),
        ("video", PICTURE),
        ("screen_sharing", PICTURE),
        ("cpu_usage", "time client_avg_cpu_usage client_max_cpu_usage system_avg_cpu_usage system_max_cpu_usage"),
    ];

    const PICTURE: &str = "time bitrate_received latency_received jitter_received maximum_resolution_received \
                           framerate_received bitrate_sent latency_sent jitter_sent maximum_resolution_sent \
                           framerate_sent";

    #[test]
    fn the_columns_are_the_texts_of_the_api_in_its_order() {
        let listed = API.iter().flat_map(|(section, keys)| keys.split(' ').map(move |key| (*section, key)));
        let columns = COLUMNS.iter().map(|column| (column.section.key(), column.key));
        assert_eq!(columns.collect::<Vec<_>>(), listed.collect::<Vec<_>>());
    }

    /// A name is the section, the key and the unit; `network_delay` and the CPU metrics name their section already.
    #[test]
    fn a_name_says_section_key_and_unit() {
        for Column { name, section, key, kind, .. } in &COLUMNS {
            let suffix = match kind {
                Kind::Time => "",
                Kind::Delay => "_ms",
                Kind::BitRate => "_kbps",
                Kind::Percent => "_pct",
                Kind::Volume => "_db",
                Kind::FrameRate => "_fps",
                Kind::Resolution => "_px",
            };
            let says_section = key.starts_with("network") || key.ends_with("cpu_usage");
            let prefix = if says_section { String::new() } else { format!("{}_", section.key()) };
            assert_eq!(*name, format!("{prefix}{key}{suffix}"));
        }
    }

    /// The API gives the same object in both, so that what holds for one column holds for its twin.
    #[test]
    fn video_and_screen_sharing_are_measured_alike() {
        let kinds = |section| COLUMNS.iter().filter(move |column| column.section == section).map(|column| column.kind);
        assert!(kinds(Section::Video).eq(kinds(Section::ScreenSharing)));
    }

    #[test]
    fn names_are_unique() {
        let keys = KEY_COLUMNS.iter().chain([&UNPARSED]).map(|column| column.name);
        let mut names: Vec<_> = keys.chain(COLUMNS.iter().map(|column| column.name)).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
