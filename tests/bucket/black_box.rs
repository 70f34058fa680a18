//! The same against a store that others wrote.

use vcq::store::{Store, Trust, disk::DiskError};

use crate::{NAME, date, moto::Moto, publish, store_at};

fn digests(store: &Store) -> [[u8; 32]; 2] {
    [Trust::Kept, Trust::Bytes].map(|trust| store.sha256(date(), NAME, trust).unwrap().unwrap())
}

#[test]
fn moto_is_put_to_listed_read_and_tried() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&moto.address, folder.path());
    let tried = store.try_out().unwrap().unwrap().to_string();
    assert!(tried.contains("puts a file only where there is none"), "{tried}");
    assert_eq!(publish(&store, b"a file").unwrap(), 6);
    assert_eq!(publish(&store, b"a file").unwrap(), 6, "the same bytes are no conflict");
    assert!(matches!(publish(&store, b"another").unwrap_err(), DiskError::Exists { .. }));
    let at_once = store.at_once().unwrap();
    assert_eq!(at_once.partitions().unwrap(), store.partitions().unwrap());
    assert_eq!(at_once.list(date()).unwrap(), store.list(date()).unwrap());
    assert_eq!(store.partitions().unwrap().dates, [date()]);
    let [kept, read] = digests(&store);
    assert_eq!(kept, read);
}

#[test]
fn moto_takes_a_large_file_in_parts() {
    let moto = Moto::start();
    let folder = tempfile::tempdir().unwrap();
    let store = store_at(&moto.address, folder.path());
    publish(&store, &vec![7; 20 * 1024 * 1024]).unwrap();
    let [kept, read] = digests(&store);
    assert_eq!(kept, read);
}
