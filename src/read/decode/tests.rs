use proptest::{
    collection::vec,
    option::weighted,
    prelude::*,
    sample::{Index, select},
};

use super::*;

fn read(page: &str) -> Decoded<'_> {
    Decoded::new(|unknown, each| decode(page.as_bytes(), unknown, each))
}

/// What decoding a page came to.
#[derive(Debug, PartialEq)]
struct Decoded<'a> {
    result: Result<u32, DecodeError>,
    samples: Vec<Sample<'a>>,
    unknown: Vec<(String, u64)>,
}

impl<'a> Decoded<'a> {
    fn new(decode: impl FnOnce(&mut Unknown, &mut dyn FnMut(&Sample<'a>)) -> Result<u32, DecodeError>) -> Self {
        let mut unknown = Unknown::default();
        let mut samples = Vec::new();
        let result = decode(&mut unknown, &mut |sample| samples.push(sample.clone()));
        let unknown = unknown.counts().map(|(name, count)| (name.to_owned(), count)).collect();
        Self { result, samples, unknown }
    }

    fn counted(&self) -> Vec<(&str, u64)> {
        self.unknown.iter().map(|(name, count)| (name.as_str(), *count)).collect()
    }
}

/// The fields that are there, by column name.
fn present<'s>(sample: &'s Sample<'_>) -> Vec<(&'static str, &'s Field<'s>)> {
    let named = COLUMNS.iter().map(|column| column.name).zip(sample.fields());
    named.filter(|(_, field)| **field != Field::Absent).collect()
}

fn text(text: &str) -> Field<'_> {
    Field::Text(text.into())
}

/// A page with these items in its list.
fn page_of(items: &str) -> String {
    format!(r#"{{"code":0,"msg":"success","data":{{"participant_quality_list":[{items}],"has_more":false}}}}"#)
}

#[test]
fn every_text_arrives_in_its_column() {
    let texts: Vec<_> = (0..COLUMN_COUNT).map(|column| Some(format!("text {column}"))).collect();
    let page = compact_page(std::slice::from_ref(&texts));
    let decoded = read(&page);
    assert_eq!(decoded.result, Ok(1));
    let [sample] = decoded.samples.as_slice() else { panic!("{decoded:?}") };
    for (column, field) in sample.fields().iter().enumerate() {
        assert_eq!(*field, text(&format!("text {column}")), "{}", COLUMNS[column].name);
    }
    assert_eq!(decoded.unknown, []);
}

#[test]
fn the_documented_shape_is_read_by_the_fast_path() {
    let whole = vec![Some("8kbps".to_owned()); COLUMN_COUNT];
    let mut gaps = whole.clone();
    gaps[0] = None;
    gaps[10..30].fill(None);
    gaps[COLUMN_COUNT - 1] = None;
    for samples in [vec![], vec![vec![None; COLUMN_COUNT]], vec![whole, gaps]] {
        let page = compact_page(&samples);
        let count = fast::decode(&page, &mut |_| ()).ok();
        assert_eq!(count, u32::try_from(samples.len()).ok(), "{page}");
    }
}

#[test]
fn values_of_a_section() {
    for (value, expected) in [
        (r#""53ms""#, text("53ms")),
        (r#""""#, text("")),
        (r#""5\u0033ms""#, text("53ms")),
        (r#""\u4f1a\ud83d\ude00""#, text("会😀")),
        (r#""a\"b\\c\/d\n""#, text("a\"b\\c/d\n")),
        (r#""会 ms""#, text("会 ms")),
        ("\"\u{7f}\"", text("\u{7f}")),
        ("null", Field::Absent),
        ("53", Field::Other("53")),
        ("-5.30e1", Field::Other("-5.30e1")),
        ("true", Field::Other("true")),
        (r#"{"value": 53}"#, Field::Other(r#"{"value": 53}"#)),
        (r#"["53ms", null]"#, Field::Other(r#"["53ms", null]"#)),
        (r#""\ud800 alone""#, Field::Other(r#""\ud800 alone""#)),
    ] {
        let page = page_of(&format!(r#"{{"network":{{"network_delay":{value},"bitrate_sent":"8kbps"}}}}"#));
        let decoded = read(&page);
        assert_eq!(decoded.result, Ok(1), "{value}");
        assert_eq!(decoded.samples[0].fields()[1], expected, "{value}");
        assert_eq!(decoded.samples[0].fields()[5], text("8kbps"), "{value}");
        assert_eq!(decoded.unknown, [], "{value}");
    }
}

#[test]
fn items_that_are_odd() {
    let audio = text("6dB");
    let network = text("1ms");
    let audio = ("audio_mic_input_volume_db", &audio);
    let network = ("network_delay_ms", &network);
    for (item, expected, unknown) in [
        ("{}", &[][..], &[][..]),
        ("null", &[], &[]),
        ("7", &[], &[("participant_quality_list[] (number)", 1)]),
        ("-7", &[], &[("participant_quality_list[] (number)", 1)]),
        ("7.5", &[], &[("participant_quality_list[] (number)", 1)]),
        ("true", &[], &[("participant_quality_list[] (boolean)", 1)]),
        (r#""text""#, &[], &[("participant_quality_list[] (string)", 1)]),
        (r#"[{"network":{"network_delay":"1ms"}}]"#, &[], &[("participant_quality_list[] (array)", 1)]),
        (r#"{"network":null,"audio":{"mic_input_volume":"6dB"}}"#, &[audio], &[]),
        (r#"{"network":{},"audio":{"mic_input_volume":"6dB"}}"#, &[audio], &[]),
        (r#"{"network":[1,2],"audio":{"mic_input_volume":"6dB"}}"#, &[audio], &[("network (array)", 1)]),
        (r#"{"network":"none","audio":{"mic_input_volume":"6dB"}}"#, &[audio], &[("network (string)", 1)]),
        (r#"{"audio":{"mic_input_volume":"6dB"},"network":{"network_delay":"1ms"}}"#, &[network, audio], &[]),
        (r#"{"network":{"network_delay":"9ms"},"network":{"network_delay":"1ms"}}"#, &[network], &[]),
        (r#"{"network":{"network_delay":"9ms","network_delay":"1ms"}}"#, &[network], &[]),
        (r#"{"network":{"network_delay":"9ms"},"network":{}}"#, &[], &[]),
        (r#"{"network":{"network_delay":"9ms"},"network":null}"#, &[], &[]),
        (r#"{"n\u0065twork":{"network\u005fdelay":"1ms"}}"#, &[network], &[]),
        (r#"{"Network":{"network_delay":"9ms"}}"#, &[], &[("Network", 1)]),
        (
            r#"{"network":{"bitrate":"8kbps","network_delay":"1ms","mos":{"a":1}},"gpu":{"time":"x"},"":1}"#,
            &[network],
            &[("", 1), ("gpu", 1), ("network.bitrate", 1), ("network.mos", 1)],
        ),
    ] {
        let page = page_of(&format!(r#"{{"audio":{{"speaker_volume":"8dB"}}}},{item}"#));
        let decoded = read(&page);
        assert_eq!(decoded.result, Ok(2), "{item}");
        assert_eq!(present(&decoded.samples[1]), expected, "{item}");
        assert_eq!(decoded.counted(), unknown, "{item}");
    }
}

#[test]
fn pages_that_are_odd() {
    for (page, samples, unknown) in [
        (r#"{"code":0,"msg":"success","data":{}}"#, 0, &[][..]),
        (r#"{"code":0,"msg":"success","data":{"participant_quality_list":[]}}"#, 0, &[]),
        (r#"{"code":0,"data":{"participant_quality_list":null,"has_more":false}}"#, 0, &[]),
        (r#"{"code":0,"data":null}"#, 0, &[]),
        (r#"{"code":121004,"msg":"data not exist","data":{}}"#, 0, &[]),
        ("{}", 0, &[]),
        ("null", 0, &[]),
        ("[1]", 0, &[("page (array)", 1)]),
        (r#"{"data":3}"#, 0, &[("data (number)", 1)]),
        (r#"{"data":{"participant_quality_list":{"network":{}}}}"#, 0, &[("participant_quality_list (object)", 1)]),
        ("\u{feff}{}", 0, &[]),
        (&format!("\u{feff}{}", page_of("{},{}")), 2, &[]),
        ("\u{feff} {\"data\":{\"new\":1,\"participant_quality_list\":[{}]}}", 1, &[]),
        (" {\r\n\t\"data\" : { \"participant_quality_list\" : [ { } , { } ] } } \n", 2, &[]),
        (r#"{"data":{"has_more":true,"page_token":"20","participant_quality_list":[{}]},"msg":"","code":0}"#, 1, &[]),
        (r#"{"data":{"participant_quality_list":[{}],"new":[1]},"log_id":"x","code":0}"#, 1, &[]),
    ] {
        let decoded = read(page);
        assert_eq!(decoded.result, Ok(samples), "{page}");
        assert_eq!(decoded.samples, vec![Sample::EMPTY; samples as usize], "{page}");
        assert_eq!(decoded.counted(), unknown, "{page}");
    }
}

#[test]
fn pages_that_are_not_json() {
    let page = page_of(r#"{"network":{"time":"x"}}"#);
    let pretty = page.replace('[', "\n\n[");
    for (damaged, offset) in [
        (String::new(), 0),
        ("gateway timeout".to_owned(), 1),
        (page[..page.len() - 1].to_owned(), page.len() - 1),
        (format!("{page}}}"), page.len() + 1),
        (format!("{pretty}}}"), pretty.len() + 1),
        (format!("\u{feff}{page}}}"), page.len() + 4),
        (page.replace('x', "\u{1}"), page.find('x').unwrap()),
        (page.replace('x', r"\x"), page.find('x').unwrap() + 2),
    ] {
        assert_eq!(read(&damaged).result, Err(DecodeError { offset }), "{damaged:?}");
    }
    assert_eq!(decode(b"{\"\xff\":1}", &mut Unknown::default(), |_| ()), Err(DecodeError { offset: 2 }));
}

#[test]
fn a_name_or_container_that_is_no_unicode_is_not_json() {
    for item in [r#"{"\ud800":{}}"#, r#"{"network":{"\ud800":"1ms"}}"#, r#"{"network":"\ud800"}"#] {
        assert!(read(&page_of(item)).result.is_err(), "{item}");
    }
    assert_eq!(read(r#"{"msg":"\ud800","data":{"participant_quality_list":[{"odd":"\ud800"}]}}"#).result, Ok(1));
}

#[test]
fn depth_costs_no_stack() {
    const DEPTH: usize = 1_000_000;
    let deep = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let page = page_of(&format!(r#"{{"network":{{"time":{deep},"odd":{deep}}},"odd":{deep}}},{deep}"#));
    let decoded = read(&page);
    assert_eq!(decoded.result, Ok(2));
    assert_eq!(present(&decoded.samples[0]), [("network_time", &Field::Other(&deep))]);
}

/// A page exactly as the API documents it: `samples` as texts by column, sections without a text left out.
fn compact_page(samples: &[Vec<Option<String>>]) -> String {
    page_of(&samples.iter().map(|texts| compact_item(texts)).collect::<Vec<_>>().join(","))
}

fn compact_item(texts: &[Option<String>]) -> String {
    let member = |column: usize| Some(format!(r#""{}":"{}""#, COLUMNS[column].key, texts[column].as_ref()?));
    let section = |section: Section| {
        let members = columns_of(section).filter_map(member).collect::<Vec<_>>().join(",");
        (!members.is_empty()).then(|| format!(r#""{}":{{{members}}}"#, section.key()))
    };
    format!("{{{}}}", Section::ALL.into_iter().filter_map(section).collect::<Vec<_>>().join(","))
}

/// Pages of the documented shape.
fn documented_page() -> impl Strategy<Value = String> {
    let texts = select(vec!["", "-", "53ms", "8kbps", "0.8%", "会", "2022.12.23 11:16:00 (GMT+08:00)", "\u{7f}~ 7 🎥"]);
    let sample = vec(weighted(0.7, texts.prop_map(str::to_owned)), COLUMN_COUNT);
    vec(sample, 0..4).prop_map(|samples| compact_page(&samples))
}

/// Pages of the documented shape with pieces taken out and put in.
fn damaged_page() -> impl Strategy<Value = String> {
    let pieces = [
        "",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\u{0}",
        "null",
        "0",
        "-1e2",
        "é",
        "\\u0041",
        "\\ud800",
        "{}",
        "[]",
        "\"\"",
        "{},",
        "\"time\":\"x\",",
        "\"network\":{},",
        "\"data\":{},",
        "\"odd\":1,",
    ];
    let edit = (any::<Index>(), 0..4_usize, select(pieces.to_vec()));
    (documented_page(), vec(edit, 0..4)).prop_map(|(mut page, edits)| {
        for (at, length, piece) in edits {
            let start = page.floor_char_boundary(at.index(page.len() + 1));
            let end = page.floor_char_boundary(page.len().min(start + length)).max(start);
            page.replace_range(start..end, piece);
        }
        page
    })
}

/// Valid JSON of about the documented shape: any names, orders, repetitions, types and blanks.
fn odd_page() -> impl Strategy<Value = String> {
    let values = [
        r#""53ms""#,
        r#""-""#,
        r#""""#,
        r#""\u0035ms""#,
        "null",
        "0",
        "-1.5e3",
        "true",
        "{}",
        "[[],{}]",
        r#"{"time":"x"}"#,
    ];
    let text = select([&values[..], &[r#""\udc00""#]].concat()).prop_map(str::to_owned).boxed();
    let value = select(values.to_vec()).prop_map(str::to_owned).boxed();
    let section_key = vec!["time", "network_delay", "bitrate_sent", "tim\\u0065", "odd", ""];
    let section = object(section_key, text);
    let item_key = vec!["network", "audio", "video", "screen_sharing", "cpu_usage", "\\u0061udio", "odd"];
    let item = object(item_key, prop_oneof![4 => section, 1 => value.clone()].boxed());
    let items = vec(prop_oneof![4 => item, 1 => value.clone()], 0..4);
    let list = items.prop_map(|items| format!("[{}]", items.join(","))).boxed();
    let data_key = vec!["participant_quality_list", "has_more", "page_token"];
    let data = object(data_key, prop_oneof![4 => list, 1 => value.clone()].boxed());
    let page = object(vec!["data", "code", "msg"], prop_oneof![4 => data, 1 => value].boxed());
    (page, select(vec![",", ", ", "\n,\t"])).prop_map(|(page, comma)| page.replace(',', comma))
}

fn object(keys: Vec<&'static str>, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let member = (select(keys), value).prop_map(|(key, value)| format!(r#""{key}":{value}"#));
    vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))).boxed()
}

fn assert_paths_agree(page: &str) {
    let general = Decoded::new(|unknown, each| any::decode(page, unknown, 0, each));
    assert_eq!(read(page), general, "{page}");
}

proptest! {
    #[test]
    fn both_paths_agree_on_documented_pages(page in documented_page()) {
        prop_assert!(fast::decode(&page, &mut |_| ()).is_ok(), "{page}");
        assert_paths_agree(&page);
    }

    #[test]
    fn both_paths_agree_on_damaged_pages(page in damaged_page()) {
        assert_paths_agree(&page);
    }

    #[test]
    fn both_paths_agree_on_odd_pages(page in odd_page()) {
        prop_assert!(read(&page).result.is_ok(), "{page}");
        assert_paths_agree(&page);
    }
}
