//! Many trials, several at a time.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// How many trials go on at a time: they wait for disks, for servers and for a second of throttling.
const AT_A_TIME: usize = 4;

/// Hands each item to `trial`, on several threads.
pub(crate) fn each<T: Sync>(items: &[T], trial: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    trial(item);
                }
            });
        }
    });
}
