//! Tuples of ordered keys: all components but the last delimit themselves.

use super::{CodecId, Key, OrderedKey};
use crate::{Result, Schema};

macro_rules! tuple {
    ($($first:ident $index:tt),*; $last:ident $last_index:tt) => {
        impl<$($first: OrderedKey,)* $last: OrderedKey> Key for ($($first,)* $last,) {
            fn encode_into(&self, out: &mut Vec<u8>) {
                $(self.$index.encode_component(out);)*
                self.$last_index.encode_into(out);
            }
            fn decode(mut bytes: &[u8]) -> Result<Self> {
                let rest = &mut bytes;
                Ok(($($first::decode_component(rest)?,)* $last::decode(rest)?,))
            }
            fn schema() -> Schema {
                Schema::Tuple(vec![$($first::schema(),)* $last::schema()])
            }
            fn codec() -> CodecId {
                CodecId::ORDERED
            }
        }

        impl<$($first: OrderedKey,)* $last: OrderedKey> OrderedKey for ($($first,)* $last,) {
            fn encode_component(&self, out: &mut Vec<u8>) {
                $(self.$index.encode_component(out);)*
                self.$last_index.encode_component(out);
            }
            fn decode_component(bytes: &mut &[u8]) -> Result<Self> {
                Ok(($($first::decode_component(bytes)?,)* $last::decode_component(bytes)?,))
            }
        }
    };
}

tuple!(; A 0);
tuple!(A 0; B 1);
tuple!(A 0, B 1; C 2);
tuple!(A 0, B 1, C 2; D 3);
