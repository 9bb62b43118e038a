//! Panics that become errors are not printed.

use esker::processor::columnar::is_contained;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

/// From now on a panic is printed unless it is caught where Parquet is decoded, and told as damage.
pub(super) fn quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !is_contained() {
                before(panic);
            }
        }));
    });
}
