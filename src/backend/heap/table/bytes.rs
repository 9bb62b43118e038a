//! Sixteen bytes compared at once, for small maps.

/// A bit for each of the bytes that is `byte`.
#[inline]
pub fn equal_bytes(bytes: &[u8; 16], byte: u8) -> u32 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
    {
        use std::arch::x86_64::{
            _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8,
        };
        // SAFETY: the 16 bytes are readable, a load needs no alignment, and SSE2 is a target feature
        // of this build.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8))) as u32
        }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
    portable(bytes, byte)
}

#[cfg(any(test, miri, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
fn portable(bytes: &[u8; 16], byte: u8) -> u32 {
    bytes.iter().enumerate().fold(0, |bits, (i, b)| bits | u32::from(*b == byte) << i)
}

#[cfg(test)]
#[test]
fn portable_comparisons_agree_with_the_native_ones() {
    for round in 0..=255_u8 {
        let bytes = std::array::from_fn(|i| round.wrapping_mul(i as u8));
        assert_eq!(equal_bytes(&bytes, round), portable(&bytes, round));
        assert_eq!(equal_bytes(&[round; 16], round), 0xFFFF);
    }
}
