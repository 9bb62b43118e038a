//! Damaged goldens: cut ones are refused, and one changed byte is refused or read as what stands there.

use crate::metadata::{Operator, StreamHandle};
use crate::testing::goldens;
use crate::{Metadata, OperatorId};

/// Shorter files are damaged at every byte, longer ones at about so many.
const WHOLE_LEN_BYTES: usize = 6_000;
const PLACES: usize = 100;

/// Every place of a short file, some of a long one; others of each.
fn places(number: usize, len: usize) -> impl Iterator<Item = usize> {
    let step = if len <= WHOLE_LEN_BYTES { 1 } else { len.div_ceil(PLACES) };
    (number % step..len).step_by(step)
}

#[test]
fn cut_goldens_are_refused_with_an_offset() {
    let mut cuts = 0;
    for (number, golden) in goldens().iter().enumerate() {
        for len in places(number, golden.bytes.len()) {
            let error = Metadata::read(&golden.bytes[..len]).unwrap_err();
            let offset = error.offset.unwrap_or(u64::MAX);
            assert!(offset <= len as u64, "{} cut at {len}: {error}", golden.name);
            cuts += 1;
        }
    }
    assert!(cuts > 50_000, "{cuts}");
}

#[test]
fn goldens_with_a_changed_byte_are_refused_or_read_as_they_are() {
    let (mut refused, mut read) = (0, 0);
    for (number, golden) in goldens().iter().enumerate() {
        let mut bytes = golden.bytes.clone();
        for at in places(number, bytes.len()) {
            let mask = if at % 2 == 0 { 1 << (at / 2 % 8) } else { 0xff };
            bytes[at] ^= mask;
            match Metadata::read(&bytes) {
                Ok(metadata) => {
                    assert!(metadata.write().unwrap() == bytes, "{} at {at}", golden.name);
                    read += 1;
                }
                Err(error) => {
                    assert!(error.offset.is_some(), "{} at {at}: {error}", golden.name);
                    refused += 1;
                }
            }
            bytes[at] ^= mask;
        }
    }
    assert!(refused > 10_000 && read > 10_000, "{refused} {read}");
}

/// Java reads a NUL that takes one byte, and writes it in two: such text would not be written as it was.
#[test]
fn text_that_java_would_write_otherwise_is_refused() {
    let mut metadata = Metadata::new(1);
    let mut operator = Operator::new(OperatorId([7; 16]), 1, 128);
    operator.coordinator = Some(StreamHandle::inline("abc", vec![1]));
    metadata.operators.push(operator);
    let mut bytes = metadata.write().unwrap();
    assert!(Metadata::read(&bytes).is_ok());
    let at = bytes.windows(3).position(|bytes| bytes == b"abc").unwrap();
    bytes[at] = 0;
    let error = Metadata::read(&bytes).unwrap_err();
    assert!(error.message.contains("not as Java writes it"), "{error}");
}
