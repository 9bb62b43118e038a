//! Keys of which a part cannot be read: where it ends is tried.

use super::{KeyFormat, Kind, WHAT};
use crate::{FormatError, FormatErrorKind, Input, Result};

/// Longer keys are not searched, as the time grows with the square of their length.
const SEARCHED_LEN_MAX: usize = 4_096;

impl KeyFormat<'_> {
    /// As [`cut`](Self::cut), where what `class` wrote cannot be read: of all places where it could end, the only one that fits.
    pub(super) fn search<'a>(
        &self,
        input: &mut Input<'a>,
        class: &str,
    ) -> Result<(usize, &'a [u8])> {
        let unreadable = |message: &str| {
            let message = format!("{message}: {class} wrote it, which cannot be read");
            FormatError::new(FormatErrorKind::Incompatible, WHAT, message).at(input.offset())
        };
        if self.key.opaque().is_some() && self.namespace.opaque().is_some() {
            return Err(unreadable("nothing tells key and namespace apart"));
        }
        if input.remaining() > SEARCHED_LEN_MAX {
            return Err(unreadable("a key too long to be searched for its parts"));
        }
        let mut found = None;
        for len in 0..=input.remaining() {
            let mut tried = input.clone();
            let Ok(cut) = self.cut_at(len, &mut tried) else { continue };
            if found.replace((cut, tried)).is_some() {
                return Err(unreadable("several ways to cut the key into its parts"));
            }
        }
        let (cut, behind) =
            found.ok_or_else(|| unreadable("no way to cut the key into its parts"))?;
        *input = behind;
        Ok(cut)
    }

    /// As [`cut`](Self::cut), if the part that cannot be read has `len` bytes, and all fits up to the end.
    fn cut_at<'a>(&self, len: usize, input: &mut Input<'a>) -> Result<(usize, &'a [u8])> {
        let start = input.position();
        match self.key.opaque() {
            Some(_) => drop(input.take(len)?),
            None => self.key.skip(input)?,
        }
        let key_len = input.since(start).len();
        self.read_length(key_len, input)?;
        let start = input.position();
        match self.namespace.opaque() {
            Some(_) => drop(input.take(len)?),
            None => self.namespace.skip(input)?,
        }
        let namespace = input.since(start);
        self.read_length(namespace.len(), input)?;
        let mut rest = input.clone();
        match self.kind {
            // Anything may be a user key that cannot be read.
            Kind::Map(None) => return Ok((key_len, namespace)),
            Kind::Map(Some(user_key)) if user_key.opaque().is_some() => {
                return Ok((key_len, namespace));
            }
            Kind::Map(Some(user_key)) => user_key.skip(&mut rest)?,
            Kind::Plain | Kind::Timer => {}
        }
        rest.end()?;
        Ok((key_len, namespace))
    }
}
