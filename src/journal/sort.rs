//! Sorting more records than fit in memory: sorted runs in a file, merged as they are read.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, binary_heap::PeekMut},
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    mem,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    rc::Rc,
};

/// Records sorted in memory before they are written as one run; and what all runs together are read through.
const RUN_BYTES: usize = 16 * 1024 * 1024;

/// The least of a run that is read at a time, however many runs there are.
const READ_BYTES_MIN: usize = 4 * 1024;

/// Bytes before each record that say how long it is.
const PREFIX_BYTES: usize = size_of::<u32>();

/// Takes records in, in any order.
pub(super) struct Sorter {
    /// Has no name: it ends with the process.
    file: File,
    file_bytes: u64,
    runs: Vec<Range<u64>>,
    /// Records of the next run, each after its length.
    records: Vec<u8>,
    /// Where each of them begins, behind its first bytes, which decide most comparisons.
    order: Vec<(u64, usize)>,
}

impl Sorter {
    /// Begins to sort, through a file in `folder`.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Self { file, file_bytes: 0, runs: Vec::new(), records: Vec::new(), order: Vec::new() })
    }

    /// Takes one record in.
    pub(super) fn push(&mut self, record: &[u8]) -> io::Result<()> {
        if self.records.len() + PREFIX_BYTES + record.len() > RUN_BYTES {
            self.write_run()?;
        }
        let bytes = u32::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.order.push((first_bytes(record), self.records.len()));
        self.records.extend_from_slice(&bytes.to_le_bytes());
        self.records.extend_from_slice(record);
        Ok(())
    }

    /// The records in the order of their bytes.
    pub(super) fn finish(mut self) -> io::Result<Sorted> {
        self.write_run()?;
        let read_bytes = (RUN_BYTES / self.runs.len().max(1)).max(READ_BYTES_MIN);
        let file = Rc::new(self.file);
        let mut heads = BinaryHeap::new();
        for run in self.runs {
            let section = Section { file: Rc::clone(&file), rest: run };
            let mut head = Head { record: Vec::new(), run: BufReader::with_capacity(read_bytes, section) };
            if head.advance()? {
                heads.push(Reverse(head));
            }
        }
        Ok(Sorted { heads, record: Vec::new() })
    }

    fn write_run(&mut self) -> io::Result<()> {
        let records = mem::take(&mut self.records);
        let record = |at: usize| framed(&records[at..]).1;
        self.order.sort_unstable_by(|(a_first, a), (b_first, b)| {
            a_first.cmp(b_first).then_with(|| record(*a).cmp(record(*b)))
        });
        let mut writer = io::BufWriter::with_capacity(64 * 1024, &self.file);
        for (_, at) in self.order.drain(..) {
            writer.write_all(framed(&records[at..]).0)?;
        }
        writer.flush()?;
        drop(writer);
        let begin = self.file_bytes;
        self.file_bytes += records.len() as u64;
        self.runs.push(begin..self.file_bytes);
        self.records = records;
        self.records.clear();
        Ok(())
    }
}

/// Sorted records, read one after the other.
pub(super) struct Sorted {
    heads: BinaryHeap<Reverse<Head>>,
    record: Vec<u8>,
}

impl Sorted {
    /// The next record; equal ones follow each other.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(mut first) = self.heads.peek_mut() else { return Ok(None) };
        mem::swap(&mut self.record, &mut first.0.record);
        if !first.0.advance()? {
            PeekMut::pop(first);
        }
        Ok(Some(&self.record))
    }
}

/// The smallest record of a run that is still to come, and the rest of the run.
struct Head {
    record: Vec<u8>,
    run: BufReader<Section>,
}

impl Head {
    /// Goes to the run's next record; false if it has ended.
    fn advance(&mut self) -> io::Result<bool> {
        if self.run.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut prefix = [0; PREFIX_BYTES];
        self.run.read_exact(&mut prefix)?;
        self.record.resize(u32::from_le_bytes(prefix) as usize, 0);
        self.run.read_exact(&mut self.record)?;
        Ok(true)
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.record == other.record
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.record.cmp(&other.record)
    }
}

/// A part of a file.
struct Section {
    file: Rc<File>,
    rest: Range<u64>,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let bytes = left.min(buffer.len());
        let count = self.file.read_at(&mut buffer[..bytes], self.rest.start)?;
        self.rest.start += count as u64;
        Ok(count)
    }
}

/// The first record of `records`, with its length before it and without.
fn framed(records: &[u8]) -> (&[u8], &[u8]) {
    let (prefix, rest) = records.split_first_chunk().expect("a length stands before each record");
    let bytes = u32::from_le_bytes(*prefix) as usize;
    (&records[..PREFIX_BYTES + bytes], &rest[..bytes])
}

/// The first eight bytes as a number that sorts as they do; a shorter record sorts before those that it begins.
fn first_bytes(record: &[u8]) -> u64 {
    let mut first = [0; size_of::<u64>()];
    let bytes = record.len().min(first.len());
    first[..bytes].copy_from_slice(&record[..bytes]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn sorted(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path()).unwrap();
        for record in records {
            sorter.push(record).unwrap();
        }
        let mut in_order = sorter.finish().unwrap();
        let mut all = Vec::new();
        while let Some(record) = in_order.next().unwrap() {
            all.push(record.to_vec());
        }
        all
    }

    proptest! {
        /// Texts that begin alike, are empty, or differ only behind the bytes that decide most comparisons.
        #[test]
        fn records_come_back_in_the_order_of_their_bytes(mut records in vec("[ab]{0,12}", 0..40)) {
            let given: Vec<Vec<u8>> = records.iter().map(|text| text.clone().into_bytes()).collect();
            records.sort();
            let expected: Vec<Vec<u8>> = records.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(sorted(&given), expected);
        }
    }

    #[test]
    fn several_runs_are_merged() {
        let record = |n: u32| [n.wrapping_mul(2_654_435_761).to_be_bytes().to_vec(), vec![7; 100_000]].concat();
        let mut records: Vec<Vec<u8>> = (0..500).map(record).collect();
        assert!(records.len() * records[0].len() > 2 * RUN_BYTES);
        let given = records.clone();
        records.sort();
        assert!(sorted(&given) == records);
    }
}
