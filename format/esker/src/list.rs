//! List values: elements side by side (SPEC.md, "List values").
//!
//! `varint length, bytes` per element, for the put of a whole list and for an append alike. With
//! TTL an element's bytes begin with the time of its last update, which its length counts.

use crate::bytes::{Cursor, put_varint};
use crate::{FormatError, Result};

/// Appends an element to a list value; `encode` appends the element's own bytes.
///
/// # Errors
/// Those of `encode`; `out` is then as it was.
pub fn put_element(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let start = out.len();
    // Most elements are short: their length takes the one byte kept for it, and nothing moves.
    out.push(0);
    if let Err(error) = encode(out) {
        out.truncate(start);
        return Err(error);
    }
    let len = out.len() - start - 1;
    if len < 0x80 {
        out[start] = len as u8;
        return Ok(());
    }
    let mut prefix = Vec::with_capacity(10);
    put_varint(&mut prefix, len as u64);
    out.splice(start..=start, prefix);
    Ok(())
}

/// Appends an element that is encoded already.
pub fn put_encoded(out: &mut Vec<u8>, element: &[u8]) {
    put_varint(out, element.len() as u64);
    out.extend_from_slice(element);
}

/// The elements of a list value, in order; after an error there are no more.
pub fn elements(bytes: &[u8]) -> Elements<'_> {
    Elements { cursor: Cursor::new("list value", bytes), failed: false }
}

/// How many elements a list value has.
///
/// # Errors
/// `Corrupt` if it is none.
pub fn count(bytes: &[u8]) -> Result<u64> {
    elements(bytes).try_fold(0, |count, element| element.map(|_| count + 1))
}

/// Iterator over the bytes of each element of a list value.
pub struct Elements<'a> {
    cursor: Cursor<'a>,
    failed: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.cursor.is_empty() {
            return None;
        }
        let element = self.element();
        self.failed = element.is_err();
        Some(element)
    }
}

impl<'a> Elements<'a> {
    /// The next element, of which there is at least a byte.
    fn element(&mut self) -> std::result::Result<&'a [u8], FormatError> {
        let len = self.cursor.length(self.cursor.remaining())?;
        self.cursor.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = Vec<u8>> {
        // Lengths of one, two and three bytes.
        let len = prop_oneof![20 => 0..4_usize, 10 => 126..130_usize, 1 => Just(16_384_usize)];
        len.prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len))
    }

    fn put(list: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for one in list {
            put_element(&mut out, |out| {
                out.extend_from_slice(one);
                Ok(())
            })
            .unwrap();
        }
        out
    }

    proptest! {
        #[test]
        fn elements_round_trip(list in proptest::collection::vec(element(), 0..8)) {
            let bytes = put(&list);
            let back: Vec<_> = elements(&bytes).map(|one| one.unwrap().to_vec()).collect();
            prop_assert_eq!(&back, &list);
            prop_assert_eq!(count(&bytes).unwrap(), list.len() as u64);
            // Appends stand behind each other as lists do.
            let (first, rest) = list.split_at(list.len() / 2);
            prop_assert_eq!([put(first), put(rest)].concat(), bytes);
        }

        #[test]
        fn any_bytes_are_elements_or_one_error(
            bytes in proptest::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..40),
        ) {
            let all: Vec<_> = elements(&bytes).collect();
            prop_assert!(all.len() <= bytes.len());
            prop_assert!(all.iter().rev().skip(1).all(Result::is_ok), "nothing after an error");
        }
    }

    #[test]
    fn bytes_are_pinned() {
        assert_eq!(put(&[vec![7, 8], vec![], vec![9]]), [2, 7, 8, 0, 1, 9]);
        assert_eq!(put(&[vec![5; 200]])[..3], [200, 1, 5]);
    }

    #[test]
    fn an_element_that_cannot_be_encoded_leaves_nothing() {
        let mut out = vec![1];
        let refused = put_element(&mut out, |out| {
            out.push(7);
            Err(FormatError::invalid("test", "refused"))
        });
        assert!(refused.is_err() && out == [1]);
    }
}
