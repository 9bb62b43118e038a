//! Panics of somebody else's code, as errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread would be caught now and become an error: for a program's panic hook, which need
/// not print it then.
pub fn is_contained() -> bool {
    IS_CONTAINED.get()
}

/// Calls `f`, which reads bytes that anyone may have written by code that may panic at them. What it leaves
/// behind after a panic must not be used any more.
///
/// # Errors
/// What it panicked with.
pub(super) fn contained<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    let was_contained = IS_CONTAINED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(f));
    IS_CONTAINED.set(was_contained);
    done.map_err(|panic| text_of(&*panic))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it cannot be read".to_owned())
}
