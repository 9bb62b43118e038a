//! What reducing and aggregating state need of the values that they are built on.

use super::state::KeyedState;
use super::value::ValueState;
use crate::Result;
use esker_format::Key;

/// One value per key and namespace, with TTL or without.
pub trait ValueAccess<K, N, V>: KeyedState + Sized {
    /// Lets `f` read the value in place. A read may renew the time of a value with TTL.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    fn read<R>(&mut self, key: &K, namespace: &N, f: impl FnOnce(Option<&V>) -> R) -> Result<R>;

    /// Reads, changes, sets or removes the value in one look-up.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn change<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R>;
}

impl<K, N, V> ValueAccess<K, N, V> for ValueState<K, N, V>
where
    K: Key,
    N: Key,
    V: Clone + Send + Sync + 'static,
{
    fn read<R>(&mut self, key: &K, namespace: &N, f: impl FnOnce(Option<&V>) -> R) -> Result<R> {
        self.get_with(key, namespace, f)
    }

    fn change<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R> {
        self.rmw(key, namespace, f)
    }
}

/// Forwards [`KeyedState`] to the values that a state is built on.
macro_rules! keyed_by_values {
    ($values:ident) => {
        fn capture_state(&mut self) -> std::sync::Arc<dyn $crate::backend::StateCapture> {
            self.$values.capture_state()
        }

        fn captured_at(&mut self, time_ms: i64) {
            self.$values.captured_at(time_ms);
        }

        fn begin_restore(
            &mut self,
            stored: &esker_format::manifest::StateInfo,
        ) -> $crate::Result<()> {
            self.$values.begin_restore(stored)
        }

        fn apply(&mut self, entry: esker_format::run::Entry<'_>) -> $crate::Result<()> {
            KeyedState::apply(&mut self.$values, entry)
        }

        fn end_restore(&mut self) {
            self.$values.end_restore();
        }

        fn entries(&self) -> u64 {
            self.$values.entries()
        }

        fn set_time_ms(&mut self, now_ms: i64) {
            self.$values.set_time_ms(now_ms);
        }
    };
}
pub(super) use keyed_by_values;
