//! Operator ids: what finds an operator's state in a snapshot.

use crate::{FormatError, Result};
use std::fmt;
use std::str::FromStr;

/// The id of an operator: the hash of its uid, or 16 bytes that Flink made up from the job's graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorId(pub [u8; 16]);

impl OperatorId {
    /// The id of the operator with this uid: MurmurHash3 of 128 bits (the variant for 64-bit machines), seed 0.
    pub fn of_uid(uid: &str) -> Self {
        let (blocks, tail) = uid.as_bytes().as_chunks::<16>();
        let mut state = Murmur::default();
        for block in blocks {
            state.block(block);
        }
        let mut last = [0; 16];
        last[..tail.len()].copy_from_slice(tail);
        // No byte of the last block that is not there changes anything: a multiplied zero is zero.
        state.tail(&last);
        Self(state.finish(uid.len() as u64))
    }
}

#[derive(Default)]
struct Murmur {
    low: u64,
    high: u64,
}

const LOW: u64 = 0x87c3_7b91_1142_53d5;
const HIGH: u64 = 0x4cf5_ad43_2745_937f;

impl Murmur {
    fn block(&mut self, block: &[u8; 16]) {
        let (low, high) = mixed(block);
        self.low = (self.low ^ low).rotate_left(27).wrapping_add(self.high);
        self.low = self.low.wrapping_mul(5).wrapping_add(0x52dc_e729);
        self.high = (self.high ^ high).rotate_left(31).wrapping_add(self.low);
        self.high = self.high.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }

    fn tail(&mut self, block: &[u8; 16]) {
        let (low, high) = mixed(block);
        self.low ^= low;
        self.high ^= high;
    }

    fn finish(mut self, len: u64) -> [u8; 16] {
        self.low ^= len;
        self.high ^= len;
        self.add_up();
        self.low = finish_word(self.low);
        self.high = finish_word(self.high);
        self.add_up();
        (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    fn add_up(&mut self) {
        self.low = self.low.wrapping_add(self.high);
        self.high = self.high.wrapping_add(self.low);
    }
}

/// The two halves of a block.
fn mixed(block: &[u8; 16]) -> (u64, u64) {
    let word = u128::from_le_bytes(*block);
    let (low, high) = (word as u64, (word >> 64) as u64);
    (
        low.wrapping_mul(LOW).rotate_left(31).wrapping_mul(HIGH),
        high.wrapping_mul(HIGH).rotate_left(33).wrapping_mul(LOW),
    )
}

fn finish_word(mut word: u64) -> u64 {
    word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

impl fmt::Display for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for OperatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OperatorId {
    type Err = FormatError;

    /// Reads 32 hexadecimal digits, as Flink shows ids.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(number) if digits && text.len() == 32 => Ok(Self(number.to_be_bytes())),
            _ => Err(FormatError::invalid("operator id", "an id has 32 hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn uids_have_flinks_hashes() {
        let vectors = [
            ("my-uid", "8409efe6adc6d20787611f16017c808f"),
            ("source-uid", "bef22c5df1ab33dd94bb7a6ecac555fb"),
            ("a", "897859f6655555855a890e51483ab5e6"),
            ("users", "b31ef24a3a79459a62581ed0da8afcba"),
            ("minutes", "2b86c07eb95deaf4383b7b6b28a77de6"),
        ];
        for (uid, id) in vectors {
            assert_eq!(OperatorId::of_uid(uid).to_string(), id, "{uid}");
            assert_eq!(OperatorId::of_uid(uid), id.parse().unwrap());
        }
        // The whole blocks, against the reference implementation's answer.
        let long = OperatorId::of_uid("The quick brown fox jumps over the lazy dog");
        assert_eq!(long.to_string(), "6c1b07bc7bbc4be347939ac4a93c437a");
        assert!("6c1b".parse::<OperatorId>().is_err());
        assert!("+c1b07bc7bbc4be347939ac4a93c437a".parse::<OperatorId>().is_err());
    }
}
