//! Tables in Markdown that tests hold true.

/// The rows of the table under a heading, each with its cells; without the table's head.
///
/// # Panics
///
/// If there is no such heading, or no table under it, or if a row has more or fewer cells than the head.
pub(crate) fn rows<'a>(text: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let under =
        text.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading || !line.starts_with('#'));
    let lines = under.skip(1).take_while(|line| !line.starts_with('#')).filter(|line| line.starts_with('|'));
    let mut rows: Vec<Vec<&str>> = lines.map(cells).collect();
    assert!(rows.len() > 2, "no table under `{heading}`");
    let width = rows[0].len();
    let odd = rows.iter().find(|row| row.len() != width);
    assert_eq!(odd, None, "a row of the table under `{heading}`, which has {width} columns");
    rows.split_off(2)
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}
