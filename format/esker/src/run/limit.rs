//! How long keys may be, and all keys of a block together: a few bytes can share a long key many
//! times, and whoever walks a block copies each.

use super::KEY_LEN_BYTES_MAX;
use crate::{FormatError, Result};

/// The keys of any block may take this many bytes.
const KEYS_LEN_BYTES: usize = 1 << 22;
/// And this many more for each byte of its columns of meta and keys.
const KEYS_RATIO: usize = 16;

/// How many bytes the keys of a block take together at most, whose columns of meta and keys have
/// `columns_len_bytes`.
pub(super) fn keys_len_bytes_max(columns_len_bytes: usize) -> usize {
    KEYS_LEN_BYTES.saturating_add(columns_len_bytes.saturating_mul(KEYS_RATIO))
}

/// Counts the keys of a block as they are rebuilt.
#[derive(Debug, Clone)]
pub(super) struct KeyLimit {
    left_len_bytes: usize,
}

impl KeyLimit {
    pub(super) fn of(columns_len_bytes: usize) -> Self {
        Self { left_len_bytes: keys_len_bytes_max(columns_len_bytes) }
    }

    /// Counts a key before it is rebuilt.
    ///
    /// # Errors
    /// `Corrupt` if the key, or all together, are too long.
    #[inline]
    pub(super) fn count(&mut self, key_len_bytes: usize) -> Result<()> {
        if key_len_bytes > KEY_LEN_BYTES_MAX {
            let message = format!("key of {key_len_bytes} bytes, the limit is {KEY_LEN_BYTES_MAX}");
            return Err(FormatError::corrupt("run block", message));
        }
        match self.left_len_bytes.checked_sub(key_len_bytes) {
            Some(left) => self.left_len_bytes = left,
            None => {
                let message = "its keys are longer than its columns justify";
                return Err(FormatError::corrupt("run block", message));
            }
        }
        Ok(())
    }
}
