//! Several calls at once, of which none is in flight once they are answered for.

use futures::stream::{FuturesUnordered, Stream, StreamExt};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// What all of `calls` return, at most `at_once` of them under way. After the first error none is
/// begun, and those that were are waited for: a write that is dropped goes on in the background, and
/// would leave its file behind whoever then cleans up.
///
/// # Errors
/// The first.
pub(crate) async fn ended<T, E, F>(
    calls: impl Stream<Item = F>,
    at_once: usize,
) -> std::result::Result<Vec<T>, E>
where
    F: Future<Output = std::result::Result<T, E>>,
{
    let mut calls = pin!(calls.fuse());
    let mut under_way = FuturesUnordered::new();
    let (mut done, mut first) = (Vec::new(), None);
    loop {
        let next = poll_fn(|context| {
            let mut has_more = first.is_none();
            while has_more && under_way.len() < at_once {
                match calls.as_mut().poll_next(context) {
                    Poll::Ready(Some(call)) => under_way.push(call),
                    Poll::Ready(None) => has_more = false,
                    Poll::Pending => break,
                }
            }
            match under_way.poll_next_unpin(context) {
                Poll::Ready(None) if has_more => Poll::Pending,
                polled => polled,
            }
        });
        match next.await {
            Some(Ok(value)) => done.push(value),
            Some(Err(error)) => {
                first.get_or_insert(error);
            }
            None => return first.map_or(Ok(done), Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ended;
    use futures::executor::block_on;
    use futures::stream;
    use std::cell::RefCell;

    /// A call of number `number` that is pending `number` times.
    async fn call(number: u32, log: &RefCell<Vec<u32>>, fails: u32) -> Result<u32, u32> {
        for _ in 0..number {
            let mut woken = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                match std::mem::replace(&mut woken, true) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            })
            .await;
        }
        log.borrow_mut().push(number);
        if number == fails { Err(number) } else { Ok(number) }
    }

    #[test]
    fn after_an_error_what_was_begun_ends_and_nothing_else_begins() {
        let log = RefCell::default();
        let calls = stream::iter((1..10).map(|number| call(number, &log, 1)));
        assert_eq!(block_on(ended(calls, 3)), Err(1));
        assert_eq!(*log.borrow(), [1, 2, 3], "numbers 2 and 3 were under way");
    }

    #[test]
    fn without_an_error_all_are_there() {
        let log = RefCell::default();
        let calls = stream::iter((1..10).map(|number| call(number, &log, 0)));
        let mut done = block_on(ended(calls, 3)).unwrap();
        done.sort_unstable();
        assert_eq!(done, (1..10).collect::<Vec<_>>());
    }
}
