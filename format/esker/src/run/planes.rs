//! Planes: the last bytes of all items, then those before them, and so on.
//!
//! Of short items of like length, numbers above all, bytes in the same place are alike and their
//! neighbours are not; side by side they cost zstd next to nothing where they do not differ. From
//! the end, as keys lose what they share at their beginning. The idea is that of byte shuffling
//! (Blosc, HDF5).

/// Items longer than this are text or composed: zstd finds more in them as they are. It also bounds
/// the time that hostile lengths take.
pub(super) const ITEM_LEN_BYTES_MAX: u32 = 64;

/// Planes that all items have are moved eight items at a time, up to this many.
const WHOLE_MAX: usize = 16;

/// Where each plane begins, and how many planes all items have a byte in.
struct Shape {
    starts: [usize; ITEM_LEN_BYTES_MAX as usize],
    whole: usize,
    longest: usize,
    /// Of all items.
    len_bytes: usize,
}

/// How many items of each length there may be, counted side by side: many are of one length, and each
/// would wait for the one before it.
const COUNTS: usize = 4;

/// The shape of items of these lengths; none if one is too long.
fn shape(lens: impl Iterator<Item = u32>) -> Option<Shape> {
    let mut counts = [[0_usize; COUNTS]; ITEM_LEN_BYTES_MAX as usize + 1];
    for (number, len) in lens.enumerate() {
        counts.get_mut(len as usize)?[number % COUNTS] += 1;
    }
    // How many items have each length, then how many have a byte in each plane.
    let counts = counts.map(|counts| counts.iter().sum::<usize>());
    let len_bytes = counts.iter().enumerate().map(|(len, count)| len * count).sum();
    let whole = counts.iter().position(|count| *count > 0).unwrap_or(0);
    let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
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
    Some(Shape { starts, whole: whole.min(WHOLE_MAX), longest, len_bytes })
}

/// Puts the planes of `items`, which have these lengths, into `out`; false if one is too long.
pub(super) fn split(items: &[u8], lens: &[u32], out: &mut Vec<u8>) -> bool {
    out.clear();
    let Some(Shape { mut starts, whole, longest, .. }) = shape(lens.iter().copied()) else {
        return false;
    };
    out.resize(items.len(), 0);
    let mut end = 0;
    let (eights, rest) = lens.as_chunks::<8>();
    for lens in eights {
        let mut ends = [0; 8];
        for (len, at) in lens.iter().zip(&mut ends) {
            end += *len as usize;
            *at = end;
        }
        for (number, next) in starts[..whole].chunks_mut(8).enumerate() {
            let mut words = [0; 8];
            for (end, word) in ends.iter().zip(&mut words) {
                *word = word_before(items, end - 8 * number);
            }
            for (next, column) in next.iter_mut().zip(transposed(words)) {
                out[*next..*next + 8].copy_from_slice(&column.to_le_bytes());
                *next += 8;
            }
        }
    }
    for len in rest {
        end += *len as usize;
        for (byte, next) in items[..end].iter().rev().zip(&mut starts[..whole]) {
            out[*next] = *byte;
            *next += 1;
        }
    }
    if longest > whole {
        let mut left = items;
        for len in lens {
            let (item, rest) = left.split_at(*len as usize);
            left = rest;
            let item = &item[..item.len() - whole];
            for (byte, next) in item.iter().rev().zip(&mut starts[whole..]) {
                out[*next] = *byte;
                *next += 1;
            }
        }
    }
    true
}

/// The items of `planes`, one behind the other; none if one is too long, or they do not add up to
/// `planes`.
pub(super) fn join(planes: &[u8], lens: impl Iterator<Item = u32> + Clone) -> Option<Vec<u8>> {
    let Shape { mut starts, whole, longest, len_bytes } = shape(lens.clone())?;
    if len_bytes != planes.len() {
        return None;
    }
    let mut items = vec![0; planes.len()];
    let (mut end, mut ends, mut waiting) = (0, [0; 8], 0);
    for len in lens.clone() {
        end += len as usize;
        (ends[waiting], waiting) = (end, waiting + 1);
        if waiting < 8 {
            continue;
        }
        waiting = 0;
        for (number, next) in starts[..whole].chunks_mut(8).enumerate() {
            let mut columns = [0; 8];
            for (next, column) in next.iter_mut().zip(&mut columns) {
                *column = u64::from_le_bytes(*planes.get(*next..)?.first_chunk()?);
                *next += 8;
            }
            for (end, word) in ends.iter().zip(transposed(columns)) {
                let end = end - 8 * number;
                match items[..end].last_chunk_mut() {
                    Some(bytes) if next.len() == 8 => *bytes = word.to_be_bytes(),
                    _ => put_last(word, &mut items[end - next.len()..end]),
                }
            }
        }
    }
    for end in &ends[..waiting] {
        for (byte, next) in items[..*end].iter_mut().rev().zip(&mut starts[..whole]) {
            *byte = *planes.get(*next)?;
            *next += 1;
        }
    }
    if longest > whole {
        let mut left = items.as_mut_slice();
        for len in lens {
            let (item, rest) = std::mem::take(&mut left).split_at_mut_checked(len as usize)?;
            left = rest;
            let before = item.len() - whole;
            for (byte, next) in item[..before].iter_mut().rev().zip(&mut starts[whole..]) {
                *byte = *planes.get(*next)?;
                *next += 1;
            }
        }
    }
    Some(items)
}

/// Puts the lowest bytes of `word` into `place`, of fewer than eight, the lowest one last: by moves of a
/// known length, as a call takes longer than they do.
#[inline]
fn put_last(word: u64, place: &mut [u8]) {
    let mut left = place;
    for len in [4, 2, 1] {
        if left.len() & len == 0 {
            continue;
        }
        let shift = 8 * (left.len() - len);
        let (front, rest) = left.split_at_mut(len);
        match (front.len(), word >> shift) {
            (4, word) => front.copy_from_slice(&(word as u32).to_be_bytes()),
            (2, word) => front.copy_from_slice(&(word as u16).to_be_bytes()),
            (_, word) => front.fill(word as u8),
        }
        left = rest;
    }
}

/// The eight bytes before `end`, the last one lowest; zeros for those there are not.
#[inline]
fn word_before(bytes: &[u8], end: usize) -> u64 {
    match bytes[..end].last_chunk() {
        Some(word) => u64::from_be_bytes(*word),
        None => bytes[..end].iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Eight words of eight bytes with rows for columns: byte *i* of word *j* is byte *j* of word *i*
/// (Warren, "Hacker's Delight").
#[inline]
fn transposed(mut words: [u64; 8]) -> [u64; 8] {
    let mut swap = |low: usize, high: usize, bits: u32, mask: u64| {
        let differ = (words[low] >> bits ^ words[high]) & mask;
        words[high] ^= differ;
        words[low] ^= differ << bits;
    };
    for low in 0..4 {
        swap(low, low + 4, 32, 0x0000_0000_ffff_ffff);
    }
    for low in [0, 1, 4, 5] {
        swap(low, low + 2, 16, 0x0000_ffff_0000_ffff);
    }
    for low in [0, 2, 4, 6] {
        swap(low, low + 1, 8, 0x00ff_00ff_00ff_00ff);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Items of all lengths, or from a shortest to a longest, around the eights that are moved at once.
    fn items() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let lens = prop_oneof![Just((0, 9)), Just((8, 1)), (0..20_usize, 1..10_usize)];
        lens.prop_flat_map(|(least, span)| {
            let item = proptest::collection::vec(any::<u8>(), least..least + span);
            proptest::collection::vec(item, 0..40)
        })
    }

    /// As the text of the format says.
    fn planes_of(items: &[Vec<u8>]) -> Vec<u8> {
        let planes = (1..=64).flat_map(|nth| {
            items.iter().filter_map(move |item| Some(item[item.len().checked_sub(nth)?]))
        });
        planes.collect()
    }

    proptest! {
        #[test]
        fn items_come_back(
            items in items(),
        ) {
            let lens: Vec<u32> = items.iter().map(|item| item.len() as u32).collect();
            let mut planes = Vec::new();
            prop_assert!(split(&items.concat(), &lens, &mut planes));
            prop_assert_eq!(&planes, &planes_of(&items));
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
