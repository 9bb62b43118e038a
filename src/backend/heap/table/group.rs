//! Sixteen control bytes looked at together.
//!
//! | bits       | meaning                                                              |
//! |------------|----------------------------------------------------------------------|
//! | `11111111` | empty, and so since the page was built: a search ends here           |
//! | `10000000` | deleted: a search goes on                                            |
//! | `0dtttttt` | full; `d`: changed since the last freeze; `t`: six bits of the hash  |

/// How many control bytes a group has.
pub(super) const WIDTH: usize = 16;
/// Never used since the page was built.
pub(super) const EMPTY: u8 = 0b1111_1111;
/// Used once; searches pass over it.
pub(super) const DELETED: u8 = 0b1000_0000;
/// The entry changed since the last freeze.
pub(super) const DIRTY: u8 = 0b0100_0000;
/// The bits of a full byte that come from the hash.
pub(super) const TAG: u8 = 0b0011_1111;

/// A set of slots in a group, one bit each; iterates over their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask(pub(super) u16);

impl Mask {
    /// Whether any slot is in the set.
    #[inline]
    pub(super) fn any(self) -> bool {
        self.0 != 0
    }
}

impl Iterator for Mask {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
pub(super) use sse2::Group;

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
pub(super) use portable::Group;

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[cfg_attr(miri, allow(dead_code))]
mod sse2 {
    use super::{DIRTY, EMPTY, Mask, TAG, WIDTH};
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8,
    };

    /// Sixteen control bytes in a register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Group(__m128i);

    impl Group {
        #[inline]
        pub(in super::super) fn load(bytes: &[u8; WIDTH]) -> Self {
            // SAFETY: the reference covers the 16 bytes read; the load needs no alignment.
            Self(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
        }

        #[inline]
        fn masked_eq(self, keep: u8, wanted: u8) -> Mask {
            // SAFETY: SSE2 is a target feature of this build, and these touch no memory.
            let bits = unsafe {
                let kept = _mm_and_si128(self.0, _mm_set1_epi8(keep as i8));
                _mm_movemask_epi8(_mm_cmpeq_epi8(kept, _mm_set1_epi8(wanted as i8)))
            };
            Mask(bits as u16)
        }

        /// Full slots with this tag, changed or not.
        #[inline]
        pub(in super::super) fn tagged(self, tag: u8) -> Mask {
            self.masked_eq(!DIRTY, tag & TAG)
        }

        /// Slots never used.
        #[inline]
        pub(in super::super) fn empty(self) -> Mask {
            self.masked_eq(u8::MAX, EMPTY)
        }

        /// Slots without an entry.
        #[inline]
        pub(in super::super) fn free(self) -> Mask {
            // SAFETY: SSE2 is a target feature of this build, and this touches no memory.
            Mask(unsafe { _mm_movemask_epi8(self.0) } as u16)
        }

        /// Full slots changed since the last freeze.
        #[inline]
        pub(in super::super) fn dirty(self) -> Mask {
            self.masked_eq(!TAG, DIRTY)
        }
    }
}

#[cfg(any(test, miri, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
#[cfg_attr(test, allow(dead_code))]
mod portable {
    use super::{DELETED, DIRTY, EMPTY, Mask, TAG, WIDTH};

    /// Sixteen control bytes.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Group([u8; WIDTH]);

    impl Group {
        #[inline]
        pub(in super::super) fn load(bytes: &[u8; WIDTH]) -> Self {
            Self(*bytes)
        }

        #[inline]
        fn masked_eq(self, keep: u8, wanted: u8) -> Mask {
            let mut bits = 0;
            for (slot, byte) in self.0.into_iter().enumerate() {
                bits |= u16::from(byte & keep == wanted) << slot;
            }
            Mask(bits)
        }

        /// Full slots with this tag, changed or not.
        #[inline]
        pub(in super::super) fn tagged(self, tag: u8) -> Mask {
            self.masked_eq(!DIRTY, tag & TAG)
        }

        /// Slots never used.
        #[inline]
        pub(in super::super) fn empty(self) -> Mask {
            self.masked_eq(u8::MAX, EMPTY)
        }

        /// Slots without an entry.
        #[inline]
        pub(in super::super) fn free(self) -> Mask {
            self.masked_eq(DELETED, DELETED)
        }

        /// Full slots changed since the last freeze.
        #[inline]
        pub(in super::super) fn dirty(self) -> Mask {
            self.masked_eq(!TAG, DIRTY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_groups_agree_with_the_native_ones() {
        let mut bytes = [EMPTY; WIDTH];
        for round in 0..=255_u8 {
            for (i, byte) in bytes.iter_mut().enumerate() {
                let mixed = round.wrapping_mul(31).wrapping_add((i as u8).wrapping_mul(77));
                *byte = match mixed {
                    0..=127 => mixed,
                    128..=190 => DELETED,
                    _ => EMPTY,
                };
            }
            let (a, b) = (Group::load(&bytes), portable::Group::load(&bytes));
            for tag in 0..=TAG {
                assert_eq!(a.tagged(tag), b.tagged(tag));
            }
            assert_eq!((a.empty(), a.free(), a.dirty()), (b.empty(), b.free(), b.dirty()));
            let dirty: Vec<usize> = a.dirty().collect();
            assert!((0..WIDTH).all(|i| dirty.contains(&i) == (bytes[i] & !TAG == DIRTY)));
        }
    }
}
