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

/// Lengths of items, from either end and more than once.
pub(super) trait Lens: ExactSizeIterator<Item = u32> + DoubleEndedIterator + Clone {}

impl<I: ExactSizeIterator<Item = u32> + DoubleEndedIterator + Clone> Lens for I {}

/// The items of `planes`, one behind the other; none if one is too long, or they do not add up to
/// `planes`.
pub(super) fn join(planes: &[u8], mut lens: impl Lens) -> Option<Vec<u8>> {
    let Shape { starts, whole, longest, len_bytes } = shape(lens.clone())?;
    if len_bytes != planes.len() {
        return None;
    }
    let mut items = vec![0; planes.len()];
    if whole == 8 && longest == 8 {
        join_words(planes, &mut items)?;
        return Some(items);
    }
    // From the last item on, eight at a time and those that are left over first: what is moved stands
    // before an item too, where the item before it comes next.
    let count = lens.len();
    // Of planes that not all items have: where each ends, but for what was taken.
    let mut ends = starts;
    ends.rotate_left(1);
    ends[ITEM_LEN_BYTES_MAX as usize - 1] = planes.len();
    let (mut number, mut end) = (count, items.len());
    while number > 0 {
        let some = if number.is_multiple_of(8) { 8 } else { number % 8 };
        number -= some;
        let mut words = [[0; 8]; WHOLE_MAX / 8];
        for (words, starts) in words.iter_mut().zip(starts[..whole].chunks(8)) {
            let mut columns = [0; 8];
            for (start, column) in starts.iter().zip(&mut columns) {
                *column = word_at(planes, start + number);
            }
            *words = transposed(columns);
        }
        for place in (0..some).rev() {
            let len = lens.next_back()? as usize;
            let begin = end - len;
            match items[..end].last_chunk_mut::<WHOLE_MAX>() {
                Some(bytes) => {
                    for (words, bytes) in words.iter().zip(bytes.rchunks_exact_mut(8)) {
                        bytes.copy_from_slice(&words[place].to_be_bytes());
                    }
                }
                None => {
                    let bytes = words.iter().flat_map(|words| words[place].to_le_bytes());
                    items[begin..end].iter_mut().rev().zip(bytes).for_each(|(at, byte)| *at = byte);
                }
            }
            if len > whole {
                let rest = &mut items[begin..end - whole];
                for (byte, end) in rest.iter_mut().rev().zip(&mut ends[whole..longest]) {
                    *end -= 1;
                    *byte = *planes.get(*end)?;
                }
            }
            end = begin;
        }
    }
    Some(items)
}

/// The same for items of eight bytes, numbers most often.
fn join_words(planes: &[u8], items: &mut [u8]) -> Option<()> {
    let count = planes.len() / 8;
    let (eights, rest) = items.as_chunks_mut::<64>();
    for (number, eight) in eights.iter_mut().enumerate() {
        let mut columns = [0; 8];
        for (plane, column) in planes.chunks_exact(count).zip(&mut columns) {
            *column = word_at(plane, 8 * number);
        }
        let words = transposed(columns);
        for (word, bytes) in words.iter().zip(eight.as_chunks_mut::<8>().0) {
            *bytes = word.to_be_bytes();
        }
    }
    let first = 8 * eights.len();
    for (number, item) in rest.chunks_exact_mut(8).enumerate() {
        for (plane, byte) in planes.chunks_exact(count).zip(item.iter_mut().rev()) {
            *byte = *plane.get(first + number)?;
        }
    }
    Some(())
}

/// The eight bytes from `at` on, the first one lowest; zeros for those there are not.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..).unwrap_or_default();
    match bytes.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
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
