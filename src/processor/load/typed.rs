//! Entries of a program's own types, by the descriptors that it opens its states with.

use super::Template;
use crate::backend::operator::OperatorDescriptor;
use crate::format::manifest::{StateInfo, TypeInfo};
use crate::format::{FormatError, Key, Result as Encoding, list};
use crate::state::{
    Aggregate, AggregatingDescriptor, BroadcastDescriptor, Described, ListDescriptor,
    MapDescriptor, OperatorListDescriptor, ReducingDescriptor, TimerDescriptor, TtlDescriptor,
    ValueDescriptor, key_info,
};
use crate::{Error, ErrorKind, Result};

/// A state of a [`Bootstrap`](super::Bootstrap), opened by a descriptor.
pub struct OpenState<'t, 'd, D> {
    pub(super) template: &'t Template,
    pub(super) descriptor: &'d D,
    /// Its place among the states of the template.
    pub(super) at: usize,
}

/// The encoded parts of an entry. An element of a list of operator state has no key: that is its position.
#[derive(Debug, Default)]
pub struct Parts {
    pub(super) key: Vec<u8>,
    pub(super) namespace: Vec<u8>,
    pub(super) user_key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl Parts {
    pub(super) fn clear(&mut self) {
        let Self { key, namespace, user_key, value } = self;
        [key, namespace, user_key, value].into_iter().for_each(Vec::clear);
    }
}

/// A descriptor whose entries a program can give as its own types: each one of the module [`state`](crate::state).
pub trait TypedState: sealed::Sealed {
    /// An entry; a namespace is `()` where there is none.
    ///
    /// `(key, namespace, value)` of value, reducing and aggregating state, which is the accumulator; `(key, namespace,
    /// elements)` of a list; `(key, namespace, user key, value)` of an entry of a map; `(key, namespace, time in ms)` of
    /// a timer; an element of an operator's list; `(user key, value)` of broadcast state. Of state with TTL a pair of
    /// that and its [`Times`](Self::Times).
    type Entry;
    /// The time of the last update, in ms; of a list those of its elements.
    type Times;

    /// The type of the operator's keys, and what a manifest says of the state.
    #[doc(hidden)]
    fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)>;

    /// Appends the parts of an entry, with its times if it has some.
    #[doc(hidden)]
    fn encode(
        &self,
        entry: &Self::Entry,
        times: Option<&Self::Times>,
        to: &mut Parts,
    ) -> Encoding<()>;
}

mod sealed {
    use super::*;

    pub trait Sealed {}
    impl<K, V, N> Sealed for ValueDescriptor<K, V, N> {}
    impl<K, V, N> Sealed for ReducingDescriptor<K, V, N> {}
    impl<K, A: Aggregate, N> Sealed for AggregatingDescriptor<K, A, N> {}
    impl<K, E, N> Sealed for ListDescriptor<K, E, N> {}
    impl<K, UK, V, N> Sealed for MapDescriptor<K, UK, V, N> {}
    impl<K, N> Sealed for TimerDescriptor<K, N> {}
    impl<D> Sealed for TtlDescriptor<D> {}
    impl<E> Sealed for OperatorListDescriptor<E> {}
    impl<UK, V> Sealed for BroadcastDescriptor<UK, V> {}
}

/// What a descriptor of keyed state says of its types.
fn keyed<D: Described>(descriptor: &D) -> Result<(Option<TypeInfo>, StateInfo)> {
    Ok((Some(key_info::<D::Key>()?), descriptor.info(0)?))
}

fn address<K: Key, N: Key>(key: &K, namespace: &N, to: &mut Parts) {
    key.encode_into(&mut to.key);
    namespace.encode_into(&mut to.namespace);
}

fn timed(time_ms: Option<&i64>, out: &mut Vec<u8>) {
    if let Some(time_ms) = time_ms {
        time_ms.encode_into(out);
    }
}

macro_rules! single_value {
    ($descriptor:ident<$k:ident, $v:ident, $n:ident>, $value:ty, $($bound:tt)*) => {
        impl<$k: Key, $v $($bound)*, $n: Key> TypedState for $descriptor<$k, $v, $n> {
            type Entry = ($k, $n, $value);
            type Times = i64;

            fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)> {
                keyed(self)
            }

            fn encode(
                &self,
                (key, namespace, value): &Self::Entry,
                time_ms: Option<&i64>,
                to: &mut Parts,
            ) -> Encoding<()> {
                address(key, namespace, to);
                timed(time_ms, &mut to.value);
                self.codec.encode(value, &mut to.value)
            }
        }
    };
}

single_value!(ValueDescriptor<K, V, N>, V,);
single_value!(ReducingDescriptor<K, V, N>, V,);
single_value!(AggregatingDescriptor<K, A, N>, A::Accumulator, : Aggregate);

impl<K: Key, E, N: Key> TypedState for ListDescriptor<K, E, N> {
    type Entry = (K, N, Vec<E>);
    type Times = Vec<i64>;

    fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)> {
        keyed(self)
    }

    fn encode(
        &self,
        (key, namespace, elements): &Self::Entry,
        times_ms: Option<&Vec<i64>>,
        to: &mut Parts,
    ) -> Encoding<()> {
        address(key, namespace, to);
        let invalid = |message: String| Err(FormatError::invalid("list", message));
        if elements.is_empty() {
            return invalid("one without elements is no entry: leave it out".to_owned());
        }
        if let Some(times) = times_ms.map(Vec::len).filter(|times| *times != elements.len()) {
            return invalid(format!("{times} times of {} elements", elements.len()));
        }
        let mut times_ms = times_ms.into_iter().flatten();
        elements.iter().try_for_each(|element| {
            list::put_element(&mut to.value, |out| {
                timed(times_ms.next(), out);
                self.codec.encode(element, out)
            })
        })
    }
}

impl<K: Key, UK: Key, V, N: Key> TypedState for MapDescriptor<K, UK, V, N> {
    type Entry = (K, N, UK, V);
    type Times = i64;

    fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)> {
        keyed(self)
    }

    fn encode(
        &self,
        (key, namespace, user_key, value): &Self::Entry,
        time_ms: Option<&i64>,
        to: &mut Parts,
    ) -> Encoding<()> {
        address(key, namespace, to);
        user_key.encode_into(&mut to.user_key);
        timed(time_ms, &mut to.value);
        self.codec.encode(value, &mut to.value)
    }
}

impl<K: Key, N: Key> TypedState for TimerDescriptor<K, N> {
    type Entry = (K, N, i64);
    type Times = ();

    fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)> {
        keyed(self)
    }

    fn encode(
        &self,
        (key, namespace, time_ms): &Self::Entry,
        _: Option<&()>,
        to: &mut Parts,
    ) -> Encoding<()> {
        address(key, namespace, to);
        time_ms.encode_into(&mut to.user_key);
        Ok(())
    }
}

impl<D: TypedState> TypedState for TtlDescriptor<D> {
    type Entry = (D::Entry, D::Times);
    type Times = ();

    fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)> {
        let (key, info) = self.descriptor.types()?;
        Ok((key, StateInfo { ttl: Some(self.config.ttl()), ..info }))
    }

    fn encode(&self, (entry, times): &Self::Entry, _: Option<&()>, to: &mut Parts) -> Encoding<()> {
        self.descriptor.encode(entry, Some(times), to)
    }
}

impl<E: Clone + Send + Sync + 'static> TypedState for OperatorListDescriptor<E> {
    type Entry = E;
    type Times = ();

    fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)> {
        Ok((None, self.info(0)?))
    }

    fn encode(&self, element: &E, _: Option<&()>, to: &mut Parts) -> Encoding<()> {
        self.codec.encode(element, &mut to.value)
    }
}

impl<UK: Key, V: Clone + Send + Sync + 'static> TypedState for BroadcastDescriptor<UK, V> {
    type Entry = (UK, V);
    type Times = ();

    fn types(&self) -> Result<(Option<TypeInfo>, StateInfo)> {
        Ok((None, self.info(0)?))
    }

    fn encode(&self, (key, value): &(UK, V), _: Option<&()>, to: &mut Parts) -> Encoding<()> {
        key.encode_into(&mut to.key);
        self.codec.encode(value, &mut to.value)
    }
}

/// That `asked`, of keys of the type `key`, is just what `there` says, keys being of the type `there_key`.
///
/// # Errors
/// `Incompatible`, naming the difference.
pub(super) fn check(
    (key, asked): (Option<&TypeInfo>, &StateInfo),
    (there_key, there): (Option<&TypeInfo>, &StateInfo),
) -> Result<()> {
    let type_of = |info: Option<&TypeInfo>| info.map_or("none".to_owned(), TypeInfo::to_string);
    let ttl = |info: &StateInfo| if info.ttl.is_some() { "there" } else { "none" }.to_owned();
    let both = |what, of: fn(&StateInfo) -> Option<&TypeInfo>| {
        (what, type_of(of(there)), type_of(of(asked)))
    };
    let all = [
        ("the kind", there.kind.to_string(), asked.kind.to_string()),
        ("TTL", ttl(there), ttl(asked)),
        // Operators of which no state is keyed have no keys.
        ("the type of keys", type_of(key.and(there_key)), type_of(key)),
        both("the type of namespaces", |info| info.namespace.as_ref()),
        both("the type of user keys", |info| info.user_key.as_ref()),
        both("the type of values", |info| info.value.as_ref()),
    ];
    match all.into_iter().find(|(_, was, is)| was != is) {
        None => Ok(()),
        Some((what, was, is)) => {
            let name = &asked.name;
            let message = format!("state={name}: {what} is {was} in the template, not {is}");
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}
