//! A walk over the entries of all maps a few at a time, while they are written.

use super::MapState;
use super::body::Kind;
use super::view::MapView;
use crate::backend::heap::address::Address;
use crate::backend::heap::table::Cursor;
use esker_format::Key;

/// How far such a walk has come.
pub(in crate::backend::heap) struct MapCursor<K, N> {
    maps: Cursor,
    /// A large map, and how far the walk has come in it.
    within: Option<(K, N, Cursor)>,
}

impl<K, N> Default for MapCursor<K, N> {
    fn default() -> Self {
        Self { maps: Cursor::default(), within: None }
    }
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> MapState<K, N, U, V> {
    /// Calls `f` with the next entries behind `cursor`, and moves it on; behind the last one it
    /// starts anew. About `limit` entries are looked at: a small map is not left half done.
    pub(in crate::backend::heap) fn visit(
        &self,
        cursor: &mut MapCursor<K, N>,
        limit: usize,
        mut f: impl FnMut(&K, &N, &U, &V),
    ) {
        let mut left = limit;
        while left > 0 {
            let mut met = 0;
            if let Some((key, namespace, mut inner)) = cursor.within.take() {
                // It may be gone, or another map by now; then the walk goes on with the next one.
                let address = Address { key: key.clone(), namespace: namespace.clone() };
                let body = self.table.get(&address).map(|body| &body.kind);
                if let Some(Kind::Large(table, _)) = body {
                    table.table().visit(&mut inner, left, |user_key, value| {
                        f(&key, &namespace, &user_key.0, value);
                        met += 1;
                    });
                    if inner != Cursor::default() {
                        cursor.within = Some((key, namespace, inner));
                        return;
                    }
                }
            } else {
                let within = &mut cursor.within;
                self.table.visit(&mut cursor.maps, 1, |address, body| match &body.kind {
                    Kind::Large(..) => {
                        let (key, namespace) = (address.key.clone(), address.namespace.clone());
                        *within = Some((key, namespace, Cursor::default()));
                    }
                    Kind::Small(_) => {
                        for (user_key, value) in MapView::new(Some(&**body)).iter() {
                            f(&address.key, &address.namespace, user_key, value);
                            met += 1;
                        }
                    }
                });
            }
            if cursor.maps == Cursor::default() && cursor.within.is_none() {
                return;
            }
            left = left.saturating_sub(met.max(1));
        }
    }
}
