//! Work on several things at once, on a bounded number of threads.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does the work on each item, on at most so many threads. With one thread in order, and on this one.
///
/// # Panics
/// If the work does.
pub(crate) fn side_by_side<T: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) + Sync) {
    if threads <= 1 || items.len() <= 1 {
        items.into_iter().for_each(work);
        return;
    }
    let threads = threads.min(items.len());
    let queue = Mutex::new(items.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = next() {
                    work(item);
                }
            });
        }
    });
}
