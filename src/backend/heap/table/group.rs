//! Groups: fourteen slots and the sixteen control bytes looked at together.
//!
//! A control byte per slot, then two bytes with a bit per slot that has changed since the last
//! freeze (layout of the chunks of F14, Facebook, 2019): tag, entry and change bit lie in
//! neighbouring cache lines of one OS page.
//!
//! | control byte | meaning                                                              |
//! |--------------|----------------------------------------------------------------------|
//! | `00000000`   | empty, and so since the page was built: a search ends here           |
//! | `00000001`   | deleted: a search goes on                                            |
//! | `1ttttttt`   | full; `t`: seven bits of the hash                                    |

/// How many slots a group has.
pub(super) const WIDTH: usize = 14;
/// How many bytes a group's slots are described by.
pub(super) const CTRL_LEN_BYTES: usize = 16;
/// Never used since the page was built.
pub(super) const EMPTY: u8 = 0;
/// Used once; searches pass over it.
pub(super) const DELETED: u8 = 1;
/// Set in the byte of a full slot.
const FULL: u8 = 0b1000_0000;
/// How many bits of the hash are in the byte of a full slot.
pub(super) const TAG_BITS: u32 = 7;
/// The slots of a group, one bit each.
const SLOTS: u16 = (1 << WIDTH) - 1;

/// The control byte of a full slot.
#[inline]
pub(super) fn tag(hash: u64) -> u8 {
    (u32::from(FULL) | hash as u32) as u8
}

/// A set of slots in a group, one bit each; iterates over their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mask(pub(super) u16);

impl Mask {
    /// Whether any slot is in the set.
    #[inline]
    pub(super) fn any(self) -> bool {
        self.0 != 0
    }

    /// The bit of the first slot in the set, 0 if there is none.
    #[inline]
    pub(super) fn first_bit(self) -> u16 {
        self.0 & self.0.wrapping_neg()
    }

    /// The first slot in the set from `start` (below 28, and taken modulo 14) on, then from the
    /// group's first on; without branches, as nobody could predict them.
    #[inline]
    pub(super) fn from(self, start: usize) -> Option<usize> {
        let twice = u32::from(self.0) | u32::from(self.0) << WIDTH;
        let start = if start >= WIDTH { start - WIDTH } else { start };
        let slot = start + (twice >> start).trailing_zeros() as usize;
        let wrapped = if slot >= WIDTH { slot - WIDTH } else { slot };
        (self.0 != 0).then_some(wrapped)
    }

    /// How many slots are in the set.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.0.count_ones() as usize
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
    use super::{CTRL_LEN_BYTES, EMPTY, FULL, Mask, SLOTS, TAG_BITS};
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_set1_epi8,
    };

    /// The control bytes of a group of slots that are all full with the same tag, for each tag: a load
    /// is quicker than to spread a byte over a register.
    #[repr(align(16))]
    struct Spread([[u8; CTRL_LEN_BYTES]; 1 << TAG_BITS]);

    static SPREAD: Spread = {
        let mut all = [[0; CTRL_LEN_BYTES]; 1 << TAG_BITS];
        let mut t = 0;
        while t < all.len() {
            all[t] = [FULL | t as u8; CTRL_LEN_BYTES];
            t += 1;
        }
        Spread(all)
    };

    /// The control bytes of a group in a register.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Group(__m128i);

    impl Group {
        /// Loads them from an address that is a multiple of 16.
        #[inline]
        pub(in super::super) unsafe fn load(bytes: *const [u8; CTRL_LEN_BYTES]) -> Self {
            // SAFETY: the caller's 16 bytes are readable and aligned.
            Self(unsafe { _mm_load_si128(bytes.cast()) })
        }

        /// Slots with this control byte.
        #[inline]
        pub(in super::super) fn equal(self, byte: u8) -> Mask {
            // SAFETY: SSE2 is a target feature of this build, and these touch no memory.
            let bits =
                unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_set1_epi8(byte as i8))) };
            Mask(bits as u16 & SLOTS)
        }

        /// Slots with an entry of this hash's tag.
        #[inline]
        pub(in super::super) fn tagged(self, hash: u64) -> Mask {
            let spread = &SPREAD.0[hash as usize % SPREAD.0.len()];
            // SAFETY: SSE2 is a target feature of this build; the 16 bytes are there, aligned.
            let bits = unsafe {
                _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, _mm_load_si128(spread.as_ptr().cast())))
            };
            Mask(bits as u16 & SLOTS)
        }

        /// Slots never used.
        #[inline]
        pub(in super::super) fn empty(self) -> Mask {
            self.equal(EMPTY)
        }

        /// Slots with an entry.
        #[inline]
        pub(in super::super) fn full(self) -> Mask {
            // SAFETY: SSE2 is a target feature of this build, and this touches no memory.
            Mask(unsafe { _mm_movemask_epi8(self.0) } as u16 & SLOTS)
        }

        /// Slots without an entry.
        #[inline]
        pub(in super::super) fn free(self) -> Mask {
            Mask(!self.full().0 & SLOTS)
        }
    }
}

#[cfg(any(test, miri, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
#[cfg_attr(test, allow(dead_code))]
mod portable {
    use super::{CTRL_LEN_BYTES, EMPTY, FULL, Mask, SLOTS, WIDTH, tag};

    /// The control bytes of a group.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Group([u8; CTRL_LEN_BYTES]);

    impl Group {
        #[inline]
        pub(in super::super) unsafe fn load(bytes: *const [u8; CTRL_LEN_BYTES]) -> Self {
            // SAFETY: the caller's 16 bytes are readable.
            Self(unsafe { *bytes })
        }

        #[inline]
        fn which(self, wanted: impl Fn(u8) -> bool) -> Mask {
            let mut bits = 0;
            for (slot, byte) in self.0.into_iter().take(WIDTH).enumerate() {
                bits |= u16::from(wanted(byte)) << slot;
            }
            Mask(bits)
        }

        /// Slots with this control byte.
        #[inline]
        pub(in super::super) fn equal(self, byte: u8) -> Mask {
            self.which(|b| b == byte)
        }

        /// Slots with an entry of this hash's tag.
        #[inline]
        pub(in super::super) fn tagged(self, hash: u64) -> Mask {
            self.equal(tag(hash))
        }

        /// Slots never used.
        #[inline]
        pub(in super::super) fn empty(self) -> Mask {
            self.equal(EMPTY)
        }

        /// Slots with an entry.
        #[inline]
        pub(in super::super) fn full(self) -> Mask {
            self.which(|b| b & FULL != 0)
        }

        /// Slots without an entry.
        #[inline]
        pub(in super::super) fn free(self) -> Mask {
            Mask(!self.full().0 & SLOTS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(16))]
    struct Aligned([u8; CTRL_LEN_BYTES]);

    #[test]
    fn portable_groups_agree_with_the_native_ones() {
        let mut bytes = Aligned([EMPTY; CTRL_LEN_BYTES]);
        for round in 0..=255_u8 {
            for (i, byte) in bytes.0.iter_mut().enumerate() {
                let mixed = round.wrapping_mul(31).wrapping_add((i as u8).wrapping_mul(77));
                *byte = match mixed {
                    0..=127 => tag(mixed.into()),
                    128..=190 => DELETED,
                    _ => EMPTY,
                };
            }
            // SAFETY: the bytes are there, aligned to 16.
            let (a, b) =
                unsafe { (Group::load(&raw const bytes.0), portable::Group::load(&bytes.0)) };
            for hash in 0..128 {
                assert_eq!(a.tagged(hash), b.tagged(hash));
            }
            assert_eq!((a.empty(), a.free(), a.full()), (b.empty(), b.free(), b.full()));
            let full: Vec<usize> = a.full().collect();
            assert!((0..WIDTH).all(|i| full.contains(&i) == (bytes.0[i] >= FULL)));
            assert_eq!(full.len(), a.full().len());
            for start in 0..16 {
                let wanted = (start..start + WIDTH).map(|i| i % WIDTH).find(|i| full.contains(i));
                assert_eq!(a.full().from(start), wanted);
            }
        }
    }
}
