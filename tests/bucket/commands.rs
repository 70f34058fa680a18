//! Every command on datasets in a bucket does what it does in folders, and no secret of the bucket is in anything that it leaves.

use std::{fs, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    calm,
    canary::{contains, forms},
    lake::{EXPORT, Objects, PLACES, SECRET_KEY, check_nothing_else, objects, out, tiny, vcq},
    server::{Condition, Server},
    world::World,
};

/// What has to be kept too, where credentials are lent.
const SESSION_TOKEN: &str = "canary/aws+session=%&canary";

/// What is done, one after the other, with the exit code that it comes to.
const LINES: [(&str, i32); 16] = [
    ("export --discover 2025-03-03..2025-03-04 --manifest manifest.csv --report report.json", 0),
    ("status --all", 0),
    ("verify", 0),
    ("verify --deep", 0),
    ("report --html page.html", 0),
    ("report --json", 0),
    ("check", 0),
    ("export --refresh 2025-03-03", 0),
    ("rebuild", 0),
    ("archive export 2025-03-03..2025-03-04 pages.ndjson.zst", 0),
    ("archive prune --before 2025-03-05", 0),
    ("archive import pages.ndjson.zst", 0),
    ("rebuild --from 2025-03-04 --to 2025-03-04", 0),
    // The journal is lost before this.
    ("adopt", 0),
    ("status --all", 0),
    ("verify --deep", 0),
];

/// The datasets of a world in folders.
fn in_folder(world: &World, dataset: &str) -> Objects {
    world.files(dataset).into_iter().collect()
}

#[test]
fn every_command_does_in_a_bucket_what_it_does_in_folders_and_tells_no_secret() {
    let [local, lake] = [(); 2].map(|()| World::new(tiny()));
    let store = Server::start(Condition::Kept, calm());
    let mut said = String::new();
    for (line, code) in LINES {
        if line == "adopt" {
            for world in [&local, &lake] {
                fs::rename(world.path("state"), world.path("lost")).unwrap();
            }
        }
        let here = local.run(line);
        assert_eq!(here.code, Some(code), "{line}\n{}{}", here.out, here.err);
        let mut command = vcq(&lake, &store, &format!("{line} --log trace"));
        let there = lake.ran(command.env("AWS_SESSION_TOKEN", SESSION_TOKEN).env("RUST_BACKTRACE", "1"));
        assert_eq!(there.code, Some(code), "{line}\n{}{}", there.out, there.err);
        for (dataset, _) in PLACES {
            let files = in_folder(&local, dataset);
            assert!(!files.is_empty() && objects(&store, dataset) == files, "{line}: {dataset}");
        }
        check_nothing_else(&store);
        if line.starts_with("report") {
            assert_eq!(there.out, here.out, "{line}");
        }
        said.push_str(&there.out);
        said.push_str(&there.err);
    }
    assert!(said.contains("page landed"), "the log is at its most talkative");
    let mut written = lake.files("");
    written.extend(store.objects().into_iter().map(|(name, kept)| (name, kept.content)));
    written.push(("what was said".into(), said.into_bytes()));
    for canary in [SECRET_KEY, SESSION_TOKEN] {
        let traces = forms(canary);
        for (name, bytes) in &written {
            let found = traces.iter().find(|form| contains(bytes, form.as_bytes()));
            assert_eq!(found, None, "{canary} is in {name}");
        }
    }
}

/// The same rows in groups of a few, each with a large text in the middle of the columns.
fn with_large_texts(content: &[u8]) -> Vec<u8> {
    const GROUP_ROWS: usize = 64;
    const TEXT_BYTES: usize = 8 * 1024;
    let mut rng = StdRng::seed_from_u64(1);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::copy_from_slice(content)).unwrap();
    let metadata = reader.metadata().file_metadata().key_value_metadata().cloned();
    let properties = WriterProperties::builder()
        .set_key_value_metadata(metadata)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_dictionary_enabled(false)
        .build();
    let with_text = |batch: RecordBatch| {
        let mut text = || (0..TEXT_BYTES).map(|_| char::from(rng.random_range(b' '..b'~'))).collect::<String>();
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..batch.num_rows()).map(|_| text())));
        let (mut fields, mut columns) = (batch.schema().fields().to_vec(), batch.columns().to_vec());
        fields.insert(20, Arc::new(Field::new("large_text", DataType::Utf8, false)));
        columns.insert(20, texts);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    };
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).map(with_text).collect();
    let mut large = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut large, batches[0].schema(), Some(properties)).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
    large
}

#[test]
fn a_report_reads_no_more_of_a_large_file_than_the_columns_that_it_needs() {
    let [local, lake] = [(); 2].map(|()| World::new(tiny()));
    let store = Server::start(Condition::Kept, calm());
    local.out(EXPORT);
    let files = local.files("quality");
    let mut bytes = 0;
    for (name, content) in files {
        let large = with_large_texts(&content);
        bytes += large.len() as u64;
        fs::write(local.path("quality").join(&name), &large).unwrap();
        store.put(&format!("lake/vcq/quality/{name}"), &large);
    }
    store.meet(calm());
    let report = out(&lake, &store, "report --json");
    assert_eq!(report, local.out("report --json"));
    assert!(report.len() > 1000, "{report}");
    let read_bytes = store.read_bytes();
    assert!(read_bytes < bytes / 2, "{read_bytes} of {bytes} bytes were read");
}
