//! Serializer snapshots: what wrote keys and values, and how its bytes are read without it.

use crate::{FormatError, Input, Result, Schema, Value};

/// A serializer, as a snapshot records it.
#[derive(Debug, Clone, PartialEq)]
pub struct Serializer {}

fn unfinished<T>() -> Result<T> {
    Err(FormatError::invalid("serializer", "not written yet"))
}

impl Serializer {
    /// Reads a serializer snapshot with the envelope of the top level (`i32 2`, then the snapshot).
    ///
    /// # Errors
    /// `Corrupt`; `UnsupportedVersion` naming the class of one whose body cannot be read.
    pub fn read_wrapped(_input: &mut Input<'_>) -> Result<Self> {
        unfinished()
    }

    /// Reads one without that envelope.
    ///
    /// # Errors
    /// As for [`read_wrapped`](Self::read_wrapped).
    pub fn read(_input: &mut Input<'_>) -> Result<Self> {
        unfinished()
    }

    /// Appends the snapshot as it was read, with the envelope.
    pub fn write_wrapped(&self, _out: &mut Vec<u8>) {}

    /// Appends it without the envelope.
    pub fn write(&self, _out: &mut Vec<u8>) {}

    /// What Java's `getLength()` says: the bytes that every value takes; `None` where they differ.
    pub fn length(&self) -> Option<usize> {
        None
    }

    /// The class of what makes values unreadable, wherever in them it stands; `None` if all can be read.
    pub fn opaque(&self) -> Option<&str> {
        None
    }

    /// The element of a list.
    pub fn element(&self) -> Option<&Self> {
        None
    }

    /// The key and value of a map.
    pub fn entry(&self) -> Option<(&Self, &Self)> {
        None
    }

    /// What a TTL serializer wraps.
    pub fn without_ttl(&self) -> Option<&Self> {
        None
    }

    /// The key and the namespace of a timer.
    pub fn timer(&self) -> Option<(&Self, &Self)> {
        None
    }

    /// Reads past a value.
    ///
    /// # Errors
    /// `Corrupt`; `Incompatible` if it is [opaque](Self::opaque).
    pub fn skip(&self, _input: &mut Input<'_>) -> Result<()> {
        unfinished()
    }

    /// Reads a value.
    ///
    /// # Errors
    /// As for [`skip`](Self::skip).
    pub fn decode(&self, _input: &mut Input<'_>) -> Result<Value> {
        unfinished()
    }

    /// Reads a value and appends its canonical JSON: the same as that of [`decode`](Self::decode), without the tree.
    ///
    /// # Errors
    /// As for [`skip`](Self::skip).
    pub fn write_json(&self, _input: &mut Input<'_>, _out: &mut String) -> Result<()> {
        unfinished()
    }

    /// Appends `value`, one of [`schema`](Self::schema), as the serializer does.
    ///
    /// # Errors
    /// `Invalid` if it is no such value.
    pub fn encode(&self, _value: &Value, _out: &mut Vec<u8>) -> Result<()> {
        unfinished()
    }

    /// Java's `hashCode()` of `value`.
    ///
    /// # Errors
    /// `Incompatible` where the class decides it.
    pub fn hash(&self, _value: &Value) -> Result<i32> {
        unfinished()
    }

    /// The shape of its values.
    pub fn schema(&self) -> Schema {
        Schema::Unit
    }
}
