//! The tenant's manifest: one row per stay, in the API's own names, times in unix seconds, users by open id.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde::Serialize;

use super::tenant::{SimulatedStay, Tenant, UserIdType};

/// How a manifest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFormat {
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

impl ManifestFormat {
    /// The format that the file's ending names: `csv` or `jsonl`.
    pub fn by_ending(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Row {
    meeting_no: String,
    meeting_start_time: i64,
    meeting_end_time: i64,
    join_time: i64,
    user_id: Option<String>,
    room_id: Option<String>,
}

impl From<SimulatedStay> for Row {
    fn from(stay: SimulatedStay) -> Self {
        Self {
            user_id: stay.user_id(UserIdType::OpenId),
            room_id: stay.room_id(),
            meeting_no: stay.meeting_no,
            meeting_start_time: stay.meeting_start_s,
            meeting_end_time: stay.meeting_end_s,
            join_time: stay.join_s,
        }
    }
}

/// Writes the manifest of all stays of the tenant.
pub fn write(tenant: &Tenant, format: ManifestFormat, to: impl Write) -> io::Result<()> {
    let mut rows = tenant.stays().map(Row::from);
    match format {
        ManifestFormat::Csv => {
            let mut csv = csv::Writer::from_writer(to);
            rows.try_for_each(|row| csv.serialize(row))?;
            csv.flush()
        }
        ManifestFormat::JsonLines => {
            let mut to = BufWriter::new(to);
            for row in rows {
                serde_json::to_writer(&mut to, &row)?;
                to.write_all(b"\n")?;
            }
            to.flush()
        }
    }
}

/// Writes the manifest into a file, in the format that its ending names.
pub fn write_file(tenant: &Tenant, path: &Path) -> io::Result<()> {
    let format = ManifestFormat::by_ending(path)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "its name must end in .csv or .jsonl"))?;
    write(tenant, format, File::create(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::tenant::TenantSettings;

    #[test]
    fn both_formats_hold_the_same_rows() {
        let tenant = Tenant::new(TenantSettings { stays: 200, ..TenantSettings::default() });
        let text = |format| {
            let mut bytes = Vec::new();
            write(&tenant, format, &mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let (csv, json) = (text(ManifestFormat::Csv), text(ManifestFormat::JsonLines));
        let mut lines = csv.lines();
        assert_eq!(lines.next(), Some("meeting_no,meeting_start_time,meeting_end_time,join_time,user_id,room_id"));
        for (line, object) in lines.by_ref().zip(json.lines()) {
            let object: serde_json::Value = serde_json::from_str(object).unwrap();
            let names = ["meeting_no", "meeting_start_time", "meeting_end_time", "join_time", "user_id", "room_id"];
            let fields = names.map(|name| match &object[name] {
                serde_json::Value::Null => String::new(),
                value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            });
            assert_eq!(line, fields.join(","));
        }
        assert_eq!((csv.lines().count(), json.lines().count()), (201, 200));
    }
}
