//! Descriptors of the kinds of operator state.

use crate::backend::operator::Redistribution;
use crate::format::{Bincode, ValueCodec};
use serde::{Serialize, de::DeserializeOwned};
use std::marker::PhantomData;
use std::sync::Arc;

/// Describes a list of elements `E` per subtask.
pub struct OperatorListDescriptor<E> {
    pub(crate) name: String,
    pub(crate) redistribution: Redistribution,
    pub(crate) codec: Arc<dyn ValueCodec<E>>,
}

impl<E: Serialize + DeserializeOwned + 'static> OperatorListDescriptor<E> {
    /// A list called `name` that is dealt out on restore; elements are written by [`Bincode`].
    pub fn split(name: impl Into<String>) -> Self {
        Self::with_codec(name, Redistribution::Split, Bincode)
    }

    /// A list called `name` of which every subtask gets all elements on restore; they are written by
    /// [`Bincode`].
    pub fn union(name: impl Into<String>) -> Self {
        Self::with_codec(name, Redistribution::Union, Bincode)
    }
}

impl<E> OperatorListDescriptor<E> {
    /// A list called `name` whose elements are written by `codec`.
    pub fn with_codec(
        name: impl Into<String>,
        redistribution: Redistribution,
        codec: impl ValueCodec<E> + 'static,
    ) -> Self {
        Self { name: name.into(), redistribution, codec: Arc::new(codec) }
    }
}

/// Describes a map from `UK` to `V` that every subtask holds alike.
pub struct BroadcastDescriptor<UK, V> {
    pub(crate) name: String,
    pub(crate) codec: Arc<dyn ValueCodec<V>>,
    types: PhantomData<fn(UK)>,
}

impl<UK, V: Serialize + DeserializeOwned + 'static> BroadcastDescriptor<UK, V> {
    /// A broadcast state called `name`; values are written by [`Bincode`].
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_codec(name, Bincode)
    }
}

impl<UK, V> BroadcastDescriptor<UK, V> {
    /// A broadcast state called `name` whose values are written by `codec`.
    pub fn with_codec(name: impl Into<String>, codec: impl ValueCodec<V> + 'static) -> Self {
        Self { name: name.into(), codec: Arc::new(codec), types: PhantomData }
    }
}
