//! Values of lists and maps in canonical state and in RocksDB.

use super::WHAT;
use crate::{FormatError, Input, Result, Serializer};

/// Between the elements of a list. An element may hold it too, so that only its serializer knows where it ends.
const DELIMITER: u8 = b',';

/// The elements of a list's value, encoded.
pub struct ListElements<'a, 's> {
    input: Input<'a>,
    element: &'s Serializer,
    first: bool,
}

impl<'a, 's> ListElements<'a, 's> {
    /// Those of `value`, which `element` wrote.
    pub fn new(value: &'a [u8], element: &'s Serializer) -> Self {
        Self { input: Input::new("list", value), element, first: true }
    }
}

impl<'a> Iterator for ListElements<'a, '_> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.input.is_empty() {
            return None;
        }
        let found = self.element();
        if found.is_err() {
            self.input.skip(usize::MAX);
        }
        Some(found)
    }
}

impl<'a> ListElements<'a, '_> {
    fn element(&mut self) -> Result<&'a [u8]> {
        if !std::mem::take(&mut self.first) {
            let at = self.input.clone();
            if self.input.u8()? != DELIMITER {
                return Err(at.corrupt("an element of a list is not followed by a comma"));
            }
        }
        let start = self.input.position();
        self.element.skip(&mut self.input)?;
        Ok(self.input.since(start))
    }
}

/// Appends an element to the value of a list, which is empty before the first.
pub fn put_list_element(element: &[u8], value: &mut Vec<u8>) {
    if !value.is_empty() {
        value.push(DELIMITER);
    }
    value.extend_from_slice(element);
}

/// What a map's entry holds, encoded; `None` is Java's null.
///
/// # Errors
/// `Corrupt` if nothing says whether it is null.
#[inline]
pub fn map_value(value: &[u8]) -> Result<Option<&[u8]>> {
    match value {
        [0, value @ ..] => Ok(Some(value)),
        // A null that the serializer wrote may follow.
        [_, ..] => Ok(None),
        [] => Err(FormatError::corrupt(WHAT, "the entry of a map has no value")),
    }
}

/// Appends the value of a map's entry.
pub fn put_map_value(value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.push(value.is_none().into());
    out.extend_from_slice(value.unwrap_or_default());
}
