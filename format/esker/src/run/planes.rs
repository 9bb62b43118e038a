//! Planes: the last bytes of all items, then those before them, and so on.
//!
//! Of short items of like length, numbers above all, bytes in the same place are alike and their
//! neighbours are not; side by side they cost zstd next to nothing where they do not differ. From
//! the end, as keys lose what they share at their beginning. The idea is that of byte shuffling
//! (Blosc, HDF5).

/// Items longer than this are text or composed: zstd finds more in them as they are. It also bounds
/// the time that hostile lengths take.
pub(super) const ITEM_LEN_BYTES_MAX: u32 = 64;

/// Where each plane begins, and none if an item is too long.
fn starts(lens: impl Iterator<Item = u32>) -> Option<[usize; ITEM_LEN_BYTES_MAX as usize]> {
    // How many items have each length, then how many have a byte in each plane.
    let mut counts = [0; ITEM_LEN_BYTES_MAX as usize + 1];
    for len in lens {
        *counts.get_mut(len as usize)? += 1;
    }
    let (mut starts, mut longer) = ([0; ITEM_LEN_BYTES_MAX as usize], 0);
    let sizes = counts.iter().skip(1).rev().map(|count| {
        longer += count;
        longer
    });
    for (start, size) in starts.iter_mut().rev().zip(sizes) {
        *start = size;
    }
    let mut next = 0;
    for start in &mut starts {
        next += std::mem::replace(start, next);
    }
    Some(starts)
}

/// Puts the planes of `items`, which have these lengths, into `out`; false if one is too long.
pub(super) fn split(items: &[u8], lens: &[u32], out: &mut Vec<u8>) -> bool {
    out.clear();
    let Some(mut next) = starts(lens.iter().copied()) else { return false };
    out.resize(items.len(), 0);
    let mut left = items;
    for len in lens {
        let (item, rest) = left.split_at(*len as usize);
        left = rest;
        for (byte, next) in item.iter().rev().zip(&mut next) {
            out[*next] = *byte;
            *next += 1;
        }
    }
    true
}

/// The items of `planes`, one behind the other; none if one is too long. The lengths add up to that
/// of `planes`.
pub(super) fn join(planes: &[u8], lens: impl Iterator<Item = u32> + Clone) -> Option<Vec<u8>> {
    let mut next = starts(lens.clone())?;
    let mut items = vec![0; planes.len()];
    let mut left = items.as_mut_slice();
    for len in lens {
        let (item, rest) = std::mem::take(&mut left).split_at_mut_checked(len as usize)?;
        left = rest;
        for (byte, next) in item.iter_mut().rev().zip(&mut next) {
            *byte = *planes.get(*next)?;
            *next += 1;
        }
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn items_come_back(
            items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..40),
        ) {
            let lens: Vec<u32> = items.iter().map(|item| item.len() as u32).collect();
            let mut planes = Vec::new();
            prop_assert!(split(&items.concat(), &lens, &mut planes));
            prop_assert_eq!(join(&planes, lens.iter().copied()), Some(items.concat()));
        }
    }

    #[test]
    fn planes_begin_at_the_end() {
        let mut planes = Vec::new();
        assert!(split(b"abcxyz1", &[3, 3, 1], &mut planes));
        assert_eq!(planes, b"cz1byax");
        assert!(split(b"abcxyz", &[3, 3], &mut planes));
        assert_eq!(planes, b"czbyax");
    }

    #[test]
    fn long_items_have_none() {
        let (items, mut planes) = (vec![0; 65], Vec::new());
        assert!(!split(&items, &[65], &mut planes));
        assert_eq!(join(&items, [65].into_iter()), None);
    }
}
