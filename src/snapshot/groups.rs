//! Sets of key groups: ranges that ascend, and neither overlap nor adjoin.

use esker_format::{KeyGroup, KeyGroupRange};

/// A set of key groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Groups(Vec<KeyGroupRange>);

impl From<KeyGroupRange> for Groups {
    fn from(range: KeyGroupRange) -> Self {
        Self(vec![range])
    }
}

impl Groups {
    /// The set of what `ranges` hold, in whatever order.
    pub(super) fn of(ranges: impl IntoIterator<Item = KeyGroupRange>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_unstable_by_key(|range| range.first());
        let mut set: Vec<KeyGroupRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match set.last_mut() {
                Some(last) if u32::from(range.first()) <= u32::from(last.last()) + 1 => {
                    *last = span(last.first(), last.last().max(range.last()));
                }
                _ => set.push(range),
            }
        }
        Self(set)
    }

    pub(super) fn ranges(&self) -> &[KeyGroupRange] {
        &self.0
    }

    pub(super) fn into_ranges(self) -> Vec<KeyGroupRange> {
        self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many key groups it holds.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|range| range.count()).sum()
    }

    pub(super) fn contains(&self, group: KeyGroup) -> bool {
        let at = self.0.partition_point(|range| range.last() < group.0);
        self.0.get(at).is_some_and(|range| range.contains(group))
    }

    /// The smallest range that holds all of it.
    pub(super) fn hull(&self) -> Option<KeyGroupRange> {
        Some(span(self.0.first()?.first(), self.0.last()?.last()))
    }

    pub(super) fn within(&self, range: KeyGroupRange) -> Self {
        Self(self.0.iter().filter_map(|own| own.intersect(range)).collect())
    }

    pub(super) fn intersect(&self, other: &Self) -> Self {
        Self::of(other.0.iter().flat_map(|range| self.within(*range).0))
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(&other.0).copied())
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for range in &self.0 {
            let mut first = u32::from(range.first());
            for hole in other.0.iter().filter(|hole| hole.intersect(*range).is_some()) {
                if first < u32::from(hole.first()) {
                    left.push(span(first as u16, hole.first() - 1));
                }
                first = u32::from(hole.last()) + 1;
            }
            if first <= u32::from(range.last()) {
                left.push(span(first as u16, range.last()));
            }
        }
        Self(left)
    }

    /// The first `count` key groups of it, or all.
    pub(super) fn take(&self, count: u32) -> Self {
        let (mut taken, mut left) = (Vec::new(), count);
        for range in &self.0 {
            if left == 0 {
                break;
            }
            let some = range.count().min(left);
            taken.push(span(range.first(), (u32::from(range.first()) + some - 1) as u16));
            left -= some;
        }
        Self(taken)
    }
}

/// The range from `first` to `last`, which is not below it.
pub(super) fn span(first: u16, last: u16) -> KeyGroupRange {
    KeyGroupRange::new(first, last.max(first)).unwrap_or(KeyGroupRange::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set() -> impl Strategy<Value = Groups> {
        proptest::collection::vec((0..60_u16, 0..8_u16), 0..6).prop_map(|parts| {
            Groups::of(parts.iter().map(|(first, len)| span(*first, first + len)))
        })
    }

    fn has(set: &Groups) -> Vec<bool> {
        (0..80).map(|group| set.contains(KeyGroup(group))).collect()
    }

    proptest! {
        #[test]
        fn sets_are_as_their_members(a in set(), b in set(), n in 0..90_u32) {
            let (x, y) = (has(&a), has(&b));
            let each = |f: fn(bool, bool) -> bool| -> Vec<bool> {
                x.iter().zip(&y).map(|(x, y)| f(*x, *y)).collect()
            };
            prop_assert_eq!(has(&a.union(&b)), each(|x, y| x || y));
            prop_assert_eq!(has(&a.minus(&b)), each(|x, y| x && !y));
            prop_assert_eq!(has(&a.intersect(&b)), each(|x, y| x && y));
            prop_assert_eq!(a.count() as usize, x.iter().filter(|x| **x).count());
            prop_assert_eq!(a.take(n).count(), n.min(a.count()));
            prop_assert!(a.take(n).minus(&a).is_empty());
            let whole = Groups::of(a.ranges().iter().copied());
            prop_assert_eq!(whole, a);
        }
    }
}
