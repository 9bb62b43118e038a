//! Keys of `serde` types: bincode, where that is deterministic.

use super::Bincode;
use crate::Result;
use crate::schema::{Schema, trace};
use serde::{Serialize, de::DeserializeOwned};

/// Makes `serde` types keys, encoded by bincode.
///
/// The type needs `Clone + Eq + Hash + Serialize + Deserialize`. One that holds maps, sets or floats
/// is refused by [`Key::check`](crate::Key::check), as its bytes would not tell its identity.
#[macro_export]
macro_rules! bincode_key {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::Key for $type {
            fn encode_into(&self, out: &mut ::std::vec::Vec<u8>) {
                $crate::codec::bincode_key_encode(self, out);
            }
            fn decode(bytes: &[u8]) -> $crate::Result<Self> {
                $crate::codec::bincode_key_decode(bytes)
            }
            fn schema() -> $crate::Schema {
                $crate::codec::bincode_key_schema::<Self>()
            }
            fn codec() -> $crate::CodecId {
                $crate::CodecId::BINCODE2
            }
            fn check() -> $crate::Result<()> {
                $crate::codec::bincode_key_check::<Self>()
            }
        }
    )+};
}

/// The traced shape of a key type; opaque where it cannot be told.
#[doc(hidden)]
pub fn bincode_key_schema<T: Serialize + DeserializeOwned>() -> Schema {
    trace::<T>().unwrap_or_else(|_| Schema::Opaque { name: std::any::type_name::<T>().into() })
}

/// Encoding fails only for types whose `Serialize` fails, which tracing refuses. A field that is left out under a
/// condition that tracing did not meet makes bytes that are no such key: who reads them says so.
#[doc(hidden)]
pub fn bincode_key_encode<T: Serialize>(key: &T, out: &mut Vec<u8>) {
    let written = Bincode::write_as_is(key, out);
    debug_assert!(written.is_ok(), "a key cannot be encoded: {written:?}");
}

#[doc(hidden)]
pub fn bincode_key_decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Bincode::read(bytes)
}

#[doc(hidden)]
pub fn bincode_key_check<T: Serialize + DeserializeOwned>() -> Result<()> {
    trace::<T>()?.require_deterministic(std::any::type_name::<T>())
}
