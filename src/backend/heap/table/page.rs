//! Pages: fixed swiss tables of about 4 KiB, shared by reference count.
//!
//! ```text
//! head | born: one bit per slot | groups: control bytes, change bits, entries
//! ```
//!
//! A search starts at the group that the hash names and goes on to the next group until one has an
//! empty byte. At most 7/8 of the slots are ever used, so that there is one. Removing an entry
//! leaves an empty byte if its group has one already (no search ever passed it), else a deleted one.
//! A slot's number is 16 times its group plus its place there.
//!
//! A [`Page`] is a plain pointer. Every method asks that the page is live (counted by at least one
//! reference that outlasts the call), and those that change it, that nobody else can reach it.

use super::arena::{Arena, Pages};
use super::group::{CTRL_LEN_BYTES, DELETED, EMPTY, Group, Mask, TAG_BITS, WIDTH, tag};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// How large the groups of a page may be together, unless one group is larger already.
const GROUPS_LEN_BYTES: usize = 4096;
/// Low bits of a page's address that are free for tags; a page starts with a cache line.
pub(super) const PAGE_ALIGN: usize = 64;

#[repr(C)]
struct Head {
    refs: AtomicUsize,
    used: u32,
    depth: u8,
    log2_groups: u8,
}

const HEAD_LEN_BYTES: usize = size_of::<Head>();
const CHANGES_OFFSET: usize = WIDTH;

/// A key and its value.
pub(super) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
}

/// A pointer to a page.
pub(super) struct Page<K, V> {
    raw: *mut u8,
    entries: PhantomData<*mut Entry<K, V>>,
}

impl<K, V> Clone for Page<K, V> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Page<K, V> {}

impl<K, V> Page<K, V> {
    const GROUP_ALIGN: usize = if align_of::<Entry<K, V>>() > CTRL_LEN_BYTES {
        align_of::<Entry<K, V>>()
    } else {
        CTRL_LEN_BYTES
    };
    const ENTRIES_OFFSET: usize = CTRL_LEN_BYTES.next_multiple_of(Self::GROUP_ALIGN);
    const GROUP_LEN_BYTES: usize = (Self::ENTRIES_OFFSET + WIDTH * size_of::<Entry<K, V>>())
        .next_multiple_of(Self::GROUP_ALIGN);

    /// Groups of an ordinary page, as a power of two: 16 groups or fewer if entries are large.
    pub(super) const LOG2_GROUPS: u32 = {
        let mut log2 = 4;
        while log2 > 0 && Self::GROUP_LEN_BYTES << log2 > GROUPS_LEN_BYTES {
            log2 -= 1;
        }
        log2
    };

    /// The page at an address without tags.
    #[inline]
    pub(super) fn from_raw(raw: *mut u8) -> Self {
        Self { raw, entries: PhantomData }
    }

    /// The page's address.
    #[inline]
    pub(super) fn raw(self) -> *mut u8 {
        self.raw
    }

    const fn groups_offset(log2_groups: u32) -> usize {
        (HEAD_LEN_BYTES + (2 << log2_groups)).next_multiple_of(Self::GROUP_ALIGN)
    }

    fn layout(log2_groups: u32) -> Layout {
        let align = PAGE_ALIGN.max(Self::GROUP_ALIGN);
        let groups = (1_usize << log2_groups).checked_mul(Self::GROUP_LEN_BYTES);
        let len = groups
            .and_then(|len| len.checked_add(Self::groups_offset(log2_groups)))
            .and_then(|len| len.checked_next_multiple_of(align));
        match Layout::from_size_align(len.unwrap_or(usize::MAX), align) {
            Ok(layout) => layout,
            Err(_) => handle_alloc_error(Layout::new::<Head>()),
        }
    }

    /// Where a table takes ordinary pages from.
    pub(super) fn pages() -> Pages {
        Pages::new(Self::layout(Self::LOG2_GROUPS))
    }

    /// An empty page with one reference; its entries share the first `depth` bits of position.
    pub(super) fn new(pages: &mut Pages, depth: u32, log2_groups: u32) -> Self {
        let raw = if log2_groups == Self::LOG2_GROUPS {
            pages.take()
        } else {
            let layout = Self::layout(log2_groups);
            // SAFETY: the layout is not empty: it has a head.
            let raw = unsafe { alloc(layout) };
            if raw.is_null() {
                handle_alloc_error(layout);
            }
            raw
        };
        // SAFETY: the writes lie inside the layout, and the head is aligned because the page is.
        unsafe {
            raw.cast::<Head>().write(Head {
                refs: AtomicUsize::new(1),
                used: 0,
                depth: depth as u8,
                log2_groups: log2_groups as u8,
            });
            raw.add(HEAD_LEN_BYTES).write_bytes(0, 2 << log2_groups);
            let page = Self::from_raw(raw);
            for group in 0..1 << log2_groups {
                page.group_at(log2_groups, group).write_bytes(EMPTY, CTRL_LEN_BYTES);
            }
            page
        }
    }

    #[inline]
    unsafe fn head(self) -> *mut Head {
        self.raw.cast()
    }

    /// Number of groups as a power of two.
    #[inline]
    pub(super) unsafe fn log2_groups(self) -> u32 {
        // SAFETY: the page is live.
        unsafe { (*self.head()).log2_groups.into() }
    }

    /// How many leading bits of position all entries share.
    #[inline]
    pub(super) unsafe fn depth(self) -> u32 {
        // SAFETY: the page is live.
        unsafe { (*self.head()).depth.into() }
    }

    /// Says that the entries share `depth` bits.
    pub(super) unsafe fn set_depth(self, depth: u32) {
        // SAFETY: the page is live and the caller's alone.
        unsafe { (*self.head()).depth = depth as u8 }
    }

    /// Number of entries; it looks at all groups.
    pub(super) unsafe fn items(self) -> usize {
        // SAFETY: the page is live, the groups inside it.
        unsafe { (0..1 << self.log2_groups()).map(|at| self.group(at).full().len()).sum() }
    }

    /// Number of slots that may be used: 7/8 of them, and one less if that is all.
    #[inline]
    pub(super) unsafe fn capacity(self) -> usize {
        // SAFETY: the page is live.
        let slots = WIDTH << unsafe { self.log2_groups() };
        slots - slots.div_ceil(8)
    }

    /// Whether an entry can be put.
    #[inline]
    pub(super) unsafe fn has_room(self) -> bool {
        // SAFETY: the page is live.
        unsafe { ((*self.head()).used as usize) < self.capacity() }
    }

    /// Where a group starts; `log2_groups` is the page's.
    #[inline]
    unsafe fn group_at(self, log2_groups: u32, group: usize) -> *mut u8 {
        // SAFETY: the caller's group is inside the page.
        unsafe { self.raw.add(Self::groups_offset(log2_groups) + group * Self::GROUP_LEN_BYTES) }
    }

    #[inline]
    unsafe fn slot_group(self, slot: usize) -> *mut u8 {
        // SAFETY: the caller's slot is inside the page.
        unsafe { self.group_at(self.log2_groups(), slot / 16) }
    }

    #[inline]
    unsafe fn load(group: *mut u8) -> Group {
        // SAFETY: the caller's group is live and initialised, and aligned to 16 as all are.
        unsafe { Group::load(group.cast()) }
    }

    /// Control bytes of a group.
    #[inline]
    pub(super) unsafe fn group(self, group: usize) -> Group {
        // SAFETY: the caller's group is inside the page, and all control bytes are initialised.
        unsafe { Self::load(self.group_at(self.log2_groups(), group)) }
    }

    #[inline]
    unsafe fn changes(group: *mut u8) -> *mut u16 {
        // SAFETY: the two bytes after the control bytes, aligned to 2.
        unsafe { group.add(CHANGES_OFFSET).cast() }
    }

    /// Full slots of a group that changed since the last freeze.
    #[inline]
    pub(super) unsafe fn dirty(self, group: usize) -> Mask {
        // SAFETY: the caller's group is inside the page.
        unsafe {
            let group = self.group_at(self.log2_groups(), group);
            Mask(*Self::changes(group) & Self::load(group).full().0)
        }
    }

    #[inline]
    unsafe fn entry_in(group: *mut u8, i: usize) -> *mut Entry<K, V> {
        // SAFETY: the caller's place is inside the group; `ENTRIES_OFFSET` is aligned for entries.
        unsafe { group.add(Self::ENTRIES_OFFSET).cast::<Entry<K, V>>().add(i) }
    }

    /// Asks for the cache line where an entry with this hash is put, if that slot is free.
    #[inline]
    fn prefetch(group: *mut u8, hash: u64) {
        prefetch(group.wrapping_add(Self::ENTRIES_OFFSET + home(hash) * size_of::<Entry<K, V>>()));
    }

    /// The entry's place; `log2_groups` is the page's.
    #[inline]
    pub(super) unsafe fn entry(self, log2_groups: u32, slot: usize) -> *mut Entry<K, V> {
        // SAFETY: the caller's slot is inside the page.
        unsafe { Self::entry_in(self.group_at(log2_groups, slot / 16), slot % 16) }
    }

    #[inline]
    unsafe fn born_word(self, group: usize) -> *mut u16 {
        // SAFETY: the bitmap has two bytes per group, right after the head, aligned to 2.
        unsafe { self.raw.add(HEAD_LEN_BYTES).cast::<u16>().add(group) }
    }

    /// Whether the entry was inserted since the last freeze.
    pub(super) unsafe fn is_born(self, slot: usize) -> bool {
        // SAFETY: the caller's slot is inside the page.
        unsafe { *self.born_word(slot / 16) >> (slot % 16) & 1 == 1 }
    }

    /// Whether the entry changed since the last freeze.
    pub(super) unsafe fn is_dirty(self, slot: usize) -> bool {
        // SAFETY: the caller's slot is inside the page.
        unsafe { *Self::changes(self.slot_group(slot)) >> (slot % 16) & 1 == 1 }
    }

    /// Says that the entry found at a place changed.
    #[inline]
    pub(super) unsafe fn set_dirty(place: &Place<K, V>) {
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
    pub(super) unsafe fn place(self, slot: usize) -> Place<K, V> {
        // SAFETY: the caller's slot is inside the page.
        unsafe {
            let group = self.slot_group(slot);
            Place {
                page: self,
                group,
                bit: 1 << (slot % 16),
                entry: Self::entry_in(group, slot % 16),
            }
        }
    }

    /// The entry with this hash that `eq` accepts; `log2_groups` is the page's.
    #[inline]
    pub(super) unsafe fn find(
        self,
        log2_groups: u32,
        hash: u64,
        mut eq: impl FnMut(&K) -> bool,
    ) -> Option<Place<K, V>> {
        let last = (1_usize << log2_groups) - 1;
        let mut at = (hash >> TAG_BITS) as usize & last;
        let mut left = last;
        loop {
            // SAFETY: `at` is at most `last`; slots that match a tag are full, so their entries are
            // initialised, and nobody changes the page while it is read.
            unsafe {
                let group = self.group_at(log2_groups, at);
                // Where the entry most likely is, fetched while the control bytes are.
                Self::prefetch(group, hash);
                let control = Self::load(group);
                let mut tagged = control.equal(tag(hash));
                while tagged.any() {
                    let entry = Self::entry_in(group, tagged.0.trailing_zeros() as usize);
                    if eq(&(*entry).key) {
                        return Some(Place { page: self, group, bit: tagged.first_bit(), entry });
                    }
                    tagged.next();
                }
                if control.empty().any() || left == 0 {
                    return None;
                }
            }
            at = (at + 1) & last;
            left -= 1;
        }
    }

    /// Moves an entry in. The page has room, and is the caller's alone.
    #[inline]
    pub(super) unsafe fn put(
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
                let group = self.group_at(log2_groups, at);
                if let Some(i) = Self::load(group).free().from(home(hash)) {
                    break (group, i);
                }
                at = (at + 1) & last;
            };
            (*self.head()).used += u32::from(*group.add(i) == EMPTY);
            *group.add(i) = tag(hash);
            *Self::changes(group) |= u16::from(dirty) << i;
            *self.born_word(at) |= u16::from(born) << i;
            Self::entry_in(group, i).write(entry);
        }
    }

    /// Frees a full slot whose entry has been, or will be, moved out by the caller, who owns the
    /// page alone.
    pub(super) unsafe fn erase(self, slot: usize) {
        let (at, i) = (slot / 16, slot % 16);
        // SAFETY: the caller's slot is inside the page.
        unsafe {
            let group = self.slot_group(slot);
            let passed = !Self::load(group).empty().any();
            *group.add(i) = if passed { DELETED } else { EMPTY };
            (*self.head()).used -= u32::from(!passed);
            *Self::changes(group) &= !(1 << i);
            *self.born_word(at) &= !(1 << i);
        }
    }

    /// Full slots, in order.
    pub(super) unsafe fn slots(self) -> impl Iterator<Item = usize> {
        // SAFETY: the page is live, as the caller promises until the iterator's end.
        let groups = 0..1_usize << unsafe { self.log2_groups() };
        groups.flat_map(move |at| {
            // SAFETY: as above, and the group is inside the page.
            unsafe { self.group(at) }.full().map(move |i| at * 16 + i)
        })
    }

    /// Forgets what changed; the page is the caller's alone.
    pub(super) unsafe fn forget_changes(self) {
        // SAFETY: control bytes and bitmap lie inside the page and are initialised.
        unsafe {
            let log2_groups = self.log2_groups();
            for at in 0..1 << log2_groups {
                *Self::changes(self.group_at(log2_groups, at)) = 0;
                *self.born_word(at) = 0;
            }
        }
    }

    /// Adds a reference.
    pub(super) unsafe fn retain(self) {
        // SAFETY: the page is live. Relaxed as in `Arc`: a new reference comes from an existing one.
        unsafe { (*self.head()).refs.fetch_add(1, Ordering::Relaxed) };
    }

    /// Whether the caller's reference is the only one.
    pub(super) unsafe fn is_unique(self) -> bool {
        // SAFETY: the page is live. Acquire: what the last other holder did is over.
        unsafe { (*self.head()).refs.load(Ordering::Acquire) == 1 }
    }

    /// Gives up the caller's reference, and drops page and entries if it was the last.
    pub(super) unsafe fn release(self, arena: &Arena) {
        // SAFETY: the page is live until the count falls to zero; then nobody else can reach it,
        // and the fence orders their reads before the drops (as in `Arc`). Memory goes last: an
        // entry whose drop panics leaks the rest.
        unsafe {
            if (*self.head()).refs.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            fence(Ordering::Acquire);
            if std::mem::needs_drop::<Entry<K, V>>() {
                let log2_groups = self.log2_groups();
                for slot in self.slots() {
                    ptr::drop_in_place(self.entry(log2_groups, slot));
                }
            }
            self.free(arena);
        }
    }

    /// Frees the memory alone: the entries have been moved out, and nobody else has a reference.
    pub(super) unsafe fn free(self, arena: &Arena) {
        // SAFETY: `new` took the page from the arena, or allocated it with the same layout.
        unsafe {
            let log2_groups = self.log2_groups();
            if log2_groups == Self::LOG2_GROUPS {
                arena.give_back(self.raw);
            } else {
                dealloc(self.raw, Self::layout(log2_groups));
            }
        }
    }
}

impl<K: Clone, V: Clone> Page<K, V> {
    /// A page with clones of all entries in the same slots, none of them changed.
    #[cold]
    pub(super) unsafe fn copy(self, pages: &mut Pages) -> Self {
        // SAFETY: the page is live, and the new one has the same layout. An entry is announced by
        // its control byte once it is there, so that a clone that panics drops those before it.
        unsafe {
            let log2_groups = self.log2_groups();
            let new = Self::new(pages, self.depth(), log2_groups);
            let unfinished = Unfinished(new, pages.arena());
            for at in 0..1 << log2_groups {
                let from = self.group_at(log2_groups, at);
                let to = new.group_at(log2_groups, at);
                for i in Self::load(from).full() {
                    let Entry { key, value } = &*Self::entry_in(from, i);
                    let clone = Entry { key: key.clone(), value: value.clone() };
                    Self::entry_in(to, i).write(clone);
                    *to.add(i) = *from.add(i);
                }
                // Deleted bytes too.
                ptr::copy_nonoverlapping(from, to, WIDTH);
            }
            std::mem::forget(unfinished);
            (*new.head()).used = (*self.head()).used;
            new
        }
    }
}

/// The slot of a group at which an entry is put if it is free, else at the next free one.
#[inline]
fn home(hash: u64) -> usize {
    (hash >> (TAG_BITS + 4)) as usize % 16
}

/// Asks for a cache line; the address may be anything.
#[inline]
fn prefetch<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse"))]
    // SAFETY: a prefetch reads nothing that the program could see, from no address at all.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse")))]
    let _ = address;
}

/// Where an entry is.
pub(super) struct Place<K, V> {
    pub(super) page: Page<K, V>,
    group: *mut u8,
    /// Its slot in the group.
    bit: u16,
    pub(super) entry: *mut Entry<K, V>,
}

impl<K, V> Place<K, V> {
    /// The slot's number in the page, which is live.
    pub(super) unsafe fn slot(&self) -> usize {
        // SAFETY: the page is live, the group inside it.
        unsafe {
            let first = self.page.group_at(self.page.log2_groups(), 0);
            let at = (self.group.addr() - first.addr()) / Page::<K, V>::GROUP_LEN_BYTES;
            at * 16 + self.bit.trailing_zeros() as usize
        }
    }
}

/// A copy that is being made, released if a clone panics.
struct Unfinished<'a, K, V>(Page<K, V>, &'a Arena);

impl<K, V> Drop for Unfinished<'_, K, V> {
    fn drop(&mut self) {
        // SAFETY: the copy's one reference has not been handed out, and its full slots hold entries.
        unsafe { self.0.release(self.1) };
    }
}
