//! Which key groups of a range are cold: a bit for each.

use esker_format::{KeyGroup, KeyGroupRange};

/// A set of key groups of a range. A copy takes at most 8 KiB.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    range: KeyGroupRange,
    bits: Vec<u64>,
    left: u32,
}

impl Marks {
    /// All of `range`.
    pub(super) fn all(range: KeyGroupRange) -> Self {
        let count = range.count();
        let mut bits = vec![u64::MAX; count.div_ceil(u64::BITS) as usize];
        if let (Some(last), rest @ 1..) = (bits.last_mut(), count % u64::BITS) {
            *last = (1 << rest) - 1;
        }
        Self { range, bits, left: count }
    }

    pub(super) fn range(&self) -> KeyGroupRange {
        self.range
    }

    /// How many there are.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// The word and the bit of a key group of the range.
    fn at(&self, group: KeyGroup) -> (usize, u64) {
        let relative = u32::from(group.0.wrapping_sub(self.range.first()));
        ((relative / u64::BITS) as usize, 1 << (relative % u64::BITS))
    }

    pub(super) fn contains(&self, group: KeyGroup) -> bool {
        let (word, bit) = self.at(group);
        self.range.contains(group) && self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Takes one out, if it is there.
    pub(super) fn take(&mut self, group: KeyGroup) {
        let (word, bit) = self.at(group);
        if self.contains(group)
            && let Some(word) = self.bits.get_mut(word)
        {
            *word &= !bit;
            self.left -= 1;
        }
    }

    /// The first that are there from `from` on, up to the first that is not, and at most `count`.
    pub(super) fn next(&self, from: KeyGroup, count: u32) -> Option<KeyGroupRange> {
        let from = from.0.max(self.range.first());
        let mut first = u32::from(from);
        let end = u32::from(self.range.last()) + 1;
        while first < end && !self.contains(KeyGroup(first as u16)) {
            // Words without any are passed over at once.
            let relative = first - u32::from(self.range.first());
            let is_empty = self.bits.get((relative / u64::BITS) as usize).is_some_and(|w| *w == 0);
            first += if is_empty { u64::BITS - relative % u64::BITS } else { 1 };
        }
        if first >= end {
            return None;
        }
        let limit = end.min(first.saturating_add(count.max(1)));
        let mut next = first + 1;
        while next < limit && self.contains(KeyGroup(next as u16)) {
            next += 1;
        }
        KeyGroupRange::new(first as u16, (next - 1) as u16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Marks are a set of key groups, at whatever range.
        #[test]
        fn marks_are_a_set(
            (first, count) in (any::<u16>(), 1..300_u32),
            taken in proptest::collection::vec(0..300_u16, 0..400),
            from in 0..300_u16,
            most in 1..100_u32,
        ) {
            let last = (u32::from(first) + count - 1).min(u16::MAX.into()) as u16;
            let range = KeyGroupRange::new(first, last).unwrap();
            let mut marks = Marks::all(range);
            let mut model: BTreeSet<u16> = (first..=last).collect();
            for group in taken {
                let group = first.saturating_add(group);
                marks.take(KeyGroup(group));
                model.remove(&group);
                prop_assert_eq!(marks.left() as usize, model.len());
                prop_assert!(!marks.contains(KeyGroup(group)));
            }
            let from = first.saturating_add(from);
            let expected = model.range(from..).next().map(|next| {
                let ends = |group: &u16| {
                    !model.contains(group) || u32::from(*group) - u32::from(*next) >= most
                };
                let end = (*next..=u16::MAX).find(ends).map_or(u16::MAX, |end| end - 1);
                KeyGroupRange::new(*next, end).unwrap()
            });
            prop_assert_eq!(marks.next(KeyGroup(from), most), expected);
        }
    }
}
