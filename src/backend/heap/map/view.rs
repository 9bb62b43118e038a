//! Reading a map in place.

use super::body::{Body, Kind, UserKey};
use crate::backend::heap::table;
use esker_format::Key;

/// The entries of a map, in place.
pub struct MapView<'a, U: Key, V>(Option<&'a Body<U, V>>);

impl<U: Key, V> Clone for MapView<'_, U, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<U: Key, V> Copy for MapView<'_, U, V> {}

impl<'a, U: Key, V: Clone + Send + Sync + 'static> MapView<'a, U, V> {
    #[inline]
    pub(super) fn new(body: Option<&'a Body<U, V>>) -> Self {
        Self(body)
    }

    /// How many entries there are.
    pub fn len(self) -> usize {
        self.0.map_or(0, Body::len)
    }

    /// Whether there is no entry.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a user key.
    pub fn get(self, user_key: &U) -> Option<&'a V> {
        self.0?.get(user_key)
    }

    /// The entries, in an order that means nothing and may differ from one call to the next.
    pub fn iter(self) -> MapIter<'a, U, V> {
        MapIter(match self.0.map(|body| &body.kind) {
            None => IterKind::Small([].iter()),
            Some(Kind::Small(small)) => IterKind::Small(small.entries().iter()),
            Some(Kind::Large(table, _)) => IterKind::Large(table.table().iter()),
        })
    }
}

/// Iterator over the entries of a map.
pub struct MapIter<'a, U: Key, V>(IterKind<'a, U, V>);

enum IterKind<'a, U: Key, V> {
    Small(std::slice::Iter<'a, (U, V)>),
    Large(table::Iter<'a, UserKey<U>, V>),
}

impl<'a, U: Key, V> Iterator for MapIter<'a, U, V> {
    type Item = (&'a U, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            IterKind::Small(entries) => entries.next().map(|(k, v)| (k, v)),
            IterKind::Large(entries) => entries.next().map(|(k, v)| (&k.0, v)),
        }
    }

    fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
        match self.0 {
            IterKind::Small(entries) => entries.fold(init, |b, (k, v)| f(b, (k, v))),
            IterKind::Large(entries) => entries.fold(init, |b, (k, v)| f(b, (&k.0, v))),
        }
    }
}
