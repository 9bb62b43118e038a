//! Sets of keys: intervals of composite keys without their state.

use esker_format::composite::CompositeKey;

/// The bytes of a composite key that name the state.
pub(super) const STATE_LEN_BYTES: usize = 4;

/// The keys from one up to, but not including, another; composite keys without their state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) from: Vec<u8>,
    /// None where all keys behind are in it.
    pub(crate) to: Option<Vec<u8>>,
}

impl Interval {
    pub(super) fn is_empty(&self) -> bool {
        self.to.as_ref().is_some_and(|to| *to <= self.from)
    }

    #[cfg(test)]
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }
}

/// The lesser of two ends, none being above all.
fn lesser(a: Option<&Vec<u8>>, b: Option<&Vec<u8>>) -> Option<Vec<u8>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b).clone()),
        (a, b) => a.or(b).cloned(),
    }
}

/// The keys of all `intervals`, in intervals that ascend and neither overlap nor adjoin.
pub(crate) fn union(intervals: impl IntoIterator<Item = Interval>) -> Vec<Interval> {
    let mut sorted: Vec<_> = intervals.into_iter().filter(|one| !one.is_empty()).collect();
    sorted.sort_unstable_by(|a, b| a.from.cmp(&b.from));
    let mut set: Vec<Interval> = Vec::with_capacity(sorted.len());
    for interval in sorted {
        match set.last_mut() {
            Some(last) if last.to.as_ref().is_none_or(|to| interval.from <= *to) => {
                last.to = match (last.to.take(), interval.to) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                };
            }
            _ => set.push(interval),
        }
    }
    set
}

/// The keys of both sets, which are as [`union`] makes them.
pub(crate) fn intersect(a: &[Interval], b: &[Interval]) -> Vec<Interval> {
    let (mut at, mut bt, mut both) = (0, 0, Vec::new());
    while let (Some(x), Some(y)) = (a.get(at), b.get(bt)) {
        let from = x.from.clone().max(y.from.clone());
        let one = Interval { from, to: lesser(x.to.as_ref(), y.to.as_ref()) };
        if !one.is_empty() {
            both.push(one);
        }
        match (&x.to, &y.to) {
            (Some(x), Some(y)) if x <= y => at += 1,
            (Some(_), None) => at += 1,
            (_, Some(_)) => bt += 1,
            (None, None) => break,
        }
    }
    both
}

/// How many bytes of a composite key stand before its user key; none if it is no composite key.
pub(crate) fn prefix_len(key: &[u8]) -> Option<usize> {
    let user_key_len = CompositeKey::decode(key).ok()?.user_key.len();
    key.len().checked_sub(user_key_len)
}

/// The least bytes above all that begin with `prefix`, which ends with the two zeros of a namespace.
pub(super) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut above = prefix.to_vec();
    if let Some(last) = above.last_mut() {
        *last = 1;
    }
    above
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set() -> impl Strategy<Value = Vec<Interval>> {
        let one = (0..40_u8, prop::option::weighted(0.9, 0..40_u8));
        proptest::collection::vec(one, 0..6).prop_map(|parts| {
            let interval = |(from, to): &(u8, Option<u8>)| Interval {
                from: vec![*from],
                to: to.map(|to| vec![to]),
            };
            parts.iter().map(interval).collect()
        })
    }

    fn has(set: &[Interval]) -> Vec<bool> {
        (0..45).map(|key| set.iter().any(|interval| interval.contains(&[key]))).collect()
    }

    proptest! {
        #[test]
        fn sets_are_as_their_members(a in set(), b in set()) {
            let (x, y) = (union(a.clone()), union(b.clone()));
            prop_assert_eq!(has(&x), has(&a));
            prop_assert!(x.windows(2).all(|two| two[0].to.as_ref().unwrap() < &two[1].from));
            let both = intersect(&x, &y);
            let expected: Vec<bool> = has(&a).iter().zip(has(&b)).map(|(a, b)| *a && b).collect();
            prop_assert_eq!(has(&both), expected);
            prop_assert_eq!(union(both.clone()), both);
        }
    }
}
