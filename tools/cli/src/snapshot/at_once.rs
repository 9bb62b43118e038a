//! Work on as many threads as there are processors.

use esker::Error;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What `work` returns for each of `items`, in their order; they are begun in that order, one for each
/// processor at once. After the first error none is begun.
///
/// # Errors
/// The first in order of `items`, of those that were begun.
pub(super) fn at_once<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(items.len());
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let worker = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { break };
            let result = work(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((number, result));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(found) => done.extend(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::at_once;
    use esker::{Error, ErrorKind};
    use std::sync::Mutex;

    #[test]
    fn results_are_in_the_order_of_what_they_are_of() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = at_once(&items, |item| Ok(item * 2)).unwrap();
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(at_once(&[], |item: &u32| Ok(*item)).unwrap(), Vec::<u32>::new());
    }

    #[test]
    fn the_first_error_is_told_and_little_begun_behind_it() {
        let items: Vec<usize> = (0..100_000).collect();
        let begun = Mutex::new(0);
        let failed = at_once(&items, |item| {
            *begun.lock().unwrap() += 1;
            match item {
                0..5 => Ok(()),
                _ => Err(Error::new(ErrorKind::Retry, item.to_string())),
            }
        });
        assert!(failed.unwrap_err().to_string().contains('5'));
        assert!(*begun.lock().unwrap() < items.len());
    }
}
