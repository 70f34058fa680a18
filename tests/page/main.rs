//! The page of `vcq report`: what stands on it, whatever stands in the datasets, and how a browser takes it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod browser;
mod data;
#[path = "../support/python.rs"]
mod python;

use std::{fs, sync::Arc};

use arrow::array::{ArrayRef, Int32Array, RecordBatch};

use self::data::{Attendance, Data, Sample};

/// The text of a page, a line for each element that has some.
fn text(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    let mut text = String::new();
    for part in body.split('<').filter(|part| !part.is_empty()) {
        let (tag, after) = part.split_once('>').unwrap_or(("", part));
        let is_cell =
            tag.contains("\"bar\"") || ["td", "th", "bdi"].contains(&tag.split(' ').next().unwrap_or_default());
        if !is_cell && !tag.starts_with('/') && !text.ends_with('\n') {
            text.push('\n');
        } else if tag.starts_with("/td") || tag.starts_with("/th") || tag.starts_with("/tr") {
            text.push_str(if tag.starts_with("/tr") { "\n" } else { " | " });
        }
        text.push_str(after.trim_matches('\n'));
    }
    let lines = text.lines().map(|line| line.trim().trim_end_matches(" |")).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_page_says_what_the_datasets_hold() {
    let data = Data::new();
    for date in ["2026-02-23", "2026-02-24", "2026-02-25", "2026-02-26"] {
        data.quality(date, &data::day(date, 1, 40));
    }
    data.quality("2026-03-02", &data::day("2026-03-02", 3, 40));
    data.quality("2026-03-03", &data::day("2026-03-03", 2, 40));
    data.participants(
        "2026-03-02",
        &[
            Attendance { id: "ou_0", network_type: "wifi", device: "mac" },
            Attendance { id: "ou_1", network_type: "wired", device: "windows" },
            Attendance { id: "ou_9", network_type: "4g", device: "ios" },
        ],
    );
    insta::assert_snapshot!("english", text(&data.page("2026-03-02..2026-03-03")));
    insta::assert_snapshot!("chinese", text(&data.page("2026-03-02..2026-03-03 --lang zh")));
}

#[test]
fn what_stands_in_the_data_is_text_and_nothing_else() {
    const HOSTILE: [&str; 6] = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(2)>",
        "'; DROP TABLE rooms; --",
        "{{ 7 * 7 }} {% raw %}",
        "\u{202e}txet\u{0}\u{1b}[31m",
        "</style></svg></table><h1>&amp;",
    ];
    let data = Data::new();
    let samples: Vec<Sample> = (0..)
        .zip(HOSTILE)
        .flat_map(|(join_s, id)| {
            (0..40).map(move |minute| Sample {
                user_id: (join_s % 2 == 0).then_some(id),
                room_id: (join_s % 2 == 1).then_some(id),
                join_s,
                minute,
                delay_ms: Some(900.0),
                unparsed: Some((id, HOSTILE[0])),
                ..Sample::default()
            })
        })
        .collect();
    data.quality("2026-03-02", &samples);
    let page = data.page("2026-03-02");
    for part in ["<script", "<img", "onerror=alert(2)>", "<h1>&amp;", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(part), "{part}");
    }
    for part in ["&#60;script&#62;alert(1)", "{{ 7 * 7 }}", "\\u{202e}txet"] {
        assert!(page.contains(part), "{part} is not there");
    }
    let seen = browser::open(&data, &page);
    assert_eq!(seen.console, [""; 0]);
    assert_eq!(seen.views["wide"].scripts, 0);
    assert!(seen.views["wide"].text.contains("<script>alert(1)</script>"), "names are shown as they are");
}

#[test]
fn a_page_without_data_says_so() {
    let data = Data::new();
    for line in ["2026-03-02", ""] {
        let page = data.page(line);
        assert!(text(&page).contains("No minutes are published of these dates"), "{}", text(&page));
        browser::check(&data, &page);
    }
    data.quality("2026-03-02", &[]);
    browser::check(&data, &data.page("2026-03-02"));
}

#[test]
fn one_sample_and_columns_of_nulls_are_no_trouble() {
    let data = Data::new();
    data.quality("2026-03-02", &[Sample { user_id: Some("ou_0"), delay_ms: Some(20.0), ..Sample::default() }]);
    let page = data.page("2026-03-02");
    assert!(text(&page).contains("No group has 30 minutes"), "nothing is ranked");
    browser::check(&data, &page);
    let nulls: Vec<_> =
        (0..100).map(|minute| Sample { user_id: Some("ou_0"), minute, has_time: false, ..Sample::default() }).collect();
    data.quality("2026-03-03", &nulls);
    let page = data.page("2026-03-03");
    assert!(text(&page).contains("100 minutes have no time"), "{}", text(&page));
    browser::check(&data, &page);
}

/// Whatever the dates: a few hundred KB, and a browser that shows all of it.
#[test]
fn a_year_and_a_decade_stay_small() {
    let data = Data::new();
    for date in "2025-01-01".parse::<chrono::NaiveDate>().unwrap().iter_days().take(365) {
        let name = date.to_string();
        let others = Some(f64::from(name.bytes().map(u32::from).sum::<u32>()) / 7.0);
        let samples = data::day(&name, 2, 35).into_iter().map(|sample| Sample { others, ..sample });
        data.quality(&name, &samples.collect::<Vec<_>>());
    }
    for (dates, bytes_max) in [("2025-01-01..2025-12-31", 500_000), ("2016-01-01..2025-12-31", 400_000)] {
        let page = data.page(dates);
        assert!(page.len() < bytes_max, "{dates}: {} bytes", page.len());
        browser::check(&data, &page);
    }
    let refused = data.vcq("report 2010-01-01..2025-12-31 --html x.html").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("are more than 3660 dates, which is the most of one page: name fewer"), "{said}");
}

#[test]
fn the_page_takes_the_place_of_nothing_that_vcq_reads() {
    let data = Data::new();
    data.quality("2026-03-02", &[]);
    for (path, why) in [("quality/page.html", "lies in the dataset's folder"), ("no/such", "")] {
        let output = data.vcq(&format!("report --html {path}")).output().unwrap();
        assert_eq!(output.status.code(), Some(if why.is_empty() { 0 } else { 2 }), "{path}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{path}");
    }
    assert!(fs::exists(data.path("no/such")).unwrap());
    fs::write(data.path("manifest.csv"), "meeting_no\n").unwrap();
    let output = data.vcq("report --html manifest.csv").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("--html `manifest.csv` is there and is no HTML page: name another file, or remove it"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(data.path("manifest.csv")).unwrap(), "meeting_no\n");
    data.page("2026-03-02");
    data.page("2026-03-02");
    let neither = data.vcq("report").output().unwrap();
    assert_eq!(neither.status.code(), Some(2), "a page or JSON has to be asked for");
}

#[test]
fn a_file_that_is_none_of_vcq_s_is_named() {
    let data = Data::new();
    data.quality("2026-03-02", &[]);
    let folder = data.path("quality/date=2026-03-02");
    fs::write(folder.join("part-00000000000000ff.parquet"), "no Parquet").unwrap();
    let output = data.vcq("report --json").output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&output.stderr).contains("part-00000000000000ff.parquet"));
    fs::remove_file(folder.join("part-00000000000000ff.parquet")).unwrap();
    let one: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    data.write("quality", "2026-02-28", &RecordBatch::try_from_iter([("one", one)]).unwrap());
    let output = data.vcq("report 2026-03-02 --json").output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in [
        "the dates that are compared with, 2026-02-23..2026-03-01 (`--against` names others)",
        "date=2026-02-28",
        "it has no column `meeting_no`: it is no file of vcq's",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let output = data.vcq("report 2026-03-02 --against 2026-01-01 --json").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}
