//! Pages as the API sends them, made by a seed.

use rand::{Rng, SeedableRng, rngs::StdRng};
use vcq::tables::quality::{COLUMNS, Kind, Section};

/// Samples of each page: the most that the API sends in one.
pub(crate) const SAMPLES_PER_PAGE: u32 = 100;

/// One page of a stay as the API sends it: times that rise by the minute, values that stay near one another, no shared
/// screen in two samples of three.
pub(crate) fn page(seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let base = random.random_range(20..80);
    let items: Vec<_> = (0..SAMPLES_PER_PAGE).map(|minute| item(&mut random, base, minute)).collect();
    let list = items.join(",");
    format!(r#"{{"code":0,"msg":"success","data":{{"participant_quality_list":[{list}],"has_more":false}}}}"#)
}

fn item(random: &mut StdRng, base: u32, minute: u32) -> String {
    let shares_screen = random.random_ratio(1, 3);
    let shown = Section::ALL.into_iter().filter(|section| *section != Section::ScreenSharing || shares_screen);
    let sections: Vec<_> = shown
        .map(|section| {
            let columns = COLUMNS.iter().filter(|column| column.section == section);
            let members: Vec<_> = columns
                .map(|column| format!(r#""{}":"{}""#, column.key, text(random, column.kind, base, minute)))
                .collect();
            format!(r#""{}":{{{}}}"#, section.key(), members.join(","))
        })
        .collect();
    format!("{{{}}}", sections.join(","))
}

fn text(random: &mut StdRng, kind: Kind, base: u32, minute: u32) -> String {
    let near = base + random.random_range(0..20);
    match kind {
        Kind::Time => format!("2022.12.23 {:02}:{:02}:00 (GMT+08:00)", 11 + minute / 60, minute % 60),
        Kind::Delay => format!("{near}ms"),
        Kind::BitRate => format!("{}kbps", near * 10),
        Kind::Percent => format!("{}.{}%", near / 10, near % 10),
        Kind::Volume => format!("-{near}dB"),
        Kind::FrameRate => format!("{}fps", near % 30),
        Kind::Resolution => "1080P".to_owned(),
    }
}
