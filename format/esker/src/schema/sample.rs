//! A sample through schema and codec, once, when a state is opened.

use super::{Schema, Value, decode_value, encode_value, migrate};
use crate::codec::ValueCodec;
use crate::{FormatError, FormatErrorKind, Result};
use serde::de::DeserializeOwned;

/// Whether `schema` says what `codec` writes: `sample` is encoded, decoded by the schema alone,
/// written again, and read into the type by name.
///
/// # Errors
/// `Incompatible`, with the type's name and what differed.
pub fn check_sample<T, C>(schema: &Schema, codec: &C, sample: &T) -> Result<()>
where
    T: DeserializeOwned,
    C: ValueCodec<T> + ?Sized,
{
    let refuse = |why: String| {
        let message = format!("type={}: {why}", std::any::type_name::<T>());
        FormatError::new(FormatErrorKind::Incompatible, "sample", message)
    };
    if matches!(schema, Schema::Opaque { .. }) {
        return Ok(());
    }
    let id = codec.id();
    let mut bytes = Vec::new();
    codec.encode(sample, &mut bytes).map_err(|e| refuse(e.message))?;
    let value = decode_value(&id, schema, &bytes)
        .map_err(|e| refuse(format!("the schema does not read what the codec writes: {e}")))?;
    // Sets and maps come out in another order, so bytes are compared once they are canonical.
    let canonical = encode_value(&id, schema, &value)?;
    if canonical.len() != bytes.len() {
        return Err(refuse("the schema does not write what the codec writes".into()));
    }
    let again: T = migrate(&id, schema, &bytes)
        .map_err(|e| refuse(format!("the value cannot be read back by name: {e}")))?;
    bytes.clear();
    codec.encode(&again, &mut bytes)?;
    let value: Value = decode_value(&id, schema, &bytes)?;
    if encode_value(&id, schema, &value)? != canonical {
        return Err(refuse("the value read back by name is another one".into()));
    }
    Ok(())
}
