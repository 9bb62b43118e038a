//! A value with the time of its last update.

use esker_format::manifest::TypeInfo;
use esker_format::{CodecId, FormatError, Key, Migration, Result, Schema, ValueCodec};

/// A value, and when it was last updated, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed<V> {
    /// When it was last updated.
    pub time_ms: i64,
    /// The value.
    pub value: V,
}

/// The time (`i64` big-endian, the sign bit flipped), then the value as `C` writes it. Id and schema
/// are those of `C`: that a time comes first stands in the `ttl` of a state in the manifest.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimedCodec<C>(pub C);

impl<V: 'static, C: ValueCodec<V>> ValueCodec<Timed<V>> for TimedCodec<C> {
    fn id(&self) -> CodecId {
        self.0.id()
    }

    fn schema(&self) -> Result<Schema> {
        self.0.schema()
    }

    fn encode(&self, timed: &Timed<V>, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        timed.time_ms.encode_into(out);
        self.0.encode(&timed.value, out).inspect_err(|_| out.truncate(start))
    }

    fn decode(&self, bytes: &[u8]) -> Result<Timed<V>> {
        let (time_ms, bytes) = split(bytes)?;
        Ok(Timed { time_ms, value: self.0.decode(bytes)? })
    }

    fn migration(&self, stored: &TypeInfo) -> Result<Option<Migration<Timed<V>>>> {
        let Some(migrate) = self.0.migration(stored)? else { return Ok(None) };
        Ok(Some(Box::new(move |bytes| {
            let (time_ms, bytes) = split(bytes)?;
            Ok(Timed { time_ms, value: migrate(bytes)? })
        })))
    }
}

/// The time in front of `bytes`, if there are enough for one.
pub(in crate::backend) fn time_of(bytes: &[u8]) -> Option<i64> {
    split(bytes).ok().map(|(time_ms, _)| time_ms)
}

/// The time in front of `bytes`, and what follows it.
fn split(bytes: &[u8]) -> Result<(i64, &[u8])> {
    let (time, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| {
        FormatError::corrupt("value with TTL", format!("no time in {} bytes", bytes.len()))
    })?;
    Ok((i64::decode(time)?, rest))
}
