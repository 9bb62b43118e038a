//! Looking for an entry in a page, and putting one in or taking one out.

use super::super::arena;
use super::super::group::{CTRL_LEN_BYTES, DELETED, EMPTY, TAG_BITS, WIDTH, tag};
use super::{BORN_OFFSET, Entry, Head, Page};

impl<K, V> Page<K, V> {
    /// Says that the entry found at a place changed.
    #[inline]
    pub(in super::super) unsafe fn set_dirty(place: &Place<K, V>) {
        // SAFETY: the caller's place is full, and its page the caller's alone.
        unsafe {
            let changes = Self::changes(place.group);
            // Writing only what is news keeps the cache line clean.
            if *changes & place.bit == 0 {
                *changes |= place.bit;
            }
        }
    }

    /// The entry in a slot.
    pub(in super::super) unsafe fn place(self, slot: usize) -> Place<K, V> {
        // SAFETY: the caller's slot is inside the page.
        unsafe {
            let (group, bit) = (self.group_at(slot / 16), 1 << (slot % 16));
            Place { page: self, group, bit, entry: self.entry(slot) }
        }
    }

    /// The entry with this hash that `eq` accepts in the group of an ordinary page where it should
    /// be; else whether it may be in another one.
    #[inline(always)]
    pub(in super::super) unsafe fn find_first(
        self,
        hash: u64,
        eq: &mut impl FnMut(&K) -> bool,
    ) -> Result<Place<K, V>, bool> {
        let at = (hash >> TAG_BITS) as usize & ((1 << Self::LOG2_GROUPS) - 1);
        // SAFETY: the page is live and ordinary, the group inside it.
        unsafe { self.find_in_group(at, false, hash, eq) }
    }

    /// Asks for the lines that [`find_first`](Self::find_first) most likely reads.
    #[inline(always)]
    pub(in super::super) unsafe fn prefetch_first(self, hash: u64) {
        // SAFETY: the page is live and ordinary.
        unsafe {
            let group = self.vacant(hash).group;
            prefetch(group);
            prefetch(self.entries(group, false).wrapping_add(home(hash)));
        }
    }

    /// The entry with this hash that `eq` accepts.
    pub(in super::super) unsafe fn find(
        self,
        hash: u64,
        mut eq: impl FnMut(&K) -> bool,
    ) -> Option<Place<K, V>> {
        // SAFETY: the page is live, and groups are taken modulo their number.
        unsafe {
            let last = (1_usize << self.log2_groups()) - 1;
            let start = (hash >> TAG_BITS) as usize & last;
            for at in start..=start + last {
                match self.find_in_group(at & last, self.is_large(), hash, &mut eq) {
                    Ok(place) => return Some(place),
                    Err(false) => return None,
                    Err(true) => {}
                }
            }
        }
        None
    }

    /// The entry, else whether it may be in the next group.
    #[inline(always)]
    unsafe fn find_in_group(
        self,
        at: usize,
        large: bool,
        hash: u64,
        eq: &mut impl FnMut(&K) -> bool,
    ) -> Result<Place<K, V>, bool> {
        // SAFETY: the caller's group is inside the page; slots that match a tag are full, so their
        // entries are initialised, and nobody changes the page while it is read.
        unsafe {
            let group = self.group_at(at);
            let entries = self.entries(group, large);
            // Where the entry most likely is, fetched while the control bytes are.
            prefetch(entries.wrapping_add(home(hash)));
            let control = Self::load(group);
            let mut tagged = control.tagged(hash);
            while tagged.any() {
                let entry = entries.add(tagged.0.trailing_zeros() as usize);
                if eq(&(*entry).key) {
                    return Ok(Place { page: self, group, bit: tagged.first_bit(), entry });
                }
                tagged.next();
            }
            Err(!control.empty().any())
        }
    }

    /// Moves an entry in. The page has room, and is the caller's alone.
    #[inline]
    pub(in super::super) unsafe fn put(
        self,
        log2_groups: u32,
        hash: u64,
        entry: Entry<K, V>,
        dirty: bool,
        born: bool,
    ) {
        let last = (1_usize << log2_groups) - 1;
        let mut at = (hash >> TAG_BITS) as usize & last;
        // SAFETY: `at` is at most `last`. A page with room has a free slot, so the loop ends, at a
        // slot without an entry: writing there overwrites none.
        unsafe {
            let (group, i) = loop {
                let group = self.group_at(at);
                if let Some(i) = Self::load(group).free().from(home(hash)) {
                    break (group, i);
                }
                at = (at + 1) & last;
            };
            (*self.head()).used += u32::from(*group.add(i) == EMPTY);
            *group.add(i) = tag(hash);
            *Self::changes(group) |= u16::from(dirty) << i;
            *self.born_word(at) |= u16::from(born) << i;
            self.entries(group, self.is_large()).add(i).write(entry);
        }
    }

    /// Where to put an entry with this hash that [`find_first`](Self::find_first) did not find.
    #[inline(always)]
    pub(in super::super) unsafe fn vacant(self, hash: u64) -> Vacant<K, V> {
        let at = (hash >> TAG_BITS) as usize & ((1 << Self::LOG2_GROUPS) - 1);
        // SAFETY: the page is live, the group inside it.
        Vacant { page: self, group: unsafe { self.group_at(at) } }
    }

    /// Moves a new entry into a group that has an empty slot, unless the page has no room. The page
    /// is ordinary, and the caller's alone.
    #[inline(always)]
    pub(in super::super) unsafe fn put_first(
        vacant: Vacant<K, V>,
        hash: u64,
        entry: Entry<K, V>,
    ) -> Result<(), Entry<K, V>> {
        let Vacant { page, group } = vacant;
        // SAFETY: the group is in the page, which is ordinary, and has a free slot.
        unsafe {
            let head: *mut Head = arena::head(page.raw, &Self::BLOCK).cast();
            let slots = WIDTH << Self::LOG2_GROUPS;
            let Some(i) = Self::load(group).free().from(home(hash)) else { return Err(entry) };
            if (*head).used as usize >= slots - slots.div_ceil(8) {
                return Err(entry);
            }
            (*head).used += u32::from(*group.add(i) == EMPTY);
            *group.add(i) = tag(hash);
            *Self::changes(group) |= 1 << i;
            let at = (group.addr() - page.raw.addr()) / CTRL_LEN_BYTES;
            *head.byte_add(BORN_OFFSET).cast::<u16>().add(at) |= 1 << i;
            page.entries(group, false).add(i).write(entry);
        }
        Ok(())
    }

    /// Frees a full slot whose entry has been, or will be, moved out by the caller, who owns the
    /// page alone.
    pub(in super::super) unsafe fn erase(self, slot: usize) {
        let (at, i) = (slot / 16, slot % 16);
        // SAFETY: the caller's slot is inside the page.
        unsafe {
            let group = self.group_at(at);
            let passed = !Self::load(group).empty().any();
            *group.add(i) = if passed { DELETED } else { EMPTY };
            (*self.head()).used -= u32::from(!passed);
            *Self::changes(group) &= !(1 << i);
            *self.born_word(at) &= !(1 << i);
        }
    }
}

/// The slot of a group at which an entry is put if it is free, else at the next free one; those
/// that do not exist stand for the first ones.
#[inline]
fn home(hash: u64) -> usize {
    (hash >> TAG_BITS) as usize / 16 % 16
}

/// Asks for a cache line; the address may be anything.
#[inline]
pub(super) fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse"))]
    // SAFETY: a prefetch reads nothing that the program could see, from no address at all.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse")))]
    let _ = address;
}

/// Where an entry is.
pub(in super::super) struct Place<K, V> {
    pub(in super::super) page: Page<K, V>,
    group: *mut u8,
    /// Its slot in the group.
    bit: u16,
    pub(in super::super) entry: *mut Entry<K, V>,
}

impl<K, V> Place<K, V> {
    /// The slot's number in the page, which is live.
    pub(in super::super) unsafe fn slot(&self) -> usize {
        {
            let at = (self.group.addr() - self.page.ctrl().addr()) / CTRL_LEN_BYTES;
            at * 16 + self.bit.trailing_zeros() as usize
        }
    }
}

/// A group of an ordinary page in which a search ended at an empty slot.
pub(in super::super) struct Vacant<K, V> {
    page: Page<K, V>,
    group: *mut u8,
}
