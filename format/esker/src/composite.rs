//! Composite keys: the order of entries in a run (SPEC.md, "Composite keys").
//!
//! `state id u32 BE | key group u16 BE | key, escaped | namespace, escaped | user key`. Escaping
//! writes each 0x00 as 0x00 0xFF and ends with 0x00 0x00, so that byte order of the whole is the
//! order of its parts, and no part can be mistaken for another.

use crate::{FormatError, KeyGroup, Result};
use std::borrow::Cow;

/// Length of the state id and key group that every composite key begins with, in bytes.
pub const PREFIX_LEN_BYTES: usize = 6;

/// The parts of a composite key; the last three are encoded by their codecs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CompositeKey<'a> {
    /// The numeric id of the state, as in the manifest.
    pub state: u32,
    /// The key group of `key`.
    pub group: KeyGroup,
    /// The encoded key.
    pub key: Cow<'a, [u8]>,
    /// The encoded namespace; empty where there is none.
    pub namespace: Cow<'a, [u8]>,
    /// The encoded user key of a map entry, the time of a timer; empty elsewhere.
    pub user_key: Cow<'a, [u8]>,
}

impl<'a> CompositeKey<'a> {
    /// A composite key of borrowed parts.
    pub fn new(
        state: u32,
        group: KeyGroup,
        key: &'a [u8],
        namespace: &'a [u8],
        user_key: &'a [u8],
    ) -> Self {
        Self {
            state,
            group,
            key: Cow::Borrowed(key),
            namespace: Cow::Borrowed(namespace),
            user_key: Cow::Borrowed(user_key),
        }
    }

    /// Appends the encoded form to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.state.to_be_bytes());
        out.extend_from_slice(&self.group.0.to_be_bytes());
        escape(&self.key, out);
        escape(&self.namespace, out);
        out.extend_from_slice(&self.user_key);
    }

    /// The parts of an encoded composite key; copies only a part that holds escapes.
    ///
    /// # Errors
    /// `Corrupt` if a part does not end or holds an impossible escape.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        // Most parts hold no escapes.
        match Self::plain(bytes) {
            Some(parts) => Ok(parts),
            None => Self::escaped(bytes),
        }
    }

    /// The parts if neither key nor namespace holds a zero, as most do: [`decode`](Self::decode) for who
    /// has a way of its own for those.
    #[inline(always)]
    pub fn plain(bytes: &'a [u8]) -> Option<Self> {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX_LEN_BYTES>()?;
        let (key, rest) = plain_part(rest)?;
        let (namespace, user_key) = plain_part(rest)?;
        let (state, group) = prefix_of(prefix)?;
        Some(Self::new(state, group, key, namespace, user_key))
    }

    fn escaped(bytes: &'a [u8]) -> Result<Self> {
        let (state, group) = prefix_of(bytes).ok_or_else(|| {
            FormatError::corrupt("composite key", format!("only {} bytes", bytes.len()))
        })?;
        let (key, rest) = unescape(&bytes[PREFIX_LEN_BYTES..])?;
        let (namespace, user_key) = unescape(rest)?;
        Ok(Self { state, group, key, namespace, user_key: Cow::Borrowed(user_key) })
    }
}

/// The state and key group of an encoded composite key.
#[inline]
pub(crate) fn prefix_of(bytes: &[u8]) -> Option<(u32, KeyGroup)> {
    let (state, rest) = bytes.split_first_chunk::<4>()?;
    let (group, _) = rest.split_first_chunk::<2>()?;
    Some((u32::from_be_bytes(*state), KeyGroup(u16::from_be_bytes(*group))))
}

/// Where the user key of an encoded composite key begins: as [`CompositeKey::decode`] finds it, but
/// nothing is taken out.
///
/// # Errors
/// As for [`CompositeKey::decode`].
#[inline]
pub(crate) fn user_key_at(bytes: &[u8]) -> Result<usize> {
    let (mut at, mut ends) = (PREFIX_LEN_BYTES, 0);
    while ends < 2 {
        let zero = bytes.get(at..).and_then(zero_in).map(|zero| at + zero);
        match zero.and_then(|zero| Some((zero, *bytes.get(zero + 1)?))) {
            Some((zero, 0x00)) => (at, ends) = (zero + 2, ends + 1),
            Some((zero, 0xff)) => at = zero + 2,
            // What is wrong is said in one place.
            _ => return CompositeKey::decode(bytes).map(|_| bytes.len()),
        }
    }
    Ok(at)
}

/// The place of the first 0x00, eight bytes at a time (Mycroft's test: the lowest byte that it marks
/// is one).
#[inline]
fn zero_in(bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let marked = word.wrapping_sub(LOW) & !word & (LOW << 7);
        if marked != 0 {
            return Some(number * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| *byte == 0).map(|at| words.len() * 8 + at)
}

/// Appends `part` with each 0x00 as 0x00 0xFF, and 0x00 0x00 at its end; tuples of ordered keys are
/// escaped alike.
pub(crate) fn escape(part: &[u8], out: &mut Vec<u8>) {
    let (words, rest) = part.as_chunks::<8>();
    out.reserve(part.len() + 2);
    for word in words {
        // Most words go as they are, in one move.
        match zero_in(word) {
            None => out.extend_from_slice(word),
            Some(_) => escape_bytes(word, out),
        }
    }
    escape_bytes(rest, out);
    out.extend_from_slice(&[0, 0]);
}

fn escape_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
}

/// Makes a part of what `out` holds from `from` on: escaped where it stands, and ended. The parts of a key
/// can so be encoded one behind the other, into the buffer that they belong in.
#[inline]
pub fn end_part(out: &mut Vec<u8>, from: usize) {
    // Most parts hold no zero.
    if zero_in(&out[from..]).is_some() {
        escape_in_place(out, from);
    }
    out.extend_from_slice(&[0, 0]);
}

fn escape_in_place(out: &mut Vec<u8>, from: usize) {
    let mut read = out.len();
    let mut write = read + out[from..].iter().filter(|byte| **byte == 0).count();
    out.resize(write, 0);
    // From the back, until the rest stands where it should.
    while write > read {
        (read, write) = (read - 1, write - 1);
        let byte = out[read];
        if byte == 0 {
            out[write] = 0xff;
            write -= 1;
        }
        out[write] = byte;
    }
}

/// The part that `bytes` begin with, and what is behind it, if it holds no escape.
#[inline(always)]
fn plain_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match bytes.split_at_checked(zero_in(bytes)?)? {
        (part, [0, 0, rest @ ..]) => Some((part, rest)),
        _ => None,
    }
}

fn unescape(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8])> {
    let mut owned = Vec::new();
    let mut from = 0;
    loop {
        let zero = zero_in(&bytes[from..]).map(|at| from + at);
        match zero.and_then(|zero| Some((zero, *bytes.get(zero + 1)?))) {
            Some((zero, 0x00)) => {
                let rest = &bytes[zero + 2..];
                if owned.is_empty() {
                    // No escape was seen: the part stands in the bytes as it is.
                    return Ok((Cow::Borrowed(&bytes[..zero]), rest));
                }
                owned.extend_from_slice(&bytes[from..zero]);
                return Ok((Cow::Owned(owned), rest));
            }
            Some((zero, 0xff)) => {
                owned.extend_from_slice(&bytes[from..=zero]);
                from = zero + 2;
            }
            Some((zero, byte)) => {
                let message = format!("0x00 is followed by {byte:#04x}");
                return Err(FormatError::corrupt("composite key", message).at(zero as u64));
            }
            None => {
                return Err(FormatError::corrupt("composite key", "a part does not end"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part() -> impl Strategy<Value = Vec<u8>> {
        // Zeros and 0xff often, as these are what escaping is about.
        proptest::collection::vec(prop_oneof![Just(0), Just(0xff), Just(1), any::<u8>()], 0..6)
    }

    fn encode(parts: &(u32, u16, Vec<u8>, Vec<u8>, Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        CompositeKey::new(parts.0, KeyGroup(parts.1), &parts.2, &parts.3, &parts.4)
            .encode_into(&mut out);
        out
    }

    proptest! {
        #[test]
        fn order_and_parts_survive(
            a in (0..3_u32, 0..3_u16, part(), part(), part()),
            b in (0..3_u32, 0..3_u16, part(), part(), part()),
        ) {
            let (x, y) = (encode(&a), encode(&b));
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            let back = CompositeKey::decode(&x).unwrap();
            prop_assert_eq!(back, CompositeKey::new(a.0, KeyGroup(a.1), &a.2, &a.3, &a.4));
        }

        #[test]
        fn a_part_is_the_same_wherever_it_is_escaped(front in part(), part in part()) {
            let (mut copied, mut in_place) = (front.clone(), [&front[..], &part].concat());
            escape(&part, &mut copied);
            end_part(&mut in_place, front.len());
            prop_assert_eq!(copied, in_place);
        }

        #[test]
        fn a_zero_is_found_where_it_is(bytes in proptest::collection::vec(0..4_u8, 0..30)) {
            prop_assert_eq!(zero_in(&bytes), bytes.iter().position(|byte| *byte == 0));
        }

        #[test]
        fn any_bytes_are_parts_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let user_key_at = user_key_at(&bytes).ok();
            if let Ok(key) = CompositeKey::decode(&bytes) {
                prop_assert_eq!(user_key_at, Some(bytes.len() - key.user_key.len()));
                let mut again = Vec::new();
                key.encode_into(&mut again);
                prop_assert_eq!(again, bytes);
            } else {
                prop_assert_eq!(user_key_at, None);
            }
        }
    }

    #[test]
    fn bytes_are_pinned() {
        let key = encode(&(1, 2, vec![7, 0, 8], vec![], vec![9]));
        assert_eq!(key, [0, 0, 0, 1, 0, 2, 7, 0, 0xff, 8, 0, 0, 0, 0, 9]);
    }
}
