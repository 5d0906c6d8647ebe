//! Runs several jobs at the same time.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Calls `work` for each of `items`, with up to `workers` calls at the same time. Calls start in the order of the
/// items. Results are returned in the order in which the calls finish. All calls run, even if one fails.
pub(crate) fn each<T: Send, R: Send>(
    workers: usize,
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let left = Mutex::new(items.into_iter());
    let done = Mutex::new(Vec::new());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(item) = next() {
                    let outcome = work(item);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::each;
    use std::sync::Barrier;

    #[test]
    fn each_item_is_processed_once() {
        let mut done = each(2, 0..100, |n| n * 2);
        done.sort_unstable();
        assert_eq!(done, (0..100).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn runs_as_many_items_as_workers() {
        // None of the three calls continues before all three have started.
        let all = Barrier::new(3);
        assert_eq!(each(3, 0..3, |_| all.wait().is_leader()).len(), 3);
    }
}
